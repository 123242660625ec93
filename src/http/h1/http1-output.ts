/** What an HTTP/1 connection writes: the answers to all that one read has brought leave in one piece. */
import type { Socket } from 'node:net';
import { readLatin1 } from '../../native/node-internals.ts';
import { giveChunk, isLent } from '../exchange/chunk-pool.ts';
import { beginTurn, endTurn } from '../exchange/ended-exchanges.ts';
import type { Chunk } from '../exchange/response-buffer.ts';

/** Response bytes that may wait in the connection before the next request of a pipeline is served. */
const BACKLOG_BYTES_MAX = 256 * 1024;
/** Response bytes that may wait in the connection before an exchange has to. No less than what a socket asks to wait at. */
const ROOM_BYTES_MAX = 64 * 1024;
/** A smaller piece is cheaper to send as text with what stands around it. */
const TEXT_BYTES_MAX = 4 * 1024;

export class Http1Output {
  readonly #socket: Socket;
  readonly #drained: () => void;
  /** What leaves with the next flush, as a byte string. */
  #text = '';
  /** A flush will come: the end of the read, or a tick. */
  #due = false;
  #corked = false;
  /** Somebody has been told to wait for room. */
  #awaited = false;
  /** Unsent bytes that a sweep has seen, and since when they are as many. */
  #unsent = 0;
  #unsentSince = 0;

  /** `drained` is called when there is room again after there was none. */
  constructor(socket: Socket, drained: () => void) {
    this.#socket = socket;
    this.#drained = drained;
    socket.on('drain', () => this.#tellRoom());
  }

  /** So much waits that the next request has to. */
  get isBacklogged(): boolean {
    return this.#socket.writableLength + this.#text.length > BACKLOG_BYTES_MAX;
  }

  /** Since when a sweep has seen the same number of bytes wait. */
  stalledSince(now: number): number {
    const { writableLength } = this.#socket;
    if (writableLength !== this.#unsent) this.#unsentSince = now;
    this.#unsent = writableLength;
    return this.#unsentSince;
  }

  /** What is written from now on leaves with the next `flush` of the caller. */
  hold(): void {
    this.#due = true;
    beginTurn();
  }

  /** `head`, `chunk` (chunk-framed when asked) and `tail`. False: there is no room for more, `drained` will be called. */
  write(head: string, chunk: Chunk, chunked: boolean, tail: string): boolean {
    const before = chunked ? `${head}${chunk.length.toString(16)}\r\n` : head;
    const after = chunked ? `\r\n${tail}` : tail;
    if (typeof chunk === 'string') return this.writeText(before + chunk + after);
    if (chunk.length <= TEXT_BYTES_MAX) {
      const text = readLatin1(chunk, 0, chunk.length);
      giveChunk(chunk);
      return this.writeText(before + text + after);
    }
    this.#cork();
    this.#text += before;
    this.#giveText();
    this.#giveChunk(chunk);
    this.#text = after;
    return this.#hasRoom();
  }

  writeText(bytes: string): boolean {
    this.#text += bytes;
    this.#flushSoon();
    return this.#hasRoom();
  }

  /** Gives everything to the socket. */
  flush(): void {
    this.#due = false;
    endTurn();
    this.#giveText();
    if (this.#corked) {
      this.#corked = false;
      this.#socket.uncork();
    }
    // the socket tells of room only when it has asked to wait
    if (this.#awaited && !this.#socket.writableNeedDrain) process.nextTick(tellRoom, this);
  }

  tellRoom(): void {
    if (this.#awaited && !this.#socket.writableNeedDrain) this.#tellRoom();
  }

  #tellRoom(): void {
    this.#awaited = false;
    this.#drained();
  }

  #hasRoom(): boolean {
    if (this.#text.length + this.#socket.writableLength < ROOM_BYTES_MAX) return true;
    this.#awaited = true;
    // a piece may have left by itself meanwhile
    this.#flushSoon();
    return false;
  }

  #flushSoon(): void {
    if (this.#due) return;
    this.#due = true;
    process.nextTick(flush, this);
  }

  /** All that the socket is given until the next flush leaves in one write. */
  #cork(): void {
    if (this.#corked) return;
    this.#corked = true;
    this.#socket.cork();
    this.#flushSoon();
  }

  #giveText(): void {
    const text = this.#text;
    if (text === '') return;
    this.#text = '';
    if (!this.#socket.destroyed) this.#socket.write(text, 'latin1');
  }

  /** The chunk is free when the socket has its bytes, unless that came to an untimely end. */
  #giveChunk(chunk: Buffer): void {
    const socket = this.#socket;
    if (socket.destroyed) return;
    if (!isLent(chunk)) socket.write(chunk);
    else {
      socket.write(chunk, (error) => {
        if (!error && !socket.destroyed) giveChunk(chunk);
      });
    }
  }
}

function flush(output: Http1Output): void {
  output.flush();
}

function tellRoom(output: Http1Output): void {
  output.tellRoom();
}
