/**
 * One HTTP/2 stream, which is the wire of an exchange: its states (RFC 9113 §5.1), and what waits to be sent.
 *
 * Long because sending and receiving share one state: each of them may end the stream, and each may end the other.
 */
import { assert } from '../../base/assert.ts';
import { GatewayError } from '../../base/errors.ts';
import { giveChunk } from '../exchange/chunk-pool.ts';
import type { Exchange, PushPromise } from '../exchange/exchange.ts';
import type { ExchangeWire, ResponseHead } from '../exchange/exchange-wire.ts';
import { LATE_BODY_MS_MAX } from '../exchange/late-body.ts';
import type { RequestHead } from '../exchange/request-head.ts';
import type { Chunk } from '../exchange/response-buffer.ts';
import type { ServerExchange } from '../exchange/server-exchange.ts';
import type { Stallable } from '../exchange/stall-watch.ts';
import type { BodyHolder } from '../exchange/unread-bodies.ts';
import type { Fields } from '../semantics/fields.ts';
import { ERROR_CODE } from './error-codes.ts';
import { FRAME_PAYLOAD_BYTES_MAX } from './frame-types.ts';
import type { Priority } from './priority.ts';
import { SendQueue } from './send-queue.ts';
import type { Scheduled } from './send-scheduler.ts';
import { STREAM_WINDOW_BYTES } from './session-bounds.ts';
import { StreamBody } from './stream-body.ts';
import type { StreamSession } from './stream-session.ts';

/** Both sides may send. */
const OPEN = 0;
/** The client has ended its side. */
const HALF_CLOSED_REMOTE = 1;
/** The server has ended its side. */
const HALF_CLOSED_LOCAL = 2;
const CLOSED = 3;
type State = typeof OPEN | typeof HALF_CLOSED_REMOTE | typeof HALF_CLOSED_LOCAL | typeof CLOSED;

/** Response bytes that a stream holds before its exchange has to wait. */
const WRITE_AHEAD_BYTES = 16 * 1024;

export class H2Stream implements ExchangeWire, Scheduled, Stallable {
  readonly #session: StreamSession<H2Stream>;
  readonly id: number;
  readonly pushed: boolean;
  #state: State;
  #exchange: ServerExchange | undefined;

  // sending
  /** Bytes that the client allows on this stream. */
  sendWindow: number;
  /** Undefined: nothing has had to wait yet. */
  #queue: SendQueue | undefined;
  /** The queue holds the end of the response. */
  #lastQueued = false;
  #trailers: Fields | undefined;
  /** The exchange waits until the queue is sent. */
  #blocked = false;
  urgency: number;
  incremental: boolean;
  scheduled = false;
  next: Scheduled | undefined = undefined;
  previous: Scheduled | undefined = undefined;

  // receiving
  /** Undefined: the request has no body. */
  readonly #body: StreamBody | undefined;
  #awaitsContinue: boolean;
  /** When the response became complete while the client had not ended its side, ms of performance.now. */
  #answeredAt = 0;

  waitingSince = 0;
  place = 0;
  /** The table of the session finds the stream by its number. */
  listed = false;

  constructor(
    session: StreamSession<H2Stream>,
    id: number,
    request: RequestHead,
    awaitsContinue: boolean,
    priority: Priority,
  ) {
    this.#session = session;
    this.id = id;
    this.pushed = request.pushed;
    this.#state = request.hasBody ? OPEN : HALF_CLOSED_REMOTE;
    this.sendWindow = session.peer.initialWindowSize;
    this.urgency = priority.urgency;
    this.incremental = priority.incremental;
    this.#body = request.hasBody
      ? new StreamBody(session.bodies, session.output, id, request.declaredLength)
      : undefined;
    this.#awaitsContinue = awaitsContinue;
  }

  /** Sets the exchange that this stream is the wire of. */
  attach(exchange: ServerExchange): void {
    this.#exchange = exchange;
  }

