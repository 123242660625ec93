/** What the bench uses of ws. */
declare module 'ws' {
  import type { Buffer } from 'node:buffer';
  import type { IncomingMessage } from 'node:http';
  import type { Duplex } from 'node:stream';

  interface ServedSocket {
    on(event: 'message', listener: (message: Buffer, isBinary: boolean) => void): this;
    on(event: 'error', listener: (error: Error) => void): this;
    send(message: Buffer, options: { readonly binary: boolean }): void;
  }

  export class WebSocketServer {
    constructor(options: { readonly noServer: true; readonly perMessageDeflate: boolean });
    handleUpgrade(
      request: IncomingMessage,
      socket: Duplex,
      head: Buffer,
      take: (socket: ServedSocket) => void,
    ): void;
  }
}
