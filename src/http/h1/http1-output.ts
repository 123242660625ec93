/** What an HTTP/1 connection writes: framed bytes in as few writes as can be, and text that waits for the next turn. */
import type { Socket } from 'node:net';
import { giveChunk, isLent } from '../exchange/chunk-pool.ts';
import type { Chunk } from '../exchange/response-buffer.ts';
import { joinBytes } from './http1-head.ts';

/** Response bytes that may wait in the socket before the next request of a pipeline is served. */
const BACKLOG_BYTES_MAX = 256 * 1024;

export class Http1Output {
  readonly #socket: Socket;
  readonly #drained: () => void;
  /** Text of complete answers that waits for the next turn of the event loop. */
  #deferred = '';
  /** Unsent bytes that a sweep has seen, and since when they are as many. */
  #unsent = 0;
  #unsentSince = 0;

  /** `drained` is called when deferred text has gone out and the socket has room. */
  constructor(socket: Socket, drained: () => void) {
    this.#socket = socket;
    this.#drained = drained;
  }

  /** So much waits that the next request has to. */
  get isBacklogged(): boolean {
    return this.#socket.writableLength + this.#deferred.length > BACKLOG_BYTES_MAX;
  }

  /** Since when a sweep has seen the same number of bytes wait. */
  stalledSince(now: number): number {
    const { writableLength } = this.#socket;
    if (writableLength !== this.#unsent) this.#unsentSince = now;
    this.#unsent = writableLength;
    return this.#unsentSince;
  }

  /** One write for everything: a write is a TLS record and a packet. */
  write(head: string, chunk: Chunk | undefined, chunked: boolean, tail: string): boolean {
    if (chunk === undefined) return this.writeText(head + tail);
    if (typeof chunk === 'string') {
      const framed = chunked ? `${chunk.length.toString(16)}\r\n${chunk}\r\n` : chunk;
      return this.writeText(head + framed + tail);
    }
    this.flush();
    if (head === '' && !chunked) return this.#writeChunk(chunk);
    const joined = joinBytes(head, chunk, chunked, tail);
    giveChunk(chunk);
    return this.#socket.write(joined);
  }

  /**
   * Writes text at once, but never so much within one read event that the socket asks to wait: node would pause its
   * parser then, and lose the requests that the same TLS read still brings. What is too much waits for the next turn.
   */
  writeText(bytes: string): boolean {
    const socket = this.#socket;
    const waiting = socket.writableLength;
    if (this.#deferred === '' && (waiting === 0 || waiting + bytes.length < socket.writableHighWaterMark)) {
      return socket.write(bytes, 'latin1');
    }
    if (this.#deferred === '') setImmediate(() => this.#flushLate());
    this.#deferred += bytes;
    return this.#deferred.length < BACKLOG_BYTES_MAX;
  }

  /** Writes the text that waits. False: there is none, or the socket has no room for more. */
  flush(): boolean {
    if (this.#deferred === '') return false;
    const bytes = this.#deferred;
    this.#deferred = '';
    return !this.#socket.destroyed && this.#socket.write(bytes, 'latin1');
  }

  #flushLate(): void {
    if (this.flush()) this.#drained();
  }

  /** The chunk is free when the socket has its bytes, unless that came to an untimely end. */
  #writeChunk(chunk: Buffer): boolean {
    const socket = this.#socket;
    if (!isLent(chunk)) return socket.write(chunk);
    return socket.write(chunk, (error) => {
      if (!error && !socket.destroyed) giveChunk(chunk);
    });
  }
}
