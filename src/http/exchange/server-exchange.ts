/** The one Exchange behind every protocol: order of calls, buffering, lengths, aborts; wires do the writing. */
import { assert } from '../../base/assert.ts';
import { GatewayError } from '../../base/errors.ts';
import { checkFields, type Fields } from '../semantics/fields.ts';
import { isBodyless } from '../semantics/status.ts';
import { isTooSlow } from './body-rate.ts';
import { CHUNK_BYTES_MAX } from './chunk-pool.ts';
import { errorPage } from './error-response.ts';
import type {
  Answerer,
  Exchange,
  ExchangeConnection,
  Protocol,
  PushPromise,
  RequestIdentity,
} from './exchange.ts';
import type { ExchangeSettings, ExchangeWire, ResponseHead } from './exchange-wire.ts';
import { type BodyFlow, QueuedBody } from './request-body.ts';
import type { RequestHead } from './request-head.ts';
import { type Chunk, ResponseBuffer } from './response-buffer.ts';
import { readFraming } from './response-framing.ts';
import type { Stallable } from './stall-watch.ts';

/** Ranks of an exchange's life: it only ever moves to a higher one. */
const OPEN = 0;
/** The head is known and nothing has been sent. */
const HEAD_GIVEN = 1;
/** `end` was called and nothing has been sent. */
const ENDED_UNSENT = 2;
const HEAD_SENT = 3;
/** `end` was called and bytes are still waiting for the client. */
const ENDING = 4;
/** Everything is with the wire, or the exchange was broken off. */
const DONE = 5;
/** Nothing is held any more. */
const CLOSED = 6;
type State =
  | typeof OPEN
  | typeof HEAD_GIVEN
  | typeof ENDED_UNSENT
  | typeof HEAD_SENT
  | typeof ENDING
  | typeof DONE
  | typeof CLOSED;

/** Informational heads of one exchange, which nothing holds back when the client does not read: a thousand small ones. */
const INFORMATIONAL_BYTES_MAX = 256 * 1024;
/** What each of them counts beside its fields. */
const INFORMATIONAL_BYTES_MIN = 64;

export class ServerExchange implements Exchange, BodyFlow, ResponseHead, Stallable {
  readonly #request: RequestHead;
  readonly #wire: ExchangeWire;
  readonly #settings: ExchangeSettings;
  readonly #buffer = new ResponseBuffer();
  #requestFields: Fields | undefined;
  #body: QueuedBody | undefined;
  #state: State = OPEN;
  #error: GatewayError | undefined;
  #trailers: Fields | undefined;
  /** The wire has no room: wait for wireDrained. */
  #blocked: boolean;
  #drained: (() => void) | undefined;
  /** Further writers that wait: a handler and its tasks. */
  #alsoDrained: (() => void)[] | undefined;
  #bodyAwaited = false;
  /** How long readers have waited for the client in all, and since when one waits now; 0 = none does. */
  #awaitedMs = 0;
  #awaitedSince = 0;
  #informationalBytes = 0;
  /** Body bytes of a HEAD response that were counted instead of sent. */
  #unsentBytes = 0;
  #excessLogged = false;
  /** Only where an observer asks for it. */
  #startedAt = 0;

  // the response head, read by the wire
  status = 0;
  contentLength: number | undefined;
  hasDate = false;
  closes = false;
  bodyless = false;
  mayHaveTrailers = false;
  #responseFields: Fields = NO_FIELDS;

  bytesWritten = 0;
  waitingSince = 0;
  answeredBy: Answerer | undefined;
  reason: string | undefined;
  onAbort: ((reason: GatewayError) => void) | undefined;
  onClose: (() => void) | undefined;

  /** `ready`: the wire takes bytes at once; otherwise it calls wireDrained first (a promised stream). */
  constructor(request: RequestHead, wire: ExchangeWire, settings: ExchangeSettings, ready = true) {
    this.#blocked = !ready;
    this.#request = request;
    this.#wire = wire;
    this.#settings = settings;
    settings.counters.add('exchanges', 1);
    settings.counters.add('exchangesTotal', 1);
    if (settings.observer !== undefined) this.#startedAt = performance.now();
  }