  get isClosed(): boolean {
    return this.#state === CLOSED;
  }
  /** True when the client may send nothing more on this stream. */
  get remoteEnded(): boolean {
    return this.#state === HALF_CLOSED_REMOTE || this.#state === CLOSED;
  }
  /** True when the whole response has been sent, or the stream is closed. */
  get localEnded(): boolean {
    return this.#state >= HALF_CLOSED_LOCAL;
  }
  /** Bytes of the request body that the client may have sent already. */
  get expectedBytes(): number {
    return this.#body?.expectedBytes ?? STREAM_WINDOW_BYTES;
  }
  /** True while a part of the response waits to be sent. */
  get hasQueued(): boolean {
    return this.#lastQueued || this.#queuedBytes() > 0;
  }

  // ---- ExchangeWire ----

  get bufferBytesMax(): number {
    return this.#session.bufferBytesMax;
  }

  sendInformational(status: number, fields: Fields): void {
    if (this.#isDone() || this.pushed) return;
    if (status === 100) this.#awaitsContinue = false;
    this.#session.sendInformational(this.id, status, fields);
  }

  sendHead(head: ResponseHead, chunk: Chunk | undefined, last: boolean): boolean {
    if (this.#isDone()) return true;
    const endStream = last && chunk === undefined;
    this.#session.sendHead(this.id, head, endStream);
    if (chunk !== undefined) return this.#give(chunk, last);
    if (endStream) this.#localEnded();
    return true;
  }

  sendChunk(chunk: Chunk, last: boolean): boolean {
    return this.#isDone() || this.#give(chunk, last);
  }

  sendCopy(bytes: Uint8Array): boolean {
    const size = bytes.length;
    if (this.#isDone() || !this.#takesNow(size)) return false;
    this.sendWindow -= size;
    this.#session.output.data(this.id, bytes, 0, size, false);
    return true;
  }

  sendEnd(trailers: Fields | undefined): void {
    if (this.#isDone()) return;
    this.#trailers = trailers;
    if (this.#queuedBytes() > 0) this.#queueLast();
    else this.#sendEnd();
  }

  openTunnel(protocol: string, fields: Fields): boolean {
    const asked = this.#exchange?.connectProtocol;
    if (asked?.toLowerCase() !== protocol.toLowerCase() || this.#state !== OPEN) return false;
    this.#session.sendHead(this.id, { ...TUNNEL_HEAD, responseFields: fields }, false);
    this.#session.output.flushLater();
    return true;
  }

  abort(): void {
    if (this.#state !== CLOSED) this.#session.resetStream(this, ERROR_CODE.internalError);
  }

  startBody(): void {
    if (this.#awaitsContinue && this.#exchange?.headSent === false) this.sendInformational(100, NO_FIELDS);
  }

  get holdsBody(): boolean {
    return this.#session.bodies.holdsBodies;
  }

  get bodyHolder(): BodyHolder {
    return this.#session.bodies;
  }

  bodyAwaited(awaited: boolean): void {
    this.#session.bodies.bodyAwaited(awaited);
  }

  pauseBody(): void {
    this.#body?.pause();
  }

  resumeBody(): void {
    this.#body?.resume();
  }

  get canPush(): boolean {
    return !this.pushed && !this.#isDone() && this.#session.canPush;
  }

  push(promise: PushPromise): Exchange | undefined {
    return this.#isDone() ? undefined : this.#session.push(this.id, promise);
  }

  // ---- sending, for the session ----

  /** Sends one frame of what waits, as it is this stream's turn. */
  sendTurn(): void {
    const output = this.#session.output;
    const queue = this.#queue;
    const room = Math.min(this.sendWindow, output.sendWindow, FRAME_PAYLOAD_BYTES_MAX);
    if (queue === undefined || queue.bytes === 0 || room <= 0) {
      output.scheduler.remove(this);
      return;
    }
    const endsStream = this.#lastQueued && this.#trailers === undefined;
    this.sendWindow -= queue.sendFrame(output, this.id, room, endsStream);
    if (queue.bytes > 0) {
      if (this.sendWindow <= 0) output.scheduler.remove(this);
      if (this.#lastQueued) this.#watch();
      return;
    }
    output.scheduler.remove(this);
    if (endsStream) this.#localEnded();
    else if (this.#lastQueued) this.#sendEnd();
    else this.#unblock();
  }

  /** The client has opened the window of the stream. False when the window is then larger than a window may be. */
  openSendWindow(increment: number): boolean {
    this.sendWindow += increment;
    if (this.sendWindow > 0x7fffffff) return false;
    if (this.sendWindow > 0 && this.#queuedBytes() > 0) {
      this.#session.output.scheduler.add(this);
      this.#session.output.flushLater();
    }
    return true;
  }

  // ---- receiving, for the session ----

  /** A DATA frame of this size begins. False: the window has no room for the frame. */
  takeWindow(bytes: number): boolean {
    return this.#body?.takeWindow(bytes) === true;
  }

  /** Takes content of the request. False: the body is longer than its content-length. */
  takeBody(bytes: Buffer, start: number, end: number): boolean {
    const body = this.#body;
    const size = end - start;
    if (body?.count(size) !== true) return false;
    const exchange = this.#exchange;
    if (exchange === undefined || this.#isAnswered()) {
      this.#drop(size);
      return true;
    }
    exchange.receiveBody(bytes.subarray(start, end), true);
    body.received(size, exchange.unreadBytes);
    return true;
  }

  /** Opens the windows for padding, which nobody reads. */
  takePadding(bytes: number): void {
    this.#body?.release(bytes);
  }

  /** A reader or a response waits for the client, on this stream or another: opens the window of the connection. */
  releaseWithheld(): void {
    this.#body?.releaseWithheld();
  }

  get unreadBytes(): number {
    return this.#exchange?.unreadBytes ?? 0;
  }

  get awaitsBody(): boolean {
    return this.#exchange?.awaitsBody ?? false;
  }

  /** True when the body has some size and no handler has read any of it for a while. */
  isUnread(now: number): boolean {
    const exchange = this.#exchange;
    return exchange !== undefined && this.#body?.isUnread(exchange, now) === true;
  }

  /** Refuses a body that nobody reads, as the worker has no room for it. */
  refuseUnread(): void {
    const exchange = this.#exchange;
    if (exchange === undefined) return;
    const message = `Request body is refused: ${exchange.unreadBytes} bytes of it wait unread, and those of all requests have used up their budget (--max-unread-bodies)`;
    exchange.fail(new GatewayError('LGW_BODY_UNREAD', message, { status: 503, luaCode: 'limit' }));
  }

  /** The client has ended its side. False: the body is shorter than its content-length. */
  endRemote(trailers?: Fields): boolean {
    if (this.#state === HALF_CLOSED_LOCAL) {
      // a client that has its whole response may end its body early
      this.#close();
      this.#session.streamClosed(this);
      return true;
    }
    if (this.#body?.isShort === true) return false;
    this.#body?.end();
    this.#transition(HALF_CLOSED_REMOTE);
    this.#exchange?.endBody(trailers);
    return true;
  }

  /** Either side has reset the stream, or its connection is closed. */
  cut(reason?: GatewayError): void {
    this.#close();
    const exchange = this.#exchange;
    this.#exchange = undefined;
    exchange?.wireClosed(reason);
  }

  /** The response has waited too long to be sent, or the rest of a body that nobody reads has stopped coming. */
  stalled(): void {
    if (this.#state === CLOSED) return;
    this.#session.resetStream(
      this,
      this.#state === HALF_CLOSED_LOCAL ? ERROR_CODE.noError : ERROR_CODE.cancel,
    );
  }

  // ---- inside ----

  /** True when nothing more may be sent. */
  #isDone(): boolean {
    return this.#state >= HALF_CLOSED_LOCAL;
  }

  #queuedBytes(): number {
    return this.#queue === undefined ? 0 : this.#queue.bytes;
  }

  /** True when a frame of this size can be sent at once. */
  #takesNow(size: number): boolean {
    const { output } = this.#session;
    return (
      (this.#queue === undefined || this.#queue.bytes === 0) &&
      size <= this.sendWindow &&
      size <= output.sendWindow &&
      size <= FRAME_PAYLOAD_BYTES_MAX &&
      output.takesData
    );
  }

  #give(chunk: Chunk, last: boolean): boolean {
    const output = this.#session.output;
    const size = chunk.length;
    if (this.#takesNow(size)) {
      this.sendWindow -= size;
      if (typeof chunk === 'string') output.dataText(this.id, chunk, last);
      else {
        output.data(this.id, chunk, 0, size, last);
        giveChunk(chunk);
      }
      if (last) this.#localEnded();
      return true;
    }
    this.#queue ??= new SendQueue();
    this.#queue.push(chunk);
    if (last) this.#queueLast();
    if (this.sendWindow > 0) {
      output.scheduler.add(this);
      output.flushLater();
    }
    this.#session.bodies.hears();
    if (this.#queue.bytes < WRITE_AHEAD_BYTES) return true;
    this.#blocked = true;
    return false;
  }

  /** The queue now holds the end of the response, and nobody reads the request body any more. */
  #queueLast(): void {
    this.#lastQueued = true;
    this.#body?.end();
    this.#watch();
  }

  /** Sends the end of the response, behind everything else. */
  #sendEnd(): void {
    const trailers = this.#trailers;
    if (trailers === undefined) this.#session.output.dataText(this.id, '', true);
    else this.#session.sendTrailers(this.id, trailers);
    this.#localEnded();
  }

  #unblock(): void {
    if (!this.#blocked) return;
    this.#blocked = false;
    this.#exchange?.wireDrained();
  }

  /** The last byte of the response has been given to the connection. */
  #localEnded(): void {
    this.#lastQueued = false;
    const exchange = this.#exchange;
    this.#exchange = undefined;
    if (this.#state === HALF_CLOSED_REMOTE) {
      this.#close();
      this.#session.streamClosed(this);
    } else {
      this.#transition(HALF_CLOSED_LOCAL);
      this.#answeredAt = performance.now();
      this.#session.stalls.stop(this);
      this.#session.lateBodies.start(this);
      this.#body?.giveUp();
    }
    exchange?.wireClosed();
  }

  /** True when the response is complete, sent or queued: nobody reads the request body any more. */
  #isAnswered(): boolean {
    return this.#lastQueued || this.#state !== OPEN;
  }

  /**
   * Drops bytes of a body that nobody reads. The window of the connection opens again, for the other streams. The window of this
   * stream does not: the client can only send what it was allowed before. When it sends nothing for a time, the stream is reset.
   */
  #drop(bytes: number): void {
    this.#session.bodies.releaseReceived(bytes);
    if (this.#state === HALF_CLOSED_LOCAL && performance.now() - this.#answeredAt < LATE_BODY_MS_MAX)
      this.#session.lateBodies.start(this);
  }

  #watch(): void {
    this.#session.stalls.start(this);
  }

  #close(): void {
    this.#transition(CLOSED);
    const session = this.#session;
    session.output.scheduler.remove(this);
    if (this.waitingSince !== 0) {
      session.stalls.stop(this);
      session.lateBodies.stop(this);
    }
    this.#body?.giveUp();
    this.#queue?.clear();
    this.#lastQueued = false;
  }

  #transition(next: State): void {
    assert(next > this.#state, 'a stream only moves towards its end');
    this.#state = next;
  }
}

const NO_FIELDS: Fields = [];
/** The head that opens a tunnel (RFC 8441 §5), without its fields. */
const TUNNEL_HEAD: Omit<ResponseHead, 'responseFields'> = {
  status: 200,
  reason: undefined,
  contentLength: undefined,
  hasDate: false,
  closes: false,
  mayHaveTrailers: false,
  bodyless: false,
};
