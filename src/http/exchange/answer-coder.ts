/**
 * The body of one answer on its way through a coding: decides when the first bytes have to leave whether it is compressed, and
 * then does so a piece at a time in libuv's pool, or at once where the body is short.
 */
import type { Transform } from 'node:stream';
import { GatewayError } from '../../base/errors.ts';
import { codedFields, fieldsOfUnchanged, readFacts, variedFields } from '../coding/coded-fields.ts';
import { type Coding, createEncoder, encodeNow, gzipLevel } from '../coding/codings.ts';
import { type Compression, PIECE_BYTES_MAX } from '../coding/compression.ts';
import type { GzipBodies } from '../coding/gzip-bodies.ts';
import type { PoolJob } from '../coding/pool-turns.ts';
import { fieldValue } from '../semantics/fields.ts';
import { isBodyless } from '../semantics/status.ts';
import { CHUNK_BYTES_MAX, giveChunk } from './chunk-pool.ts';
import type { AnswerCompression } from './exchange.ts';
import type { OutgoingHead } from './outgoing-head.ts';
import type { RequestHead } from './request-head.ts';
import { ResponseBuffer } from './response-buffer.ts';

/**
 * Up to this size a whole body is compressed at once (bytes): at the default levels that takes the thread some 100 µs, and a turn in the
 * pool, with what Node makes for it, three times as much of the process.
 */
const AT_ONCE_BYTES_MAX = 4 * 1024;
/** Nothing more is compressed while so much waits for the client (bytes). */
const CODED_BYTES_MAX = 64 * 1024;

const PARTIAL_CONTENT = 206;
const NOT_MODIFIED = 304;

/** What is asked of the exchange. */
interface CodedExchange {
  /** More of the body is coded, or all of it. */
  coded(): void;
  fail(reason: GatewayError): void;
}

/** The coder of an answer whose head has been given; undefined where the body goes as it is, whatever its length. */
export function createAnswerCoder(
  exchange: CodedExchange,
  compression: Compression,
  wish: AnswerCompression | false | undefined,
  request: RequestHead,
  head: OutgoingHead,
): AnswerCoder | undefined {
  if (wish === false || request.method === 'CONNECT') return undefined;
  const { status, responseFields } = head;
  const { contentType, isFinal } = readFacts(responseFields);
  const isWanted = wish !== undefined || compression.listsType(contentType);
  if (status === NOT_MODIFIED || status === PARTIAL_CONTENT) {
    // they say of the whole answer what it would say of itself (RFC 9110 §15.3.7, §15.4.5)
    if (isWanted) head.responseFields = variedFields(responseFields);
    if (status === NOT_MODIFIED)
      head.responseFields = fieldsOfUnchanged(
        head.responseFields,
        fieldValue(request.fields, 'if-none-match'),
      );
    return undefined;
  }
  if (isFinal || !isWanted || isBodyless(status)) return undefined;
  return new AnswerCoder(exchange, compression, wish ?? {}, request, head);
}

export class AnswerCoder implements PoolJob {
  readonly #exchange: CodedExchange;
  readonly #compression: Compression;
  readonly #wish: AnswerCompression;
  readonly #request: RequestHead;
  readonly #head: OutgoingHead;
  /** What the handler has written. */
  #written: ResponseBuffer | undefined;
  /** What the client gets. */
  readonly output: ResponseBuffer = new ResponseBuffer();
  #coding: Coding | undefined;
  #encoder: Transform | undefined;
  /** Length of a body that is compressed in one piece. */
  #wholeLength: number | undefined;
  /** The memory of a coder is counted for it. */
  #isAdmitted = false;
  #isFlushed = false;
  #hasEnded = false;
  /** It waits for a turn in the pool, or has one. */
  #isBusy = false;
  #isDropped = false;
  /** All of the body is in `output`. */
  isComplete = false;

  constructor(
    exchange: CodedExchange,
    compression: Compression,
    wish: AnswerCompression,
    request: RequestHead,
    head: OutgoingHead,
  ) {
    this.#exchange = exchange;
    this.#compression = compression;
    this.#wish = wish;
    this.#request = request;
    this.#head = head;
  }

  /** `decide` has been called. */
  get isDecided(): boolean {
    return this.#written !== undefined;
  }

  /** The head waits for the length of the coded body, or for its first bytes. */
  get holdsHead(): boolean {
    return this.#isBusy && (this.#wholeLength !== undefined || this.output.length === 0);
  }