  get protocol(): Protocol {
    return this.#request.protocol;
  }
  get method(): string {
    return this.#request.method;
  }
  get target(): string {
    return this.#request.target;
  }
  get scheme(): 'https' | 'http' {
    return this.#request.scheme;
  }
  get authority(): string {
    return this.#request.authority;
  }
  /** Request fields for handlers. */
  get fields(): Fields {
    this.#requestFields ??= withoutPseudoFields(this.#request.fields);
    return this.#requestFields;
  }
  get connection(): ExchangeConnection {
    return this.#request.connection;
  }
  get identity(): RequestIdentity {
    return this.#request;
  }
  get pushed(): boolean {
    return this.#request.pushed;
  }
  get body(): QueuedBody {
    this.#body ??= new QueuedBody(
      this,
      this.#request.declaredLength,
      !this.#request.hasBody || this.#state >= DONE,
    );
    return this.#body;
  }
  get responseFields(): Fields {
    return this.#responseFields;
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
  /** True when the request body has been taken in to its end (or there is none). */
  get bodyComplete(): boolean {
    return !this.#request.hasBody || (this.#body?.ended === true && this.#body.error === undefined);
  }

  /** Body bytes that have come and were not read. */
  get unreadBytes(): number {
    return this.#body?.queue.length ?? 0;
  }
  /** Body bytes that were read. */
  get readBytes(): number {
    return this.#body === undefined ? 0 : this.#body.bytesReceived - this.#body.queue.length;
  }
  get awaitsBody(): boolean {
    return this.#bodyAwaited;
  }

  inform(status: number, fields: Fields): void {
    if (this.#state >= HEAD_GIVEN) return;
    if (status < 100 || status > 199 || status === 101) {
      throw new RangeError(`Status ${status} is not informational`);
    }
    checkFields(fields);
    for (const part of fields) this.#informationalBytes += part.length;
    this.#informationalBytes += INFORMATIONAL_BYTES_MIN;
    if (this.#informationalBytes > INFORMATIONAL_BYTES_MAX)
      throw new RangeError(
        `Informational heads of one exchange have more than the limit of ${INFORMATIONAL_BYTES_MAX} bytes`,
      );
    this.#wire.sendInformational(status, fields);
  }

  head(status: number, fields: Fields): void {
    if (this.finished) return;
    if (this.#state !== OPEN) throw new RangeError('The head has already been given');
    if (!Number.isInteger(status) || status < 200 || status > 599) {
      throw new RangeError(`Status ${status} is not a final status between 200 and 599`);
    }
    const framing = readFraming(fields);
    if (this.reason !== undefined) checkFields(['reason', this.reason]);
    this.contentLength = framing.contentLength;
    this.hasDate = framing.hasDate;
    if (framing.hasTrailer) this.mayHaveTrailers = true;
    if (framing.closes) this.closes = true;
    this.status = status;
    this.#responseFields = fields;
    this.bodyless = isBodyless(status) || this.#request.method === 'HEAD';
    if (this.bodyless) this.mayHaveTrailers = false;
    if (status === 204) this.contentLength = undefined;
    else if (status === 205) this.contentLength = 0;
    this.#transition(HEAD_GIVEN);
  }

  write(bytes: Uint8Array): boolean {
    return this.#take(bytes, false);
  }

  writeText(text: string): boolean {
    if (this.finished || text === '') return true;
    if (this.#state === OPEN) this.head(200, NO_FIELDS);
    // what may have to be cut or left out takes the longer way
    const declared = this.contentLength;
    const isPlain = !this.bodyless && (declared === undefined || this.bytesWritten + text.length <= declared);
    if (!isPlain) return this.#take(Buffer.from(text, 'latin1'), false);
    this.bytesWritten += text.length;
    this.#buffer.appendText(text);
    if (this.#hasRoom()) return true;
    this.#pump();
    return this.#hasRoom();
  }

  writeOwned(bytes: Uint8Array): boolean {
    return this.#take(bytes, true);
  }

  #take(bytes: Uint8Array, owned: boolean): boolean {
    if (this.finished) return true;
    if (this.#state === OPEN) this.head(200, NO_FIELDS);
    const accepted = this.#withinDeclared(bytes);
    if (accepted.length === 0) return true;
    if (this.bodyless) {
      this.#unsentBytes += accepted.length;
      return true;
    }
    this.bytesWritten += accepted.length;
    const sent = accepted.length >= CHUNK_BYTES_MAX ? this.#sendNow(accepted) : 0;
    if (sent === accepted.length) return true;
    const rest = sent === 0 ? accepted : accepted.subarray(sent);
    if (owned) this.#buffer.appendOwned(rest);
    else this.#buffer.append(rest);
    if (this.#hasRoom()) return true;
    this.#pump();
    return this.#hasRoom();
  }

  /** Full chunks with nothing before them need not be kept, as far as the wire takes them: how many bytes of them it took. */
  #sendNow(bytes: Uint8Array): number {
    if (this.#state !== HEAD_SENT || this.#blocked || this.#buffer.length > 0) return 0;
    const wire = this.#wire;
    let sent = 0;
    for (let end = CHUNK_BYTES_MAX; end <= bytes.length; end += CHUNK_BYTES_MAX) {
      if (wire.sendCopy?.(end === bytes.length && sent === 0 ? bytes : bytes.subarray(sent, end)) !== true)
        break;
      sent = end;
    }
    if (sent > 0) this.#settings.counters.add('bytesSentTotal', sent);
    return sent;
  }

  get isFull(): boolean {
    return !this.#hasRoom() && !this.finished;
  }

  /** The second question costs a division, in each of many short writes. */
  #hasRoom(): boolean {
    const { length } = this.#buffer;
    return length < CHUNK_BYTES_MAX || length < this.#wire.bufferBytesMax;
  }

  whenDrained(drained: () => void): void {
    if (this.#drained === undefined) this.#drained = drained;
    else {
      this.#alsoDrained ??= [];
      this.#alsoDrained.push(drained);
    }
    if (this.finished || this.#buffer.length < this.#wire.bufferBytesMax)
      process.nextTick(notifyWriter, this);
  }

  cancelDrained(drained?: () => void): void {
    if (drained === undefined || drained === this.#drained) this.#drained = this.#alsoDrained?.shift();
    else this.#alsoDrained = this.#alsoDrained?.filter((other) => other !== drained);
  }

  flush(): void {
    // A bodyless response waits for its end: the wire would take it for complete and let the exchange go.
    if (this.#state === HEAD_GIVEN ? !this.bodyless : this.#state === HEAD_SENT && this.#buffer.length > 0)
      this.#pump();
  }

  trailers(fields: Fields): void {
    if (this.finished) return;
    checkFields(fields);
    if (this.#state === OPEN) this.head(200, NO_FIELDS);
    this.#trailers = fields;
    if (this.#state === HEAD_GIVEN && !this.bodyless) this.mayHaveTrailers = true;
  }

  end(): void {
    if (this.finished) return;
    if (this.#state === OPEN) this.head(200, NO_FIELDS);
    if (this.bodyless) this.#trailers = undefined;
    const length = this.bytesWritten + this.#unsentBytes;
    if (!this.bodyless && this.contentLength !== undefined && length < this.contentLength) {
      this.#settings.logger.warn('Response is shorter than its Content-Length', {
        target: this.#request.target,
        request: this.answeredBy?.requestId,
        declared: this.contentLength,
        written: length,
      });
      this.reset();
      return;
    }
    if (this.#state === HEAD_GIVEN) {
      if (this.contentLength === undefined && this.#trailers === undefined) this.#completeLength(length);
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
    this.#settings.counters.add('bytesReceivedTotal', chunk.length);
    if (this.#state >= DONE) return true;
    const { body } = this;
    const limit = this.#settings.bodyBytesMax;
    if (body.bytesReceived + chunk.length > limit) {
      this.fail(
        new GatewayError('LGW_BODY_TOO_LARGE', `Request body is larger than the limit of ${limit} bytes`, {
          status: 413,
          luaCode: 'limit',
        }),
      );
      return false;
    }
    body.receive(chunk, lent);
    return true;
  }

  /** The request body is complete. */
  endBody(): void {
    this.body.finish();
  }

  /** There is room on the wire again. */
  wireDrained(): void {
    if (!this.#blocked) return;
    this.#blocked = false;
    this.#watch();
    if (this.#state >= DONE) return;
    if (this.#state !== OPEN && (this.#state !== HEAD_GIVEN || this.#buffer.length > 0)) this.#pump();
    if (this.#buffer.length <= this.#wire.bufferBytesMax / 2) this.notifyDrained();
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
    this.#buffer.clear();
    this.#blocked = false;
    this.#settings.stalls.stop(this);
    // an error costs as much as the rest of a short request: only where somebody hears of it
    if (!ended || this.#body?.ended === false) this.#tellOwner(this.#error ?? clientGone(), ended);
    else this.notifyDrained();
    this.#body?.drop();
    this.#settings.counters.add('exchanges', -1);
    this.#settings.observer?.(this, this.#startedAt);
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
    this.#body?.fail(reason);
    this.notifyDrained();
  }

  stalled(limitMs: number): void {
    if (this.#isHeldBack()) {
      this.#watch();
      return;
    }
    this.fail(
      new GatewayError('LGW_CLIENT_STALLED', `Client kept the exchange waiting for ${limitMs} ms`, {
        status: 408,
        luaCode: 'timeout',
      }),
    );
  }

  /** The client sends, and perhaps too slowly. */
  waits(now: number): void {
    if (this.#awaitedSince === 0) return;
    if (this.#isHeldBack()) {
      this.#awaitedSince = now;
      return;
    }
    const { bodyRate } = this.#settings;
    const { bytesReceived } = this.body;
    const waitedMs = this.#awaitedMs + now - this.#awaitedSince;
    if (!isTooSlow(waitedMs, bytesReceived, bodyRate)) return;
    const seconds = Math.round(waitedMs / 1000);
    this.fail(
      new GatewayError(
        'LGW_BODY_TOO_SLOW',
        `Request body came too slowly: ${bytesReceived} bytes in ${seconds} s of waiting, and the least rate is ${bodyRate.bytesPerSecondMin} bytes a second (--min-body-rate)`,
        { status: 408, luaCode: 'timeout' },
      ),
    );
  }

  /** It is us who keep the client from sending the body that is awaited. */
  #isHeldBack(): boolean {
    return this.#bodyAwaited && !this.#blocked && this.#wire.holdsBody === true;
  }

  /** Calls those writers that wait now. Each may make others go, and wait again itself. */
  notifyDrained(): void {
    for (let left = 1 + (this.#alsoDrained?.length ?? 0); left > 0; left--) {
      const drained = this.#drained;
      this.#drained = this.#alsoDrained?.shift();
      drained?.();
    }
  }

  // ---- called by the body ----

  get readAheadBytes(): number {
    return this.#settings.unreadBodies.readAheadBytes;
  }
  bodyHolds(bytes: number): void {
    this.#settings.unreadBodies.change(this.#wire.bodyHolder, bytes);
  }
  startBody(): void {
    if (this.#state < DONE) this.#wire.startBody();
  }
  pauseBody(): void {
    if (this.#state < DONE) this.#wire.pauseBody();
  }
  resumeBody(): void {
    if (this.#state < DONE) this.#wire.resumeBody();
  }
  bodyAwaited(awaited: boolean): void {
    if (awaited) this.#awaitedSince ||= Date.now();
    else if (this.#awaitedSince !== 0) {
      this.#awaitedMs += Date.now() - this.#awaitedSince;
      this.#awaitedSince = 0;
    }
    if (awaited !== this.#bodyAwaited) {
      this.#bodyAwaited = awaited;
      this.#wire.bodyAwaited?.(awaited);
    }
    this.#watch();
  }
  refuseBody(reason: GatewayError): boolean {
    if (this.#state >= HEAD_SENT || this.finished) return false;
    this.fail(reason);
    return true;
  }

  // ---- inside ----

  /** Gives the wire what it has room for. */
  #pump(): void {
    if (this.#blocked) return;
    const wire = this.#wire;
    const buffer = this.#buffer;
    let room = true;
    if (this.#state < HEAD_SENT) {
      const ending = this.#state === ENDED_UNSENT;
      const chunk = buffer.length > 0 ? buffer.take() : undefined;
      const last = ending && buffer.length === 0 && this.#trailers === undefined;
      this.#transition(last ? DONE : ending ? ENDING : HEAD_SENT);
      this.#countSent(chunk);
      room = wire.sendHead(this, chunk, last);
    }
    while (room && buffer.length > 0 && this.#state < DONE) {
      const chunk = buffer.take();
      const last = this.#state === ENDING && buffer.length === 0 && this.#trailers === undefined;
      if (last) this.#transition(DONE);
      this.#countSent(chunk);
      room = wire.sendChunk(chunk, last);
    }
    if (this.#state === ENDING && buffer.length === 0) {
      this.#transition(DONE);
      wire.sendEnd(this.#trailers);
    } else if (!room && this.#state < DONE) {
      this.#blocked = true;
      this.#watch();
    }
  }

  #countSent(chunk: Chunk | undefined): void {
    if (chunk !== undefined) this.#settings.counters.add('bytesSentTotal', chunk.length);
  }

  /** Answers with a page of our own instead of whatever was buffered. */
  #preparePage(status: number, closes: boolean): void {
    this.#buffer.clear();
    this.bytesWritten = 0;
    this.#unsentBytes = 0;
    this.#trailers = undefined;
    this.reason = undefined;
    const page = errorPage(status, this.answeredBy?.requestId);
    this.status = status;
    this.#responseFields = page.fields;
    this.contentLength = page.body.length;
    this.hasDate = false;
    this.closes ||= closes;
    this.mayHaveTrailers = false;
    this.bodyless = this.#request.method === 'HEAD';
    if (!this.bodyless) {
      this.#buffer.append(page.body);
      this.bytesWritten = page.body.length;
    }
    if (this.#state !== ENDED_UNSENT) this.#transition(ENDED_UNSENT);
  }

  #giveUp(): void {
    this.#transition(DONE);
    this.#buffer.clear();
    this.#settings.stalls.stop(this);
  }

  /** The part of `bytes` that the declared Content-Length leaves room for. */
  #withinDeclared(bytes: Uint8Array): Uint8Array {
    if (this.contentLength === undefined) return bytes;
    const room = this.contentLength - this.bytesWritten - this.#unsentBytes;
    if (bytes.length <= room || this.bodyless) return bytes;
    if (!this.#excessLogged) {
      this.#excessLogged = true;
      this.#settings.logger.warn('Response is longer than its Content-Length: the rest is dropped', {
        target: this.#request.target,
        request: this.answeredBy?.requestId,
        declared: this.contentLength,
      });
    }
    return bytes.subarray(0, room);
  }

  /** The whole body is known before anything was sent: its length can be announced. */
  #completeLength(length: number): void {
    if (!this.bodyless) this.contentLength = length;
    // A HEAD handler that wrote a body gets the length its GET would have; one that wrote none claims nothing.
    else if (length > 0 && !isBodyless(this.status)) this.contentLength = length;
  }

  /** Runs the stall clock exactly while the client is being waited for. */
  #watch(): void {
    if (this.#state < DONE && (this.#blocked || this.#bodyAwaited)) this.#settings.stalls.start(this);
    else this.#settings.stalls.stop(this);
  }

  #transition(next: State): void {
    assert(next > this.#state, 'an exchange only moves forward');
    this.#state = next;
  }
}

const NO_FIELDS: Fields = [];
const COLON = 58;

/** Pseudo-header fields stand first (RFC 9113 §8.3); a name with a colon cannot come over HTTP/1. */
function withoutPseudoFields(fields: Fields): Fields {
  let at = 0;
  while (at < fields.length && (fields[at] as string).charCodeAt(0) === COLON) at += 2;
  return at === 0 ? fields : fields.slice(at);
}

function notifyWriter(exchange: ServerExchange): void {
  exchange.notifyDrained();
}

function clientGone(): GatewayError {
  return new GatewayError('LGW_CLIENT_GONE', 'Client has gone', { luaCode: 'closed' });
}
