/** Sends one HTTP/2 request over its own connection, to check that a server answers and to get the answer. */
import { connect } from 'node:http2';

export interface FetchRequest {
  readonly port: number;
  readonly path: string;
  /** PEM of the certificate to trust. */
  readonly ca: string;
  /** Default: the timeout of an ordinary answer. Set it where the answer takes longer. */
  readonly timeoutMs?: number;
}

export interface Answer {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

const ANSWER_TIMEOUT_MS = 5000;

export function fetchOnce({ port, path, ca, timeoutMs = ANSWER_TIMEOUT_MS }: FetchRequest): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const session = connect(`https://127.0.0.1:${port}`, { ca });
    const finish = (act: () => void): void => {
      clearTimeout(timer);
      session.destroy();
      act();
    };
    const fail = (error: Error): void => finish(() => reject(error));
    const timer = setTimeout(() => fail(new Error(`No answer within ${timeoutMs} ms`)), timeoutMs);
    session.on('error', fail);
    const stream = session.request({ ':path': path });
    const head = { status: 0, type: '' };
    let body = '';
    stream.setEncoding('utf8');
    stream.on('error', fail);
    stream.on('response', (headers) => {
      head.status = headers[':status'] ?? 0;
      head.type = headers['content-type'] ?? '';
    });
    stream.on('data', (chunk: string) => {
      body += chunk;
    });
    stream.on('end', () => finish(() => resolve({ ...head, body })));
  });
}
