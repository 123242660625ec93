/**
 * The one Exchange behind every protocol: order of calls, buffering, lengths, aborts; wires do the writing.
 *
 * Long because its calls share one state, in which each of them is legal or not.
 */

import { assert } from '../../base/assert.ts';
import type { GatewayError } from '../../base/errors.ts';
import type { LogFields } from '../../base/logger.ts';
import { COUNT } from '../../metrics/worker-metrics.ts';
import { checkFields, type Fields } from '../semantics/fields.ts';
import { AnswerBody } from './answer-body.ts';
import { createAnswerCoder } from './answer-coder.ts';
import { BodyLink } from './body-link.ts';
import { CHUNK_BYTES_MAX } from './chunk-pool.ts';
import { ClientWatch } from './client-watch.ts';
import { beginTime, exchangeEnded } from './ended-exchanges.ts';
import { errorPage } from './error-response.ts';
import type { AnswerCompression, Answerer, Exchange, HeadReviser, PushPromise } from './exchange.ts';
import { bodyTooLarge, clientGone } from './exchange-errors.ts';
import {
  CLOSED,
  DONE,
  ENDED_UNSENT,
  ENDING,
  type ExchangeState,
  HEAD_GIVEN,
  HEAD_SENT,
  OPEN,
} from './exchange-state.ts';
import type { ExchangeSettings, ExchangeWire } from './exchange-wire.ts';
import { checkHead, OutgoingHead } from './outgoing-head.ts';
import { ReceivedRequest } from './received-request.ts';
import { QueuedBody } from './request-body.ts';
import type { RequestHead } from './request-head.ts';
import type { Chunk } from './response-buffer.ts';
import { sendCopies } from './send-copies.ts';
import { Waiters } from './waiters.ts';

export class ServerExchange extends ReceivedRequest implements Exchange {
  readonly #wire: ExchangeWire;
  readonly #settings: ExchangeSettings;
  readonly #head = new OutgoingHead();
  readonly #answer: AnswerBody;
  #state: ExchangeState = OPEN;
  #error: GatewayError | undefined;
  #trailers: Fields | undefined;
  /** The wire has no room: wait for wireDrained. */
  #blocked: boolean;
  /** Those who wait for room. */
  #writers: Waiters | undefined;
  /** Undefined = the client has never been waited for. */
  #watch: ClientWatch | undefined;
  /** Body bytes of a HEAD response that were counted instead of sent. */
  #unsentBytes = 0;
  #excessLogged = false;
  /** It has changed over to another protocol. */
  #isTunnel = false;
  /** Read only where an observer asks for it when the exchange begins. */
  #startedAt: number | undefined;
  headSentAt: number | undefined;

  bytesWritten = 0;
  answeredBy: Answerer | undefined;
  reviseHead: HeadReviser | undefined;
  compression: AnswerCompression | false | undefined;
  onAbort: ((reason: GatewayError) => void) | undefined;
  onClose: (() => void) | undefined;

  /** `ready`: the wire takes bytes at once; otherwise it calls wireDrained first (a promised stream). */
  constructor(request: RequestHead, wire: ExchangeWire, settings: ExchangeSettings, ready = true) {
    super(request);
    this.#blocked = !ready;
    this.#wire = wire;
    this.#answer = new AnswerBody(wire);
    this.#settings = settings;
    settings.counters.add(COUNT.exchanges, 1);
    settings.counters.add(COUNT.exchangesTotal, 1);
    if (settings.observers.length > 0) this.#startedAt = beginTime();
  }

