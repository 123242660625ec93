/** A server on raw sockets that records the bytes of each request as they come, and answers with any bytes. */
import { createServer, type Server, type Socket } from 'node:net';

export interface RecordedRequest {
  /** With its blank line, as a byte string. */
  readonly head: string;
  /** As it came: chunked coding is not taken off. */
  readonly body: string;
  /** Which of the connections brought it, from 1. */
  readonly connection: number;
}

export interface RecordingBackend {
  readonly port: number;
  /** `http://127.0.0.1:port`. */
  readonly url: string;
  readonly requests: readonly RecordedRequest[];
  /** Connections accepted so far, and those open now. */
  readonly connections: () => number;
  readonly open: () => number;
  close(): Promise<void>;
}

export type RawAnswer = (request: RecordedRequest, socket: Socket) => void;

/** Answers every request with these bytes. */
export function answering(text: string): RawAnswer {
  return (_request, socket) => void socket.write(text, 'latin1');
}

/** `path`: of a socket of the file system. `begun` is called when a head has come, before its body. */
export async function recordingBackend(
  answer: RawAnswer,
  options: { readonly path?: string; readonly begun?: (head: string, socket: Socket) => void } = {},
): Promise<RecordingBackend> {
  const requests: RecordedRequest[] = [];
  const sockets = new Set<Socket>();
  let connections = 0;
  const server: Server = createServer((socket) => {
    connections += 1;
    const connection = connections;
    let held = '';
    let seenHead = 0;
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.once('close', () => sockets.delete(socket));
    socket.on('data', (bytes) => {
      held += bytes.toString('latin1');
      for (;;) {
        const end = held.indexOf('\r\n\r\n');
        if (end === -1) return;
        const head = held.slice(0, end + 4);
        if (seenHead === 0) options.begun?.(head, socket);
        seenHead = 1;
        const size = bodySize(head, held.slice(end + 4));
        if (size === undefined) return;
        const request = { head, body: held.slice(end + 4, end + 4 + size), connection };
        held = held.slice(end + 4 + size);
        seenHead = 0;
        requests.push(request);
        answer(request, socket);
      }
    });
  });
  await new Promise<void>((resolve) => {
    if (options.path === undefined) server.listen(0, '127.0.0.1', resolve);
    else server.listen(options.path, resolve);
  });
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  return {
    port,
    url: `http://127.0.0.1:${port}`,
    requests,
    connections: () => connections,
    open: () => sockets.size,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}

/** Size of the body that begins `rest`; undefined: it has not come whole. */
function bodySize(head: string, rest: string): number | undefined {
  if (/\r\ntransfer-encoding: chunked/i.test(head)) {
    const end = /(?:^|\r\n)0\r\n(?:[^\r\n]+\r\n)*\r\n/.exec(rest);
    return end === null ? undefined : end.index + end[0].length;
  }
  const length = Number(/\r\ncontent-length: (\d+)/i.exec(head)?.[1] ?? 0);
  return rest.length < length ? undefined : length;
}
