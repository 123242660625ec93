/**
 * What arrives on an HTTP/1 connection, cut into heads and bodies before a parser sees any of it: whole heads within their
 * limits, one request at a time, with what waits behind it bounded (RFC 9112 §2.2, §3, §9.3.2).
 */
import type { ErrorCode } from '../../base/error-codes.ts';
import { readLatin1 } from '../../native/node-internals.ts';
import { FIELDS_MAX } from '../semantics/fields.ts';
import { ChunkDecoder } from './http1-chunks.ts';

/** Bytes that may wait behind the request being served; with more the socket is not read. */
const PIPELINE_BYTES_MAX = 64 * 1024;
/** Empty lines before a request line that are overlooked (RFC 9112 §2.2 asks for one). */
const EMPTY_LINES_MAX = 8;
/** Longer names of methods nobody has registered. */
const METHOD_LENGTH_MAX = 64;
/** A connection keeps at least this much room once something had to wait. */
const HELD_BYTES_MIN = 1024;

/** What a request line says, but for its target. */
export interface RequestLine {
  readonly method: string;
  readonly target: string;
  /** Of HTTP/1: 0, or 1 for all later ones (RFC 9110 §2.5). */
  readonly minor: number;
}

/** How the end of the request's body is told; both nothing: it has none. */
export interface BodyFraming {
  readonly declaredLength: number | undefined;
  readonly chunked: boolean;
}

/** Why the client is refused, in its own words for the log. */
export interface InputFault {
  readonly status: number;
  readonly code: ErrorCode;
  readonly reason: string;
}

export interface InputSink {
  /** True while the next request may be taken. */
  readonly takesRequest: boolean;
  /** A whole head, its blank line included. Returns how the body is framed, or undefined when nothing follows any more. */
  takeHead(line: RequestLine, bytes: Buffer): BodyFraming | undefined;
  /** Bytes of the body in their coding, or in another chunked one; `last`: with them it ends. */
  takeBody(bytes: Buffer, last: boolean): void;
  /** Nothing that follows is looked at. `line`: as far as the head had come. */
  refuse(fault: InputFault, line: RequestLine | undefined): void;
}

export class Http1Input {
  readonly #sink: InputSink;
  readonly #headBytesMax: number;
  /** What could not be taken yet, at the beginning of a buffer with room. */
  #room: Buffer | undefined;
  #heldBytes = 0;
  #consuming = false;
  #stopped = false;
  /** Bytes of the body that are to come, or its decoder. */
  #bodyBytes = 0;
  #chunks: ChunkDecoder | undefined;
  // how far the head has been looked at
  #emptyLines = 0;
  /** Where the line begins whose end is looked for, and from where on; from the head's beginning. */
  #lineStart = 0;
  #scanned = 0;
  #lines = 0;
  #line: RequestLine | undefined;

  constructor(headBytesMax: number, sink: InputSink) {
    this.#headBytesMax = headBytesMax;
    this.#sink = sink;
  }

  /** True when nothing is waiting to be taken. */
  get isEmpty(): boolean {
    return this.#heldBytes === 0;
  }

  /** True while more waits than may. */
  get isFull(): boolean {
    return this.#heldBytes >= PIPELINE_BYTES_MAX && !this.#sink.takesRequest;
  }

  /** True while what has come is taken, which goes on with the next request by itself. */
  get isConsuming(): boolean {
    return this.#consuming;
  }

  /** True within a body. */
  get isAmidBody(): boolean {
    return this.#bodyBytes > 0 || this.#chunks !== undefined;
  }

  /** The head that has begun to arrive, as far as it is known. */
  get line(): RequestLine | undefined {
    return this.#line;
  }

