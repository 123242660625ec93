/** Takes replies of Redis out of a stream of bytes. A server may lie about lengths as any stranger: all of them are bounded. */

import { type Reply, ReplyError } from './resp-reply.ts';
import { REPLY_BYTES_MAX, REPLY_DEPTH_MAX, REPLY_ELEMENTS_MAX } from './store-limits.ts';

const CR = 13;
const LF = 10;
const EMPTY: Buffer = Buffer.alloc(0);
/** Of a line: a status, an error, a length. */
const LINE_BYTES_MAX = 64 * 1024;

export interface ReplyTaker {
  /** The answer to the command that has waited longest. */
  reply(reply: Reply): void;
  /** Something that no command has asked for. */
  push(values: readonly Reply[]): void;
}

/** What the server sends is no RESP: nothing behind it can be trusted. */
export class ProtocolError extends Error {}

export class RespParser {
  readonly #taker: ReplyTaker;
  /** What has come of a reply that is not complete. */
  #rest: Buffer = EMPTY;
  /** Chunks behind it: they are joined when there are enough bytes. */
  #chunks: Buffer[] = [];
  #chunkBytes = 0;
  /** So many bytes more have to come before it is worth to look again. */
  #missing = 0;
  // of the reply that is being read
  #bytes: Buffer = EMPTY;
  #at = 0;
  #isPush = false;

  constructor(taker: ReplyTaker) {
    this.#taker = taker;
  }

  /** Hands out all replies that are complete. Throws ProtocolError. What is kept of the bytes is copied. */
  take(chunk: Buffer): void {
    if (this.#chunkBytes + chunk.length < this.#missing) {
      this.#chunks.push(Buffer.from(chunk));
      this.#chunkBytes += chunk.length;
      return;
    }
    this.#bytes =
      this.#rest.length === 0 && this.#chunkBytes === 0
        ? chunk
        : Buffer.concat([this.#rest, ...this.#chunks, chunk]);
    this.#chunks = [];
    this.#chunkBytes = 0;
    this.#missing = 0;
    let from = 0;
    while (from < this.#bytes.length) {
      this.#at = from;
      this.#isPush = false;
      const reply = this.#read(0);
      if (reply === undefined) break;
      from = this.#at;
      if (this.#isPush) this.#taker.push(reply as readonly Reply[]);
      else this.#taker.reply(reply);
    }
    this.#rest = from === this.#bytes.length ? EMPTY : Buffer.from(this.#bytes.subarray(from));
    this.#bytes = EMPTY;
    if (this.#rest.length + this.#missing > REPLY_BYTES_MAX)
      throw new ProtocolError(`a reply is longer than the limit of ${REPLY_BYTES_MAX} bytes`);
  }

  /** The value at `#at`, which goes behind it; undefined: it is not complete. */
  #read(depth: number): Reply | undefined {
    if (depth > REPLY_DEPTH_MAX) throw new ProtocolError(`a reply has more than ${REPLY_DEPTH_MAX} levels`);
    const type = this.#bytes[this.#at];
    const end = this.#lineEnd();
    if (end === undefined) return undefined;
    const from = this.#at + 1;
    switch (type) {
      case 36: // $
      case 61: // =
      case 33: // !
        return this.#readBulk(type, from, end);
      case 58: // :
      case 40: // (
        this.#at = end + 2;
        return this.#integer(from, end);
      case 43: // +
        return this.#line(from, end);
      case 45: // -
        return new ReplyError(this.#line(from, end));
      case 95: // _
        this.#at = end + 2;
        return null;
      case 35: // #
        return this.#line(from, end) === 't';
      case 44: // ,
        return Number(this.#line(from, end).replace('inf', 'Infinity'));
      case 42: // *
      case 126: // ~
        return this.#readArray(from, end, 1, depth);
      case 62: // >
        if (depth === 0) this.#isPush = true;
        return this.#readArray(from, end, 1, depth);
      case 37: // %
        return this.#readArray(from, end, 2, depth);
      case 124: // |, which stands before the value that it is about
        if (this.#readArray(from, end, 2, depth) === undefined) return undefined;
        return this.#read(depth + 1);
      default:
        throw new ProtocolError(`byte ${type} begins no reply`);
    }
  }

  /** Where the line that begins at `#at` ends. */
  #lineEnd(): number | undefined {
    const bytes = this.#bytes;
    const end = bytes.indexOf(LF, this.#at);
    if (end === -1) {
      if (bytes.length - this.#at > LINE_BYTES_MAX)
        throw new ProtocolError(`a line is longer than ${LINE_BYTES_MAX} bytes`);
      return undefined;
    }
    if (bytes[end - 1] !== CR) throw new ProtocolError('a line does not end with CR LF');
    return end - 1;
  }

  #line(from: number, end: number): string {
    this.#at = end + 2;
    return this.#bytes.toString('latin1', from, end);
  }

  #integer(from: number, end: number): number | bigint {
    const bytes = this.#bytes;
    // nearly all of them are short
    if (end - from > 0 && end - from < 16) {
      let value = 0;
      const isNegative = bytes[from] === 45;
      for (let i = isNegative ? from + 1 : from; i < end; i++) {
        const digit = (bytes[i] as number) - 48;
        if (digit < 0 || digit > 9) throw new ProtocolError('an integer has other characters than digits');
        value = value * 10 + digit;
      }
      return isNegative ? -value : value;
    }
    const text = bytes.toString('latin1', from, end);
    if (!/^-?\d{1,40}$/.test(text)) throw new ProtocolError('an integer has other characters than digits');
    const value = BigInt(text);
    return Number.isSafeInteger(Number(value)) ? Number(value) : value;
  }

  #length(from: number, end: number, max: number): number {
    const length = this.#integer(from, end);
    if (typeof length !== 'number' || length < -1 || length > max)
      throw new ProtocolError(`a length is ${length} and the limit is ${max}`);
    return length;
  }

  #readBulk(type: number, from: number, end: number): Reply | undefined {
    const size = this.#length(from, end, REPLY_BYTES_MAX);
    this.#at = end + 2;
    if (size === -1) return null;
    const behind = this.#at + size;
    if (behind + 2 > this.#bytes.length) {
      this.#missing = behind + 2 - this.#bytes.length;
      return undefined;
    }
    if (this.#bytes[behind] !== CR || this.#bytes[behind + 1] !== LF)
      throw new ProtocolError('a string does not end where its length says');
    // what stands before a text that is shown: "txt:"
    const start = type === 61 ? Math.min(this.#at + 4, behind) : this.#at;
    this.#at = behind + 2;
    if (type === 33) return new ReplyError(this.#bytes.toString('latin1', start, behind));
    return Buffer.from(this.#bytes.subarray(start, behind));
  }

  #readArray(from: number, end: number, each: number, depth: number): Reply[] | null | undefined {
    const count = this.#length(from, end, REPLY_ELEMENTS_MAX);
    this.#at = end + 2;
    if (count === -1) return null;
    const values: Reply[] = [];
    for (let i = 0; i < count * each; i++) {
      if (this.#at >= this.#bytes.length) return undefined;
      const value = this.#read(depth + 1);
      if (value === undefined) return undefined;
      values.push(value);
    }
    return values;
  }
}