  /**
   * Chooses the coding, when the head is about to be sent; changes the fields of the head. `writtenLength`: of all that was
   * written, where that has come to its end. False: the body goes as it is.
   */
  decide(written: ResponseBuffer, writtenLength: number | undefined): boolean {
    const head = this.#head;
    // a handler that answers HEAD with a body nobody has written or measured does not say how long it would be: it is taken for long
    const isUnknown = head.bodyless && writtenLength === 0;
    const length = head.declaredLength ?? (isUnknown ? undefined : writtenLength);
    const bytesMin = Math.max(1, this.#wish.bytesMin ?? this.#compression.bytesMin);
    if (length !== undefined && length < bytesMin) return false;
    const fields = variedFields(head.responseFields);
    head.responseFields = fields;
    const coding = this.#compression.choose(fieldValue(this.#request.fields, 'accept-encoding'));
    if (coding === undefined) return false;
    if (head.bodyless) {
      head.code(codedFields(fields, coding));
      return false;
    }
    if (writtenLength !== undefined && writtenLength <= PIECE_BYTES_MAX) this.#wholeLength = writtenLength;
    else if (this.#compression.admit(coding)) this.#isAdmitted = true;
    else return false;
    this.#coding = coding;
    this.#written = written;
    this.#compression.count();
    head.code(codedFields(fields, coding));
    return true;
  }

  /** What has been written so far is not to wait for more. */
  flush(): void {
    this.#isFlushed = true;
  }

  /** Compresses what there is, as far as that has a purpose now. */
  work(hasEnded: boolean): void {
    this.#hasEnded = hasEnded;
    const written = this.#written as ResponseBuffer;
    if (this.#isBusy || this.isComplete || this.output.length >= CODED_BYTES_MAX) return;
    const isWorth = written.length >= CHUNK_BYTES_MAX || (this.#isFlushed && written.length > 0);
    if (!hasEnded && !isWorth) return;
    if (this.#wholeLength !== undefined && this.#wholeLength <= AT_ONCE_BYTES_MAX) {
      try {
        this.output.appendOwned(encodeNow(this.#coding as Coding, this.#wish.level, takePiece(written)));
        this.#completeWhole();
      } catch (error) {
        this.#failed(error as Error);
      }
      return;
    }
    this.#isBusy = true;
    this.#compression.turns.take(this);
  }

  /** Gives up: nobody wants the rest. What has a turn in the pool holds its memory until the turn is over. */
  drop(): void {
    if (this.#isDropped) return;
    this.#isDropped = true;
    this.output.clear();
    if (!this.#isBusy || this.#compression.turns.withdraw(this)) this.#release();
  }

  // ---- called by the turns ----

  begin(): void {
    try {
      if (this.#wholeLength !== undefined && this.#coding === 'gzip') {
        this.#codeWhole(this.#compression.gzipBodies);
        return;
      }
      this.#encoder ??= this.#createEncoder();
    } catch (error) {
      this.#failed(error as Error);
      return;
    }
    const encoder = this.#encoder;
    const written = this.#written as ResponseBuffer;
    const bytes = takePiece(written);
    if (written.length === 0) this.#isFlushed = false;
    if (this.#wholeLength === undefined && this.#hasEnded && written.length === 0) encoder.end(bytes);
    else encoder.write(bytes, (error) => (error ? this.#failed(error) : this.#pieceCoded()));
  }

  // ---- inside ----

  #codeWhole(gzipBodies: GzipBodies): void {
    const coder = gzipBodies.take(gzipLevel(this.#wish.level));
    coder.code(
      takePiece(this.#written as ResponseBuffer, coder.room),
      (bytes) => this.#takeCoded(bytes),
      (error) => {
        if (error === undefined) {
          gzipBodies.give(coder);
          this.#pieceCoded();
          return;
        }
        coder.destroy();
        this.#failed(error);
      },
    );
  }

  #createEncoder(): Transform {
    const { level } = this.#wish;
    const encoder = createEncoder(this.#coding as Coding, level, this.#wholeLength);
    encoder.on('data', (bytes: Buffer) => this.#takeCoded(bytes));
    encoder.on('end', () => {
      this.isComplete = true;
      this.#turnEnded();
    });
    encoder.on('error', (error) => this.#failed(error));
    return encoder;
  }

  #takeCoded(bytes: Buffer): void {
    if (!this.#isDropped) this.output.appendOwned(bytes);
  }

  #pieceCoded(): void {
    if (this.#wholeLength !== undefined) this.#completeWhole();
    this.#turnEnded();
  }

  /** A whole body is complete with its one piece, and its length can be announced. */
  #completeWhole(): void {
    this.isComplete = true;
    if (!this.#head.mayHaveTrailers) this.#head.contentLength = this.output.length;
  }

  #turnEnded(): void {
    // an error has ended it before
    if (!this.#isBusy) return;
    this.#isBusy = false;
    this.#compression.turns.ended();
    if (this.#isDropped || this.isComplete) this.#release();
    if (!this.#isDropped) this.#exchange.coded();
  }

  #failed(cause: Error): void {
    const wasBusy = this.#isBusy;
    this.#isBusy = false;
    if (wasBusy) this.#compression.turns.ended();
    if (this.#isDropped) {
      this.#release();
      return;
    }
    this.#exchange.fail(
      new GatewayError('LGW_COMPRESSION', `Cannot compress the answer: ${cause.message}`, {
        cause,
        status: 500,
      }),
    );
  }

  #release(): void {
    this.#encoder?.destroy();
    this.#encoder = undefined;
    if (!this.#isAdmitted) return;
    this.#isAdmitted = false;
    this.#compression.release(this.#coding as Coding);
  }
}

/** Takes what one turn may have, in one buffer; `room`: at the beginning of this one. */
function takePiece(buffer: ResponseBuffer, room?: Buffer): Buffer {
  const size = Math.min(buffer.length, PIECE_BYTES_MAX);
  const piece = room === undefined ? Buffer.allocUnsafe(size) : room.subarray(0, size);
  let at = 0;
  while (at < piece.length && at + Math.min(buffer.length, CHUNK_BYTES_MAX) <= piece.length) {
    const chunk = buffer.take();
    if (typeof chunk === 'string') at += piece.write(chunk, at, 'latin1');
    else {
      piece.set(chunk, at);
      at += chunk.length;
      giveChunk(chunk);
    }
  }
  return at === piece.length ? piece : piece.subarray(0, at);
}
