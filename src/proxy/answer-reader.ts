/** Takes what an HTTP/1.x upstream sends apart: heads within their limit, bodies by their framing, and where an answer ends (RFC 9112 §6.3). */
import { ChunkDecoder } from '../http/h1/http1-chunks.ts';
import { FIELDS_MAX, type Fields } from '../http/semantics/fields.ts';
import type { AnswerHead } from './answer-head.ts';
import type { KnownAnswers } from './known-answers.ts';
import {
  ANSWER_HEAD_BYTES_MAX,
  ANSWER_TRAILER_BYTES_MAX,
  INFORMATIONAL_HEADS_MAX,
  WHOLE_BODY_BYTES_MAX,
} from './proxy-limits.ts';

/** Hears what has come. It may stop the reader in any of these calls. */
export interface AnswerSink {
  /** Neither 100 nor 101. */
  informational(head: AnswerHead): void;
  /** 101. */
  switching(head: AnswerHead): void;
  /** A final answer whose body, perhaps none, has come with it. `isClean`: nothing stands behind it. */
  whole(head: AnswerHead, body: Buffer, isClean: boolean): void;
  head(head: AnswerHead): void;
  /** Lent. */
  body(bytes: Buffer): void;
  end(trailers: Fields | undefined, isClean: boolean): void;
  /** Bytes that nobody has asked for. */
  unasked(): void;
  malformed(reason: string): void;
}

/** No answer is awaited. */
const IDLE = 0;
const HEAD = 1;
const LENGTH = 2;
const CHUNKED = 3;
/** The body ends with the connection. */
const UNTIL_CLOSE = 4;
const TUNNEL = 5;
const STOPPED = 6;

/** What is kept of a head that has not come whole has at least this much room. */
const ROOM_BYTES_MIN = 2048;
const LF = 10;
const CR = 13;

export class AnswerReader {
  readonly #sink: AnswerSink;
  readonly #known: KnownAnswers;
  #state = IDLE;
  #isHead = false;
  #informationals = 0;
  /** Bytes of the body that are to come. */
  #left = 0;
  #chunks: ChunkDecoder | undefined;
  /** A head that has not come whole, at the beginning of a buffer with room. */
  #room: Buffer | undefined;
  #heldBytes = 0;
  /** How much of a head has been looked at, where its last line begins, and the lines that were seen in it. */
  #scanned = 0;
  #lineStart = 0;
  #lines = 0;

  constructor(sink: AnswerSink, known: KnownAnswers) {
    this.#sink = sink;
    this.#known = known;
  }

  /** True when something of the answer has come. */
  get hasBegun(): boolean {
    return this.#state > HEAD || this.#heldBytes > 0 || this.#informationals > 0;
  }

  /** A request is about to be sent. */
  begin(method: string): void {
    this.#state = HEAD;
    this.#isHead = method === 'HEAD';
    this.#informationals = 0;
  }

  /** Nothing is looked at any more. */
  stop(): void {
    this.#state = STOPPED;
    this.#room = undefined;
    this.#heldBytes = 0;
  }

  /** The upstream has ended its side. True: that was the end of the body. */
  endsHere(): boolean {
    return this.#state === UNTIL_CLOSE || this.#state === TUNNEL;
  }

