/** Connections that have not said yet what they speak, and TLS handshakes under way: whose they are, and how long both may take together. */
import type { Socket } from 'node:net';

interface Handshake {
  readonly socket: Socket;
  /** A time of performance.now. */
  readonly acceptedAt: number;
  /** A socket that has failed no longer tells whose it was. */
  readonly peer: string | undefined;
}

export class Handshakes {
  /** By the socket below TLS. */
  readonly #pending = new Map<object, Handshake>();

  /** Node's own clock of a handshake starts with the first byte; this one, with the connection. */
  begin(socket: Socket, acceptedAt: number): void {
    this.#pending.set(socket, { socket, acceptedAt, peer: socket.remoteAddress });
  }

  /** The handshake is done: how long it took, in milliseconds; undefined when it is not known. */
  complete(socket: object): number | undefined {
    const handshake = this.#pending.get(socket);
    this.#pending.delete(socket);
    return handshake === undefined ? undefined : performance.now() - handshake.acceptedAt;
  }

  /** The connection is gone. */
  forget(socket: object): void {
    this.#pending.delete(socket);
  }

  peerOf(socket: object): string | undefined {
    return this.#pending.get(socket)?.peer;
  }

  /** Cuts those that have taken too long. */
  sweep(limitMs: number): void {
    const now = performance.now();
    for (const { socket, acceptedAt } of this.#pending.values())
      if (now - acceptedAt >= limitMs) socket.destroy();
  }
}
