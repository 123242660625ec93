/** Servers for requests of scripts: cleartext, TLS, HTTP/2, and raw sockets that answer with any bytes. */
import { createServer, type RequestListener, type Server } from 'node:http';
import { createSecureServer, type Http2SecureServer } from 'node:http2';
import { createServer as createHttpsServer } from 'node:https';
import {
  type AddressInfo,
  createServer as createNetServer,
  type Server as NetServer,
  type Socket,
} from 'node:net';
import { testCertificate } from './certificate.ts';
import { freePorts } from './free-ports.ts';

export interface Upstream {
  readonly port: number;
  /** `http://127.0.0.1:port`, or `https://127.0.0.1:port`. */
  readonly url: string;
  /** Connections accepted so far. */
  readonly connections: () => number;
  /** Connections open now. */
  readonly open: () => number;
  close(): Promise<void>;
}

export function plainUpstream(listener: RequestListener): Promise<Upstream> {
  return listen(createServer(listener), 'http', 'connection');
}

export function tlsUpstream(listener: RequestListener): Promise<Upstream> {
  const { cert, key } = testCertificate();
  return listen(createHttpsServer({ cert, key }, listener), 'https', 'secureConnection');
}

/** Serves HTTP/2 over TLS; calls the listener through Node's compatibility layer. */
export function http2Upstream(
  listener: (
    request: import('node:http2').Http2ServerRequest,
    response: import('node:http2').Http2ServerResponse,
  ) => void,
): Promise<Upstream> {
  const { cert, key } = testCertificate();
  return listen(createSecureServer({ cert, key, allowHTTP1: false }, listener), 'https', 'secureConnection');
}

/** Calls `accepted` with every connection. */
export function rawUpstream(accepted: (socket: Socket) => void): Promise<Upstream> {
  return listen(createNetServer(accepted), 'http', 'connection');
}

/** Returns a port of 127.0.0.1 on which nothing listens. */
export async function deadPort(): Promise<number> {
  const [port = 0] = await freePorts(1);
  return port;
}

async function listen(
  server: Server | NetServer | Http2SecureServer,
  scheme: 'http' | 'https',
  event: 'connection' | 'secureConnection',
): Promise<Upstream> {
  const sockets = new Set<Socket>();
  let connections = 0;
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.once('close', () => sockets.delete(socket));
  });
  server.on(event, () => {
    connections += 1;
  });
  server.on('clientError', (_error: Error, socket: Socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'));
  server.on('tlsClientError', () => undefined);
  server.on('sessionError', () => undefined);
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as AddressInfo;
  return {
    port,
    url: `${scheme}://127.0.0.1:${port}`,
    connections: () => connections,
    open: () => sockets.size,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}
