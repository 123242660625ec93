/** One request of a measure that counts by itself what the answer took. */
import type { ClientHttp2Session } from 'node:http2';

/** Resolves with the body of a GET; rejects unless it was answered 200. */
export function ask(session: ClientHttp2Session, path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let body = '';
    const stream = session.request({ ':path': path });
    stream.on('response', (head) => {
      if (head[':status'] !== 200) reject(new Error(`${path} was answered ${head[':status']}`));
    });
    stream.setEncoding('latin1').on('data', (text: string) => {
      body += text;
    });
    stream.on('error', reject);
    stream.on('close', () => resolve(body));
  });
}
