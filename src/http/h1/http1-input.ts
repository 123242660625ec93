/**
 * Parses what arrives on an HTTP/1 connection: whole heads within their limits and bodies, one request at a time, with what
 * waits behind it bounded (RFC 9112 §2.2, §3, §9.3.2). A head that lies whole in what a read has brought is not copied.
 */
import type { ErrorCode } from '../../base/error-codes.ts';
import { readLatin1 } from '../../native/node-internals.ts';
import { FIELDS_MAX, type Fields, isBlank } from '../semantics/fields.ts';
import { ChunkDecoder } from './http1-chunks.ts';
import { parseFieldLines } from './http1-fields.ts';
import type { Http1Request, RequestLine } from './http1-request.ts';

/** Bytes that may wait behind the request being served; with more the socket is not read. */
const PIPELINE_BYTES_MAX = 64 * 1024;
/** Empty lines before a request line that are overlooked (RFC 9112 §2.2 asks for one). */
const EMPTY_LINES_MAX = 8;
/** Longer names of methods nobody has registered. */
const METHOD_LENGTH_MAX = 64;
/** A connection keeps at least this much room once something had to wait. */
const HELD_BYTES_MIN = 1024;
/** A longer head is parsed each time: its bytes would stay in memory as long as its connection is open. */
const KNOWN_HEAD_BYTES_MAX = 2 * 1024;
/** A call into the runtime costs more than a comparison of so few bytes by a loop. */
const COMPARED_BYTES_MIN = 96;

/** Why the client is refused, in its own words for the log. */
export interface InputFault {
  readonly status: number;
  readonly code: ErrorCode;
  readonly reason: string;
}

export interface InputSink {
  /** True while the next request may be taken. */
  readonly takesRequest: boolean;
  /** Content that a body may have; Infinity = no limit. */
  readonly bodyBytesMax: number;
  /** Makes a request of its line and its fields, which are well-formed. */
  readRequest(line: RequestLine, fields: Fields): Http1Request;
  /** A request begins; its body follows. */
  takeRequest(request: Http1Request): void;
  /** Content of the body. The bytes are only lent. */
  takeBody(content: Buffer): void;
  /** The body of the request is complete; not called for a request without one. */
  endBody(trailers?: Fields): void;
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
  /** The last head that was well-formed: a client that repeats it byte for byte asks for the same. */
  #knownBytes: Buffer | undefined;
  #known: Http1Request | undefined;

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

  /** True once all that comes belongs to the exchange that has opened a tunnel. */
  get isTunnel(): boolean {
    return this.#bodyBytes === Number.POSITIVE_INFINITY;
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

  /** Whatever comes is content of the request that is being served, without an end of its own. */
  openTunnel(): void {
    this.#bodyBytes = Number.POSITIVE_INFINITY;
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
    if (chunks !== undefined) return this.#takeChunks(chunks, bytes, at);
    const end = Math.min(bytes.length, at + this.#bodyBytes);
    this.#bodyBytes -= end - at;
    const ended = this.#bodyBytes === 0;
    this.#sink.takeBody(bytes.subarray(at, end));
    if (ended && !this.#stopped) this.#sink.endBody();
    return end - at;
  }

  #takeChunks(chunks: ChunkDecoder, bytes: Buffer, at: number): number {
    const end = chunks.decode(bytes, at);
    const { refusal, done, contentStart, contentEnd } = chunks;
    if (refusal !== 0 || done) this.#chunks = undefined;
    if (contentEnd > contentStart) this.#sink.takeBody(bytes.subarray(contentStart, contentEnd));
    if (this.#stopped) return end - at;
    if (chunks.isTooLarge) {
      const reason = `its chunks have more than the limit of ${this.#sink.bodyBytesMax} bytes (--max-body)`;
      this.#refuse(refusal, 'LGW_BODY_TOO_LARGE', reason);
    } else if (refusal !== 0) {
      const reason = 'chunked coding is not well-formed, or has too much around it';
      this.#refuse(refusal, 'LGW_BODY_MALFORMED', reason);
    } else if (done) this.#sink.endBody(chunks.trailers);
    return end - at;
  }

  // ---- head ----

  /** Returns the size of what was taken: a whole head, an empty line, or nothing. */
  #takeHead(bytes: Buffer, at: number): number {
    if (!this.#sink.takesRequest) return 0;
    if (this.#scanned === 0 && this.#repeatsKnown(bytes, at))
      return this.#begin(this.#known as Http1Request, (this.#knownBytes as Buffer).length);
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
      else if (isBlank(bytes[start] as number)) {
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

  /** The bytes from `at` to `end` are a whole head. */
  #finishHead(bytes: Buffer, at: number, end: number): number {
    const line = this.#line as RequestLine;
    const text = readLatin1(bytes, at, end);
    const fields = parseFieldLines(text, text.indexOf('\n') + 1);
    if (fields === undefined) {
      this.#refuseHead('a field line is not well-formed');
      return 0;
    }
    this.#lineStart = 0;
    this.#scanned = 0;
    this.#lines = 0;
    this.#line = undefined;
    const request = this.#sink.readRequest(line, fields);
    if (request.refusal === 0 && end - at <= KNOWN_HEAD_BYTES_MAX) {
      this.#known = request;
      this.#knownBytes = Buffer.allocUnsafeSlow(end - at);
      bytes.copy(this.#knownBytes, 0, at, end);
    }
    return this.#begin(request, end - at);
  }

  #repeatsKnown(bytes: Buffer, at: number): boolean {
    const known = this.#knownBytes;
    if (known === undefined) return false;
    const size = known.length;
    if (bytes.length - at < size) return false;
    if (size >= COMPARED_BYTES_MIN) return known.compare(bytes, at, at + size) === 0;
    for (let i = 0; i < size; i++) if (bytes[at + i] !== known[i]) return false;
    return true;
  }

  /** Gives the request to the sink, which may answer it at once, and knows what follows then. */
  #begin(request: Http1Request, headBytes: number): number {
    this.#emptyLines = 0;
    const { chunked, declaredLength } = request.framing;
    if (chunked) this.#chunks = new ChunkDecoder(this.#headBytesMax, this.#sink.bodyBytesMax, true);
    else this.#bodyBytes = declaredLength ?? 0;
    this.#sink.takeRequest(request);
    return headBytes;
  }

  /** `start`: where the line begins whose end has not come, or comes too late. */
  #checkPartial(bytes: Buffer, at: number, start: number): void {
    const size = bytes.length - at;
    if (this.#lines === 0) {
      const begun = readLatin1(bytes, at, Math.min(at + METHOD_LENGTH_MAX + 1, bytes.length));
      if (!BEGUN_METHOD.test(begun)) this.#refuseLine(begun);
      else if (size > this.#headBytesMax) {
        const reason = `the request line is longer than ${this.#headBytesMax} bytes`;
        this.#refuse(414, 'LGW_TARGET_TOO_LONG', reason);
      }
    } else if (size > this.#headBytesMax) {
      this.#refuse(431, 'LGW_HEAD_TOO_LARGE', `the head is longer than ${this.#headBytesMax} bytes`);
    } else if (isBlank(bytes[start] as number)) {
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

const LF = 10;
const CR = 13;

const REQUEST_LINE = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+) ([\x21-\x7e]+) HTTP\/(\d)\.(\d)$/;
const BEGUN_METHOD = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,64}(?: |\r?$)/;
const LONG_METHOD = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]{65}/;