  /** Takes a chunk, which is only lent. */
  receive(chunk: Buffer): void {
    if (this.#stopped) return;
    if (this.#heldBytes === 0) {
      const taken = this.#consume(chunk);
      if (!this.#stopped) this.#hold(chunk, taken);
      return;
    }
    this.#hold(chunk, 0);
    this.continue();
  }

  /** The next request may be taken. */
  continue(): void {
    if (this.#consuming || this.#heldBytes === 0 || this.#room === undefined) return;
    const taken = this.#consume(this.#room.subarray(0, this.#heldBytes));
    if (taken === 0 || this.#heldBytes === 0) return;
    this.#room.copyWithin(0, taken, this.#heldBytes);
    this.#heldBytes -= taken;
    if (this.#heldBytes === 0) this.#room = undefined;
  }

  /** Nothing is taken any more. */
  stop(): void {
    this.#stopped = true;
    this.#room = undefined;
    this.#heldBytes = 0;
  }

  /** Returns how many bytes were taken. */
  #consume(bytes: Buffer): number {
    let at = 0;
    this.#consuming = true;
    while (at < bytes.length && !this.#stopped) {
      const size = this.isAmidBody ? this.#takeBody(bytes, at) : this.#takeHead(bytes, at);
      if (size === 0) break;
      at += size;
    }
    this.#consuming = false;
    return at;
  }

  #hold(chunk: Buffer, from: number): void {
    const size = chunk.length - from;
    if (size === 0) return;
    const needed = this.#heldBytes + size;
    if (this.#room === undefined || this.#room.length < needed) {
      const grown = Buffer.allocUnsafeSlow(Math.max(HELD_BYTES_MIN, 2 ** Math.ceil(Math.log2(needed))));
      this.#room?.copy(grown, 0, 0, this.#heldBytes);
      this.#room = grown;
    }
    chunk.copy(this.#room, this.#heldBytes, from);
    this.#heldBytes = needed;
  }

  // ---- body ----

  #takeBody(bytes: Buffer, at: number): number {
    const chunks = this.#chunks;
    if (chunks === undefined) {
      const end = Math.min(bytes.length, at + this.#bodyBytes);
      this.#bodyBytes -= end - at;
      this.#sink.takeBody(bytes.subarray(at, end), this.#bodyBytes === 0);
      return end - at;
    }
    const end = chunks.decode(bytes, at);
    const { coded } = chunks;
    if (chunks.refusal !== 0) {
      this.#chunks = undefined;
      if (coded.length > 0) this.#sink.takeBody(coded, false);
      this.#refuse(
        chunks.refusal,
        'LGW_BODY_MALFORMED',
        'chunked coding is not well-formed, or has too much around it',
      );
      return 0;
    }
    const last = chunks.done;
    if (last) this.#chunks = undefined;
    if (coded.length > 0) this.#sink.takeBody(coded, last);
    return end - at;
  }

  // ---- head ----

  /** Returns the size of what was taken: a whole head, an empty line, or nothing. */
  #takeHead(bytes: Buffer, at: number): number {
    if (!this.#sink.takesRequest) return 0;
    if (this.#scanned === 0 && bytes[at] === CR && (at + 1 === bytes.length || bytes[at + 1] === LF))
      return this.#takeEmptyLine(bytes.length - at);
    for (;;) {
      const start = at + this.#lineStart;
      const end = bytes.indexOf(LF, at + this.#scanned);
      if (end === -1 || end - at >= this.#headBytesMax) {
        this.#scanned = bytes.length - at;
        this.#checkPartial(bytes, at, start);
        return 0;
      }
      if (end === at || bytes[end - 1] !== CR) {
        this.#refuseHead('a line does not end with CR LF');
        return 0;
      }
      if (this.#lines === 0) {
        if (!this.#readRequestLine(readLatin1(bytes, at, end - 1))) return 0;
      } else if (end - 1 === start) return this.#finishHead(bytes, at, end + 1);
      else if (bytes[start] === SPACE || bytes[start] === TAB) {
        this.#refuseHead('a field line begins with a blank');
        return 0;
      }
      this.#lines += 1;
      this.#lineStart = end + 1 - at;
      this.#scanned = this.#lineStart;
      if (this.#lines > FIELDS_MAX + 1) {
        this.#refuse(431, 'LGW_HEAD_TOO_LARGE', `the head has more than ${FIELDS_MAX} fields`);
        return 0;
      }
    }
  }

  #takeEmptyLine(size: number): number {
    if (size < 2) return 0;
    this.#emptyLines += 1;
    if (this.#emptyLines <= EMPTY_LINES_MAX) return 2;
    this.#refuseHead(`more than ${EMPTY_LINES_MAX} empty lines precede a request`);
    return 0;
  }

  #finishHead(bytes: Buffer, at: number, end: number): number {
    const line = this.#line as RequestLine;
    this.#emptyLines = 0;
    this.#lineStart = 0;
    this.#scanned = 0;
    this.#lines = 0;
    this.#line = undefined;
    const framing = this.#sink.takeHead(line, bytes.subarray(at, end));
    if (framing === undefined) this.stop();
    else if (framing.chunked) this.#chunks = new ChunkDecoder(this.#headBytesMax);
    else this.#bodyBytes = framing.declaredLength ?? 0;
    return end - at;
  }

  /** `start`: where the line begins whose end has not come, or comes too late. */
  #checkPartial(bytes: Buffer, at: number, start: number): void {
    const size = bytes.length - at;
    if (size > this.#headBytesMax) {
      if (this.#lines === 0)
        this.#refuse(
          414,
          'LGW_TARGET_TOO_LONG',
          `the request line is longer than ${this.#headBytesMax} bytes`,
        );
      else this.#refuse(431, 'LGW_HEAD_TOO_LARGE', `the head is longer than ${this.#headBytesMax} bytes`);
    } else if (this.#lines === 0) {
      const begun = readLatin1(bytes, at, Math.min(at + METHOD_LENGTH_MAX + 1, bytes.length));
      if (!BEGUN_METHOD.test(begun)) this.#refuseLine(begun);
    } else if (bytes[start] === SPACE || bytes[start] === TAB) {
      this.#refuseHead('a field line begins with a blank');
    }
  }

  #readRequestLine(text: string): boolean {
    const match = REQUEST_LINE.exec(text);
    if (match === null) {
      this.#refuseLine(text);
      return false;
    }
    const [, method = '', target = '', major, minor] = match;
    this.#line = { method, target, minor: major === '1' && minor === '0' ? 0 : 1 };
    if (major !== '1') this.#refuse(505, 'LGW_VERSION', `HTTP/${major}.${minor} is not spoken here`);
    else if (method.length > METHOD_LENGTH_MAX) this.#refuse(501, 'LGW_METHOD', 'the method is not known');
    else if (method === 'CONNECT') this.#refuse(501, 'LGW_METHOD', 'this is no proxy');
    else return true;
    return false;
  }

  #refuseLine(text: string): void {
    if (LONG_METHOD.test(text)) this.#refuse(501, 'LGW_METHOD', 'the method is not known');
    else this.#refuseHead('the request line is not well-formed');
  }

  #refuseHead(reason: string): void {
    this.#refuse(400, 'LGW_HEAD_MALFORMED', reason);
  }

  #refuse(status: number, code: InputFault['code'], reason: string): void {
    const line = this.#line;
    this.stop();
    this.#sink.refuse({ status, code, reason }, line);
  }
}

const TAB = 9;
const LF = 10;
const CR = 13;
const SPACE = 32;

const REQUEST_LINE = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+) ([\x21-\x7e\x80-\xff]+) HTTP\/(\d)\.(\d)$/;
const BEGUN_METHOD = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,64}(?: |\r?$)/;
const LONG_METHOD = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]{65}/;
