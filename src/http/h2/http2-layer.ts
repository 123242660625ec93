/** What a front end needs of whoever speaks HTTP/2 for it: node:http2's sessions, or our own. */
import type { Http2SecureServer, ServerOptions } from 'node:http2';
import type { Socket } from 'node:net';

/** `--http2`: which of the two. */
export type Http2LayerName = 'node' | 'own';

export interface Http2Layer {
  /** What the server that owns TLS has to be made with before `attach`. */
  readonly serverOptions: ServerOptions;
  /** Joins a server that accepts connections itself. */
  attach(server: Http2SecureServer): void;
  /** Takes over a socket of that server that has chosen h2. `makeSession` makes node's session of it. */
  open(socket: Socket, makeSession: () => void): void;
  /** Takes over a connected cleartext socket that speaks HTTP/2 by prior knowledge. */
  serve(socket: Socket): void;
  /** GOAWAY to every session; they close when their last stream has. */
  drain(): void;
  stop(): void;
  /** Looks at the clocks. */
  sweep(now: number): void;
}