  get body(): QueuedBody {
    this.receivedBody ??= new QueuedBody(
      new BodyLink(this, this.#wire, this.#settings.unreadBodies),
      this.request.declaredLength,
      !this.request.hasBody || this.isDone,
    );
    return this.receivedBody;
  }
  get status(): number {
    return this.#head.status;
  }
  get reason(): string | undefined {
    return this.#head.reason;
  }
  set reason(reason: string | undefined) {
    this.#head.reason = reason;
  }
  get headGiven(): boolean {
    return this.#state !== OPEN;
  }
  get finished(): boolean {
    return this.#state >= ENDING || this.#state === ENDED_UNSENT;
  }
  get error(): GatewayError | undefined {
    return this.#error;
  }
  /** True while a response is under way that the client may have seen a part of. */
  get headSent(): boolean {
    return this.#state >= HEAD_SENT;
  }
  /** Nothing more is done on the wire. */
  get isDone(): boolean {
    return this.#state >= DONE;
  }
  get awaitsBody(): boolean {
    return this.#watch?.awaitsBody === true;
  }

  limitBody(bytesMax: number): void {
    this.bodyBytesMax = bytesMax;
    if (this.isKnownTooLong) this.fail(bodyTooLarge(bytesMax));
  }

  inform(status: number, fields: Fields): void {
    if (this.#state >= HEAD_GIVEN) return;
    this.#head.inform(status, fields);
    this.#wire.sendInformational(status, fields);
  }

  head(status: number, fields: Fields): void {
    if (this.finished) return;
    if (this.#state !== OPEN) throw new RangeError('The head has already been given');
    if (this.reviseHead === undefined) this.#give(status, fields);
    else this.#giveRevised(this.reviseHead, status, fields);
  }

  #giveRevised(revise: HeadReviser, status: number, fields: Fields): void {
    checkHead(status, fields);
    const head = revise(status, fields);
    // whoever revises may have ended the exchange
    if (this.#state !== OPEN) return;
    if (head === undefined) {
      this.reviseHead = undefined;
      this.reset(500);
      return;
    }
    this.#give(head.status, head.fields);
  }

  #give(status: number, fields: Fields): void {
    if (status < 300 && this.connectProtocol !== undefined) {
      this.reset(501);
      return;
    }
    this.#head.give(status, fields, this.request.method === 'HEAD');
    this.#transition(HEAD_GIVEN);
    const { compression } = this.#settings;
    if (compression.isOn || this.compression !== undefined)
      this.#answer.codeBy(createAnswerCoder(this, compression, this.compression, this.request, this.#head));
  }

  write(bytes: Uint8Array): boolean {
    return this.#take(bytes, false);
  }

  writeText(text: string): boolean {
    if (this.finished || text === '') return true;
    if (this.#state === OPEN) this.head(200, NO_FIELDS);
    // what may have to be cut or left out takes the longer way
    const declared = this.#head.declaredLength;
    const isPlain =
      !this.#head.bodyless && (declared === undefined || this.bytesWritten + text.length <= declared);
    if (!isPlain) return this.#take(Buffer.from(text, 'latin1'), false);
    this.bytesWritten += text.length;
    this.#answer.written.appendText(text);
    return this.#answer.hasRoom || this.#pumpForRoom();
  }

  writeOwned(bytes: Uint8Array): boolean {
    return this.#take(bytes, true);
  }

  #take(bytes: Uint8Array, owned: boolean): boolean {
    if (this.finished) return true;
    if (this.#state === OPEN) this.head(200, NO_FIELDS);
    const accepted = this.#head.within(bytes, this.bytesWritten + this.#unsentBytes);
    if (accepted.length < bytes.length) this.#warnOfExcess();
    if (accepted.length === 0) return true;
    if (this.#head.bodyless) {
      this.#unsentBytes += accepted.length;
      return true;
    }
    this.bytesWritten += accepted.length;
    const sent = accepted.length >= CHUNK_BYTES_MAX ? this.#sendNow(accepted) : 0;
    if (sent === accepted.length) return true;
    const rest = sent === 0 ? accepted : accepted.subarray(sent);
    if (owned) this.#answer.written.appendOwned(rest);
    else this.#answer.written.append(rest);
    return this.#answer.hasRoom || this.#pumpForRoom();
  }

  /** Full chunks with nothing before them need not be kept, as far as the wire takes them: how many bytes of them it took. */
  #sendNow(bytes: Uint8Array): number {
    const { written, mayBeCoded } = this.#answer;
    if (this.#state !== HEAD_SENT || this.#blocked || written.length > 0 || mayBeCoded) return 0;
    const sent = sendCopies(this.#wire, bytes);
    if (sent > 0) this.#settings.counters.add(COUNT.bytesSentTotal, sent);
    return sent;
  }

  #pumpForRoom(): boolean {
    this.#pump();
    return this.#answer.hasRoom;
  }

  get isFull(): boolean {
    return !this.#answer.hasRoom && !this.finished;
  }

  whenDrained(drained: () => void): void {
    this.#writers ??= new Waiters();
    this.#writers.add(drained);
    if (this.finished || this.#answer.hasRoom) this.#writers.notifySoon();
  }

  cancelDrained(drained?: () => void): void {
    this.#writers?.remove(drained);
  }

  flush(): void {
    this.#answer.flush();
    // A bodyless response waits for its end: the wire would take it for complete and let the exchange go.
    if (
      this.#state === HEAD_GIVEN
        ? !this.#head.bodyless
        : this.#state === HEAD_SENT && this.#answer.written.length > 0
    )
      this.#pump();
  }

  trailers(fields: Fields): void {
    if (this.finished) return;
    checkFields(fields);
    if (this.#state === OPEN) this.head(200, NO_FIELDS);
    this.#trailers = fields;
    if (this.#state === HEAD_GIVEN && !this.#head.bodyless) this.#head.mayHaveTrailers = true;
  }

  end(): void {
    if (this.finished) return;
    if (this.#state === OPEN) this.head(200, NO_FIELDS);
    if (this.#head.bodyless) this.#trailers = undefined;
    const length = this.bytesWritten + this.#unsentBytes;
    const { declaredLength } = this.#head;
    if (!this.#head.bodyless && declaredLength !== undefined && length < declaredLength) {
      this.#warn('Response is shorter than its Content-Length', { written: length });
      this.reset();
      return;
    }
    if (this.#state === HEAD_GIVEN) {
      if (declaredLength === undefined && this.#trailers === undefined && !this.#answer.isDecided)
        this.#head.completeLength(length);
      this.#transition(ENDED_UNSENT);
    } else this.#transition(ENDING);
    this.#pump();
  }

  reset(status = 500): void {
    if (this.finished) return;
    if (this.#state === HEAD_SENT) {
      this.#giveUp();
      this.#wire.abort();
      return;
    }
    this.#preparePage(status, false);
    this.#pump();
  }

  openTunnel(protocol: string, fields: Fields): boolean {
    if (this.#state !== OPEN || !this.mayBecomeTunnel) return false;
    checkFields(fields);
    if (this.#wire.openTunnel?.(protocol, fields) !== true) return false;
    this.#head.changeOver(this.connectProtocol);
    this.#isTunnel = true;
    if (!this.request.hasBody) this.body.reopen();
    this.#transition(HEAD_SENT);
    return true;
  }

  get canPush(): boolean {
    return !this.finished && this.#wire.canPush;
  }

  push(promise: PushPromise): Exchange | undefined {
    if (!this.canPush || (promise.method !== 'GET' && promise.method !== 'HEAD')) return undefined;
    checkFields(promise.fields);
    return this.#wire.push(promise);
  }

  // ---- called by the wire ----

  /** A chunk of the request body, which is the exchange's or only lent. False when it passes the limit and was refused. */
  receiveBody(chunk: Buffer, lent = false): boolean {
    this.#settings.counters.add(COUNT.bytesReceivedTotal, chunk.length);
    if (this.#state >= DONE) return true;
    const { body } = this;
    const limit = Math.min(this.#settings.bodyBytesMax, this.bodyBytesMax);
    if (body.bytesReceived + chunk.length > limit && !this.#isTunnel) {
      this.fail(bodyTooLarge(limit));
      return false;
    }
    body.receive(chunk, lent);
    return true;
  }

  /** The request body is complete. */
  endBody(trailers?: Fields): void {
    this.body.finish(trailers);
  }

  /** There is room on the wire again. */
  wireDrained(): void {
    if (!this.#blocked) return;
    this.#blocked = false;
    this.#watchClient();
    if (this.#state >= DONE) return;
    if (this.#state !== OPEN && (this.#state !== HEAD_GIVEN || this.#answer.written.length > 0)) this.#pump();
    this.#tellRoom();
  }

  /** The coder has done what it had to do, and may go on. */
  coded(): void {
    this.#pump();
    this.#tellRoom();
  }

  /** The client broke a rule or a limit, or kept us waiting: it is told so where that is still possible. */
  fail(reason: GatewayError): void {
    if (this.#state >= DONE) return;
    const ended = this.finished;
    this.#error = reason;
    const answerable = this.#state < HEAD_SENT && !this.#blocked;
    if (answerable && reason.status !== undefined) this.#preparePage(reason.status, true);
    else this.#giveUp();
    // The owner hears of it while its calls are ignored already and before the wire can let go.
    this.#tellOwner(reason, ended);
    if (this.#state === ENDED_UNSENT) this.#pump();
    else if (this.#state === DONE) this.#wire.abort();
  }

  /** The wire has let go of the exchange: after its last byte, or because the client has gone. */
  wireClosed(reason?: GatewayError): void {
    if (this.#state === CLOSED) return;
    const ended = this.finished;
    if (this.#state < DONE) this.#error ??= reason ?? clientGone();
    this.#transition(CLOSED);
    this.#answer.clear();
    this.#blocked = false;
    this.#watch?.stop();
    // an error costs as much as the rest of a short request: only where somebody hears of it
    if (!ended || this.receivedBody?.ended === false) this.#tellOwner(this.#error ?? clientGone(), ended);
    else this.#writers?.notify();
    this.receivedBody?.drop();
    this.#settings.counters.add(COUNT.exchanges, -1);
    exchangeEnded(this, this.#startedAt, this.#settings.observers);
    const { onClose } = this;
    this.onClose = undefined;
    this.onAbort = undefined;
    onClose?.();
  }

  /** Breaks the news: to the owner first, who may then stop whoever waits for the body or for room. */
  #tellOwner(reason: GatewayError, ended: boolean): void {
    if (!ended) {
      const { onAbort } = this;
      this.onAbort = undefined;
      onAbort?.(reason);
    }
    this.receivedBody?.fail(reason);
    this.#writers?.notify();
  }

  get holdsBackBody(): boolean {
    return this.awaitsBody && !this.#blocked && this.#wire.holdsBody === true;
  }

  // ---- called by the body ----

  /** A reader has begun (true) or stopped (false) waiting for the body. */
  bodyAwaited(awaited: boolean): void {
    this.#watch ??= new ClientWatch(this, this.#settings.patience);
    const before = this.#watch.awaitsBody;
    // those who talk through a tunnel may be silent
    this.#watch.bodyAwaited(awaited, !this.#isTunnel);
    if (awaited !== before) this.#wire.bodyAwaited?.(awaited);
    this.#watchClient();
  }
  // ---- inside ----

  /** Gives the wire what it has room for. */
  #pump(): void {
    if (this.#blocked) return;
    const isComplete = this.#code();
    if (this.#state < HEAD_SENT && this.#answer.holdsHead) return;
    const wire = this.#wire;
    const buffer = this.#answer.output;
    let room = true;
    if (this.#state < HEAD_SENT) {
      const ending = this.#state === ENDED_UNSENT;
      const chunk = buffer.length > 0 ? buffer.take() : undefined;
      const last = ending && isComplete && buffer.length === 0 && this.#trailers === undefined;
      this.#transition(last ? DONE : ending ? ENDING : HEAD_SENT);
      this.#countSent(chunk);
      room = wire.sendHead(this.#head, chunk, last);
      // an answer that has gone as a whole needs no second look at the clock
      if (this.#startedAt !== undefined && this.#state !== CLOSED) this.headSentAt = performance.now();
    }
    while (room && buffer.length > 0 && this.#state < DONE) {
      const chunk = buffer.take();
      const last =
        this.#state === ENDING && isComplete && buffer.length === 0 && this.#trailers === undefined;
      if (last) this.#transition(DONE);
      this.#countSent(chunk);
      room = wire.sendChunk(chunk, last);
    }
    if (this.#state === ENDING && isComplete && buffer.length === 0) {
      this.#transition(DONE);
      wire.sendEnd(this.#trailers);
    } else if (!room && this.#state < DONE) {
      this.#blocked = true;
      this.#watchClient();
    } else if (!isComplete) this.#code();
  }

  /** Lets a coder do what it can; true when all of an ended body is in the output. */
  #code(): boolean {
    const { mayBeCoded } = this.#answer;
    return (
      !mayBeCoded || this.#answer.code(this.finished ? this.bytesWritten + this.#unsentBytes : undefined)
    );
  }

  #tellRoom(): void {
    if (this.#answer.written.length <= this.#answer.roomBytes / 2) this.#writers?.notify();
  }

  #countSent(chunk: Chunk | undefined): void {
    if (chunk !== undefined) this.#settings.counters.add(COUNT.bytesSentTotal, chunk.length);
  }

  /** Answers with a page of our own instead of whatever was buffered. */
  #preparePage(status: number, closes: boolean): void {
    this.#answer.clear();
    this.bytesWritten = 0;
    this.#unsentBytes = 0;
    this.#trailers = undefined;
    const page = errorPage(status, this.fields, this.answeredBy?.requestId);
    const head = this.reviseHead?.(status, page.fields) ?? { status, fields: page.fields };
    this.#head.replace(head.status, head.fields, page.body.length, this.request.method === 'HEAD');
    this.#head.closes ||= closes;
    if (!this.#head.bodyless) {
      this.#answer.written.append(page.body);
      this.bytesWritten = page.body.length;
    }
    if (this.#state !== ENDED_UNSENT) this.#transition(ENDED_UNSENT);
  }

  #giveUp(): void {
    this.#transition(DONE);
    this.#answer.clear();
    this.#watch?.stop();
  }

  #warnOfExcess(): void {
    if (this.#excessLogged) return;
    this.#excessLogged = true;
    this.#warn('Response is longer than its Content-Length: the rest is dropped', {});
  }

  #warn(text: string, facts: LogFields): void {
    const [target, request] = [this.request.target, this.answeredBy?.requestId];
    this.#settings.logger.warn(text, { target, request, declared: this.#head.declaredLength, ...facts });
  }

  /** Runs the clock exactly while the client is being waited for. */
  #watchClient(): void {
    if (this.#state < DONE && (this.#blocked || (this.awaitsBody && !this.#isTunnel))) {
      this.#watch ??= new ClientWatch(this, this.#settings.patience);
      this.#watch.start();
    } else this.#watch?.stop();
  }

  #transition(next: ExchangeState): void {
    assert(next > this.#state, 'an exchange only moves forward');
    this.#state = next;
  }
}

const NO_FIELDS: Fields = [];
