/** Asks a front end over HTTP/2 or HTTP/1.1, and says whether the answer came whole. */
import { connect as connectH2 } from 'node:http2';
import { connect as connectTls } from 'node:tls';

export interface Told {
  /** 0 = there was none. */
  readonly status: number;
  readonly body: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Informational statuses before it. */
  readonly informational: readonly number[];
  readonly trailers: Readonly<Record<string, string>>;
  /** False where the client sees that it was broken off. */
  readonly isWhole: boolean;
}

export type Version = 'h2' | 'h1';

export function ask(version: Version, port: number, path: string, body?: string): Promise<Told> {
  return version === 'h2' ? askH2(port, path, body) : askH1(port, path, body);
}

function askH2(port: number, path: string, body?: string): Promise<Told> {
  return new Promise((resolve, reject) => {
    const session = connectH2(`https://127.0.0.1:${port}`, { rejectUnauthorized: false });
    session.on('error', reject);
    const method = body === undefined ? 'GET' : 'POST';
    const stream = session.request({ ':path': path, ':method': method }, { endStream: body === undefined });
    const informational: number[] = [];
    let status = 0;
    let headers: Record<string, string> = {};
    let trailers: Record<string, string> = {};
    let text = '';
    stream.setEncoding('latin1');
    stream.on('error', () => undefined);
    stream.on('headers', (head) => informational.push(Number(head[':status'])));
    stream.on('response', (head) => {
      status = Number(head[':status']);
      headers = head as Record<string, string>;
    });
    stream.on('trailers', (fields) => {
      trailers = fields as Record<string, string>;
    });
    stream.on('data', (chunk: string) => {
      text += chunk;
    });
    stream.on('close', () => {
      session.destroy();
      resolve({ status, body: text, headers, informational, trailers, isWhole: stream.rstCode === 0 });
    });
    if (body !== undefined) stream.end(body);
  });
}

/** Reads until the connection ends, and takes the bytes apart. */
function askH1(port: number, path: string, body?: string): Promise<Told> {
  return new Promise((resolve, reject) => {
    const socket = connectTls({
      port,
      host: '127.0.0.1',
      rejectUnauthorized: false,
      ALPNProtocols: ['http/1.1'],
    });
    let bytes = '';
    socket.setEncoding('latin1');
    socket.on('data', (chunk: string) => {
      bytes += chunk;
    });
    socket.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'ECONNRESET') reject(error);
    });
    socket.on('close', () => resolve(takeApart(bytes)));
    const length = body === undefined ? '' : `Content-Length: ${body.length}\r\n`;
    const method = body === undefined ? 'GET' : 'POST';
    socket.write(
      `${method} ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n${length}\r\n${body ?? ''}`,
    );
  });
}

function takeApart(bytes: string): Told {
  const informational: number[] = [];
  let rest = bytes;
  for (;;) {
    const end = rest.indexOf('\r\n\r\n');
    const head = end === -1 ? '' : rest.slice(0, end);
    const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(head)?.[1] ?? 0);
    rest = rest.slice(end + 4);
    if (status >= 100 && status < 200) {
      informational.push(status);
      continue;
    }
    const headers = fieldsOf(head);
    const length = headers['content-length'];
    if (headers['transfer-encoding'] === undefined)
      return {
        status,
        body: rest,
        headers,
        informational,
        trailers: {},
        isWhole: status !== 0 && Number(length ?? 0) === rest.length,
      };
    let body = '';
    for (;;) {
      const [line, size] = /^([0-9a-f]+)\r\n/i.exec(rest) ?? [];
      if (line === undefined || size === undefined) break;
      rest = rest.slice(line.length);
      if (Number.parseInt(size, 16) === 0)
        return {
          status,
          body,
          headers,
          informational,
          trailers: fieldsOf(`\r\n${rest}`),
          isWhole: rest.endsWith('\r\n'),
        };
      body += rest.slice(0, Number.parseInt(size, 16));
      rest = rest.slice(Number.parseInt(size, 16) + 2);
    }
    return { status, body, headers, informational, trailers: {}, isWhole: false };
  }
}

function fieldsOf(head: string): Record<string, string> {
  const fields: Record<string, string> = {};
  for (const line of head.split('\r\n').slice(1)) {
    const at = line.indexOf(':');
    if (at > 0) fields[line.slice(0, at).toLowerCase()] = line.slice(at + 1).trim();
  }
  return fields;
}