  /** Takes bytes, which are only lent, and may be changed. */
  receive(bytes: Buffer): void {
    if (this.#heldBytes === 0) {
      const at = this.#consume(bytes);
      if (this.#state === HEAD && at < bytes.length) this.#hold(bytes, at);
      return;
    }
    this.#hold(bytes, 0);
    const room = this.#room as Buffer;
    const at = this.#consume(room.subarray(0, this.#heldBytes));
    if (this.#state === HEAD && at < this.#heldBytes) {
      room.copyWithin(0, at, this.#heldBytes);
      this.#heldBytes -= at;
      return;
    }
    this.#room = undefined;
    this.#heldBytes = 0;
  }

  /** Returns how much was taken. */
  #consume(bytes: Buffer): number {
    let at = 0;
    while (at < bytes.length) {
      let size = 0;
      switch (this.#state) {
        case IDLE:
          this.#state = STOPPED;
          this.#sink.unasked();
          return bytes.length;
        case STOPPED:
          return bytes.length;
        case HEAD:
          size = this.#takeHead(bytes, at);
          if (size === 0) return at;
          break;
        case LENGTH:
          size = this.#takeLength(bytes, at);
          break;
        case CHUNKED:
          size = this.#takeChunks(bytes, at);
          break;
        default:
          size = bytes.length - at;
          this.#sink.body(at === 0 ? bytes : bytes.subarray(at));
      }
      at += size;
    }
    return at;
  }

  #takeLength(bytes: Buffer, at: number): number {
    const end = Math.min(bytes.length, at + this.#left);
    this.#left -= end - at;
    const isLast = this.#left === 0;
    this.#sink.body(bytes.subarray(at, end));
    if (isLast && this.#state === LENGTH) this.#end(undefined, end === bytes.length);
    return end - at;
  }

  #takeChunks(bytes: Buffer, at: number): number {
    const chunks = this.#chunks as ChunkDecoder;
    const end = chunks.decode(bytes, at);
    const { refusal, done, contentStart, contentEnd, trailers } = chunks;
    if (contentEnd > contentStart) this.#sink.body(bytes.subarray(contentStart, contentEnd));
    if (this.#state !== CHUNKED) return end - at;
    if (refusal !== 0) this.#refuse('its chunked coding is not well-formed, or has too much around it');
    else if (done) {
      this.#chunks = undefined;
      this.#end(trailers, end === bytes.length);
    }
    return end - at;
  }

  #end(trailers: Fields | undefined, isClean: boolean): void {
    this.#state = isClean ? IDLE : STOPPED;
    this.#sink.end(trailers, isClean);
  }

  // ---- head ----

  /** Returns the size of what was taken: a head, perhaps with its body, or nothing. */
  #takeHead(bytes: Buffer, at: number): number {
    if (this.#scanned === 0) {
      const known = this.#known.find(bytes, at);
      if (known !== undefined) return this.#begin(known, bytes, at, at + this.#known.size);
    }
    for (;;) {
      const end = bytes.indexOf(LF, at + this.#scanned);
      const size = (end === -1 ? bytes.length : end + 1) - at;
      if (size > ANSWER_HEAD_BYTES_MAX)
        return this.#refuse(`its head is longer than ${ANSWER_HEAD_BYTES_MAX} bytes`);
      if (end === -1) {
        this.#scanned = size;
        return 0;
      }
      if (end === at || bytes[end - 1] !== CR)
        return this.#refuse('a line of its head does not end with CR LF');
      const isBlank = size === this.#lineStart + 2 && this.#lines > 0;
      this.#scanned = size;
      this.#lineStart = size;
      this.#lines += 1;
      if (this.#lines > FIELDS_MAX + 2) return this.#refuse(`its head has more than ${FIELDS_MAX} fields`);
      if (!isBlank) continue;
      this.#scanned = 0;
      this.#lineStart = 0;
      this.#lines = 0;
      const head = this.#known.read(bytes, at, end + 1);
      return typeof head === 'string' ? this.#refuse(head) : this.#begin(head, bytes, at, end + 1);
    }
  }

  #begin(head: AnswerHead, bytes: Buffer, at: number, end: number): number {
    const { status, chunked, contentLength } = head;
    if (status < 200) this.#takeInformational(head);
    else if (this.#isHead || status === 204 || status === 304 || contentLength === 0) {
      const isClean = end === bytes.length;
      this.#state = isClean ? IDLE : STOPPED;
      this.#sink.whole(head, NOTHING, isClean);
    } else if (chunked) {
      this.#state = CHUNKED;
      this.#chunks = new ChunkDecoder(ANSWER_TRAILER_BYTES_MAX, Number.POSITIVE_INFINITY, true);
      this.#sink.head(head);
    } else if (contentLength === undefined) {
      this.#state = UNTIL_CLOSE;
      this.#sink.head(head);
    } else if (contentLength <= WHOLE_BODY_BYTES_MAX && bytes.length - end >= contentLength) {
      const last = end + contentLength;
      const isClean = last === bytes.length;
      this.#state = isClean ? IDLE : STOPPED;
      this.#sink.whole(head, bytes.subarray(end, last), isClean);
      return last - at;
    } else {
      this.#state = LENGTH;
      this.#left = contentLength;
      this.#sink.head(head);
    }
    return end - at;
  }

  #takeInformational(head: AnswerHead): void {
    this.#informationals += 1;
    if (head.status === 101) {
      this.#state = TUNNEL;
      this.#sink.switching(head);
    } else if (this.#informationals > INFORMATIONAL_HEADS_MAX)
      this.#refuse(`more than ${INFORMATIONAL_HEADS_MAX} informational heads precede it`);
    else if (head.status !== 100) this.#sink.informational(head);
  }

  #hold(bytes: Buffer, from: number): void {
    const needed = this.#heldBytes + bytes.length - from;
    if (this.#room === undefined || this.#room.length < needed) {
      const grown = Buffer.allocUnsafeSlow(Math.max(ROOM_BYTES_MIN, 2 ** Math.ceil(Math.log2(needed))));
      this.#room?.copy(grown, 0, 0, this.#heldBytes);
      this.#room = grown;
    }
    bytes.copy(this.#room, this.#heldBytes, from);
    this.#heldBytes = needed;
  }

  #refuse(reason: string): number {
    this.stop();
    this.#sink.malformed(reason);
    return 0;
  }
}

const NOTHING: Buffer = Buffer.alloc(0);
