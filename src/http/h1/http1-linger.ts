/**
 * The end of an HTTP/1 connection after our last byte: the client's bytes are read and dropped for a time. Closed at once, the
 * connection would be reset by what the client still sends, and the answer lost on its way (RFC 9112 §9.6).
 */
import type { Socket } from 'node:net';

export interface LingerLimits {
  /** After the last byte that came. */
  readonly idleMs: number;
  /** In all, from the moment on that our last byte was with the system. */
  readonly totalMs: number;
  readonly bytesMax: number;
}

/** nginx's times. A client that sends more than these bytes without a look at the answer does not want it. */
export const LINGER_LIMITS: LingerLimits = { idleMs: 5_000, totalMs: 30_000, bytesMax: 256 * 1024 * 1024 };

export class Linger {
  readonly #socket: Socket;
  readonly #limits: LingerLimits;
  readonly #stallTimeoutMs: number;
  #bytes = 0;
  #receivedAt = performance.now();
  /** Bytes of ours that are not with the system yet, and since when they are as many. */
  #unsent = -1;
  #unsentSince = 0;
  /** When a sweep first saw that all were; 0 before. */
  #sentAt = 0;

  constructor(socket: Socket, limits: LingerLimits, stallTimeoutMs: number) {
    this.#socket = socket;
    this.#limits = limits;
    this.#stallTimeoutMs = stallTimeoutMs;
  }

  receive(size: number): void {
    this.#bytes += size;
    if (this.#bytes > this.#limits.bytesMax) this.#socket.destroy();
    else this.#receivedAt = performance.now();
  }

  sweep(now: number): void {
    const { writableFinished, writableLength } = this.#socket;
    if (!writableFinished) {
      if (writableLength !== this.#unsent) this.#unsentSince = now;
      this.#unsent = writableLength;
      if (now - this.#unsentSince >= this.#stallTimeoutMs) this.#socket.destroy();
      return;
    }
    if (this.#sentAt === 0) this.#sentAt = now;
    const { idleMs, totalMs } = this.#limits;
    if (now - Math.max(this.#receivedAt, this.#sentAt) >= idleMs || now - this.#sentAt >= totalMs)
      this.#socket.destroy();
  }
}
