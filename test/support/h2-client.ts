/** A small HTTP/2 client over node:http2 for tests: one session, whole responses. */
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  type ClientSessionOptions,
  connect,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
} from 'node:http2';

export interface H2Response {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly informational: readonly IncomingHttpHeaders[];
  readonly trailers: IncomingHttpHeaders | undefined;
  readonly body: Buffer;
  /** Error code of RST_STREAM; 0: the stream was not reset. */
  readonly rstCode: number;
}

/** Connects to the port. `scheme` http: cleartext with prior knowledge. */
export function connectH2(
  port: number,
  scheme: 'https' | 'http' = 'https',
  options: ClientSessionOptions = {},
): Promise<ClientHttp2Session> {
  return new Promise((resolve, reject) => {
    const secure = scheme === 'https' ? { rejectUnauthorized: false, servername: 'localhost' } : {};
    const session = connect(`${scheme}://127.0.0.1:${port}`, { ...options, ...secure });
    session.once('error', reject);
    session.once('connect', () => {
      session.removeListener('error', reject);
      session.on('error', () => {});
      resolve(session);
    });
  });
}

/** Sends a request, with an optional whole body, and resolves when its stream has closed. */
export function fetchH2(
  session: ClientHttp2Session,
  headers: OutgoingHttpHeaders,
  body?: string | Uint8Array,
): Promise<H2Response> {
  const stream = session.request(headers, { endStream: body === undefined });
  const response = collectH2(stream);
  if (body !== undefined) stream.end(body);
  return response;
}

/** Collects the response of a stream until it closes. A reset does not reject; its code is in the result. */
export function collectH2(stream: ClientHttp2Stream): Promise<H2Response> {
  return new Promise((resolve) => {
    let headers: IncomingHttpHeaders = {};
    let trailers: IncomingHttpHeaders | undefined;
    const informational: IncomingHttpHeaders[] = [];
    const chunks: Buffer[] = [];
    stream.on('headers', (head) => informational.push(head));
    stream.on('response', (head) => {
      headers = head;
    });
    stream.on('trailers', (fields) => {
      trailers = fields;
    });
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.on('error', () => {});
    stream.on('close', () =>
      resolve({
        status: Number(headers[':status'] ?? 0),
        headers,
        informational,
        trailers,
        body: Buffer.concat(chunks),
        rstCode: stream.rstCode ?? 0,
      }),
    );
  });
}
