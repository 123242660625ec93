/** A wire that records what an exchange gives it, and checks that the exchange follows the rules of ExchangeWire. */
import { ok, strictEqual } from 'node:assert/strict';
import { CHUNK_BYTES_MAX } from '../../src/http/exchange/chunk-pool.ts';
import type { Exchange, PushPromise } from '../../src/http/exchange/exchange.ts';
import type { ExchangeWire, ResponseHead } from '../../src/http/exchange/exchange-wire.ts';
import { BUFFER_BYTES_MAX, type Chunk } from '../../src/http/exchange/response-buffer.ts';
import type { BodyHolder } from '../../src/http/exchange/unread-bodies.ts';
import type { Fields } from '../../src/http/semantics/fields.ts';

/** A head as it was at the moment of sending. */
export type SentHead = Pick<
  ResponseHead,
  | 'status'
  | 'reason'
  | 'responseFields'
  | 'contentLength'
  | 'hasDate'
  | 'closes'
  | 'mayHaveTrailers'
  | 'bodyless'
>;

export class RecordingWire implements ExchangeWire {
  bufferBytesMax: number = BUFFER_BYTES_MAX;
  canPush = false;
  holdsBody = false;
  readonly bodyHolder: BodyHolder = {
    unreadBytes: 0,
    isHeldBack: false,
    holdBack: () => undefined,
    letGo: () => undefined,
  };
  /**
   * The calls in order, such as `head`, `chunk 3`, `copy 16384`, `end`; `last` follows the call that completed the response.
   */
  readonly calls: string[] = [];
  /** The content that was sent. */
  readonly content: Buffer[] = [];
  head: SentHead | undefined;
  trailers: Fields | undefined;
  /** The result of the next calls: true while the wire has room. */
  hasRoom: () => boolean = () => true;
  /** What sendCopy says. */
  takesCopies: () => boolean = () => false;
  /** True when the response is over; no call may follow. */
  #isOver = false;
  /** True after a call returned false, until wireDrained is called. */
  #isFull = false;

  get text(): string {
    return Buffer.concat(this.content).toString('latin1');
  }
  get isOver(): boolean {
    return this.#isOver;
  }
  get isFull(): boolean {
    return this.#isFull;
  }

  /** Makes room again; the caller then informs the exchange. */
  drain(): void {
    this.#isFull = false;
  }

  sendInformational(status: number): void {
    ok(this.head === undefined && !this.#isOver, 'informational heads come before the head');
    this.calls.push(`inform ${status}`);
  }

  sendHead(head: ResponseHead, chunk: Chunk | undefined, last: boolean): boolean {
    ok(this.head === undefined && !this.#isOver, 'there is one head');
    const { status, reason, responseFields, contentLength, hasDate, closes, mayHaveTrailers, bodyless } =
      head;
    this.head = { status, reason, responseFields, contentLength, hasDate, closes, mayHaveTrailers, bodyless };
    this.calls.push('head');
    if (chunk !== undefined) this.#take('chunk', chunk);
    return this.#answer(last);
  }

  sendChunk(chunk: Chunk, last: boolean): boolean {
    this.#take('chunk', chunk);
    return this.#answer(last);
  }

  sendCopy(bytes: Uint8Array): boolean {
    if (!this.takesCopies()) return false;
    this.#take('copy', bytes);
    return true;
  }

  sendEnd(trailers: Fields | undefined): void {
    ok(this.head !== undefined && !this.#isOver, 'the end comes once, behind the head');
    this.trailers = trailers;
    this.calls.push('end');
    this.#isOver = true;
  }

  abort(): void {
    ok(!this.#isOver, 'a response that is complete is not broken off');
    this.calls.push('abort');
    this.#isOver = true;
  }

  bodyAwaited(awaited: boolean): void {
    this.calls.push(awaited ? 'body awaited' : 'body not awaited');
  }
  startBody(): void {
    this.calls.push('start body');
  }
  pauseBody(): void {
    this.calls.push('pause body');
  }
  resumeBody(): void {
    this.calls.push('resume body');
  }

  push(promise: PushPromise): Exchange | undefined {
    this.calls.push(`push ${promise.method} ${promise.target}`);
    return undefined;
  }

  #take(what: string, chunk: Chunk | Uint8Array): void {
    ok(this.head !== undefined && !this.#isOver, 'content comes between the head and the end');
    strictEqual(this.#isFull, false, 'content waits for room');
    ok(!this.head.bodyless, 'a response without content gets none');
    ok(chunk.length > 0 && chunk.length <= CHUNK_BYTES_MAX, `a chunk has ${chunk.length} bytes`);
    this.calls.push(`${what} ${chunk.length}`);
    // a copy, because the exchange reuses the chunk
    this.content.push(typeof chunk === 'string' ? Buffer.from(chunk, 'latin1') : Buffer.from(chunk));
  }

  #answer(last: boolean): boolean {
    if (last) {
      this.calls.push('last');
      this.#isOver = true;
    }
    const hasRoom = this.hasRoom();
    this.#isFull = !hasRoom;
    return hasRoom;
  }
}
