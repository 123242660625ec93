/**
 * The exchange of a request that a handler passes on: the head of the answer becomes a Response, and the body waits until the
 * handler returns that, and goes to the client directly then, or as a stream to whoever reads it.
 */
import { ByteQueue } from '../base/byte-queue.ts';
import type { GatewayError } from '../base/errors.ts';
import type { TraceContext } from '../base/trace-context.ts';
import type {
  AnswerCompression,
  Answerer,
  CacheOutcome,
  Exchange,
  ExchangeConnection,
  Protocol,
  RequestBody,
  RequestIdentity,
} from '../http/exchange/exchange.ts';
import type { Fields } from '../http/semantics/fields.ts';
import { LentBody } from './lent-body.ts';
import { makeLightResponse } from './light-response.ts';
import { StreamSink } from './stream-sink.ts';

/** Where the body goes once somebody has taken it. */
type Taker = Pick<
  Exchange,
  'write' | 'writeOwned' | 'flush' | 'trailers' | 'end' | 'reset' | 'isFull' | 'whenDrained' | 'cancelDrained'
>;

/** Statuses whose responses have no body: the standard refuses one. */
const NULL_BODY_STATUSES: ReadonlySet<number> = new Set([204, 205, 304]);

export class PassedExchange extends LentBody implements Exchange {
  readonly pushed = false;
  readonly canPush = false;
  readonly #real: Exchange;
  readonly #deliver: (response: Response) => void;
  readonly #abandon: () => void;
  /** What has come while nobody had taken the body: what one read brings. */
  readonly #held = new ByteQueue();
  #taker: Taker | undefined;
  #trailers: Fields | undefined;
  #drained: (() => void) | undefined;
  #ending: 'open' | 'whole' | 'broken' = 'open';
  #brokenStatus: number | undefined;
  status = 0;
  bytesWritten = 0;
  reason: string | undefined;
  onAbort: ((reason: GatewayError) => void) | undefined;

  /** `deliver` is called once at most, with the response; `abandon` where nobody wants the body any more. */
  constructor(real: Exchange, deliver: (response: Response) => void, abandon: () => void) {
    super();
    this.#real = real;
    this.#deliver = deliver;
    this.#abandon = abandon;
  }

  // ---- the request ----

  get protocol(): Protocol {
    return this.#real.protocol;
  }
  get method(): string {
    return this.#real.method;
  }
  get target(): string {
    return this.#real.target;
  }
  get scheme(): 'https' | 'http' {
    return this.#real.scheme;
  }
  get authority(): string {
    return this.#real.authority;
  }
  get connectProtocol(): string | undefined {
    return this.#real.connectProtocol;
  }
  get fields(): Fields {
    return this.#real.fields;
  }
  get connection(): ExchangeConnection {
    return this.#real.connection;
  }
  get identity(): RequestIdentity {
    return this.#real.identity;
  }
  get body(): RequestBody {
    return this.#real.body;
  }
  get trace(): TraceContext | undefined {
    return this.#real.trace;
  }
  get answeredBy(): Answerer | undefined {
    return this.#real.answeredBy;
  }
  set answeredBy(answerer: Answerer | undefined) {
    this.#real.answeredBy = answerer;
  }
  get upstream(): string | undefined {
    return this.#real.upstream;
  }
  set upstream(name: string | undefined) {
    this.#real.upstream = name;
  }
  set cacheOutcome(outcome: CacheOutcome | undefined) {
    this.#real.cacheOutcome = outcome;
  }
  set compression(wanted: AnswerCompression | false | undefined) {
    this.#real.compression = wanted;
  }
  get onClose(): (() => void) | undefined {
    return this.#real.onClose;
  }
  set onClose(closed: (() => void) | undefined) {
    this.#real.onClose = closed;
  }
  limitBody(bytesMax: number): void {
    this.#real.limitBody(bytesMax);
  }

  // ---- the answer ----

  get headGiven(): boolean {
    return this.status !== 0;
  }
  get finished(): boolean {
    return this.#ending !== 'open' || this.#real.finished;
  }
  get error(): GatewayError | undefined {
    return this.#real.error;
  }

  inform(status: number, fields: Fields): void {
    if (!this.#real.headGiven) this.#real.inform(status, fields);
  }

  head(status: number, fields: Fields): void {
    if (this.finished) return;
    this.status = status;
    const body = NULL_BODY_STATUSES.has(status) ? null : this;
    this.#deliver(makeLightResponse({ status, statusText: this.reason ?? '', fields, body }));
  }

  openTunnel(protocol: string, fields: Fields): boolean {
    if (!this.#real.openTunnel(protocol, fields)) return false;
    this.status = 101;
    this.#taker = this.#real;
    // stands for the answer, which is given
    this.#deliver(new Response(null, { status: 204 }));
    return true;
  }

  write(bytes: Uint8Array): boolean {
    this.bytesWritten += bytes.length;
    if (this.#taker !== undefined) return this.#taker.write(bytes);
    this.#held.pushCopy(bytes);
    return false;
  }

  writeOwned(bytes: Uint8Array): boolean {
    this.bytesWritten += bytes.length;
    if (this.#taker !== undefined) return giveOwned(this.#taker, bytes);
    this.#held.push(bytes);
    return false;
  }

  get isFull(): boolean {
    return this.#taker === undefined ? this.#held.length > 0 : this.#taker.isFull === true;
  }

  whenDrained(drained: () => void): void {
    if (this.#taker === undefined) this.#drained = drained;
    else this.#taker.whenDrained(drained);
  }

  cancelDrained(drained?: () => void): void {
    this.#drained = undefined;
    this.#taker?.cancelDrained(drained);
  }

  flush(): void {
    this.#taker?.flush();
  }

  trailers(fields: Fields): void {
    this.#trailers = fields;
  }

  end(): void {
    if (this.#ending !== 'open') return;
    this.#ending = 'whole';
    if (this.#taker !== undefined) this.#finish(this.#taker);
  }

  reset(status?: number): void {
    if (this.#ending !== 'open') return;
    this.#ending = 'broken';
    this.#brokenStatus = status;
    this.#taker?.reset(status);
  }

  push(): undefined {}

  // ---- LentBody ----

  giveTo(exchange: Exchange): void {
    if (exchange.finished) this.#abandon();
    else this.#give(exchange);
  }

  stream(): ReadableStream<Uint8Array> {
    const sink = new StreamSink(this.#abandon);
    this.#give(sink);
    return sink.stream;
  }

  // ---- inside ----

  #give(taker: Taker): void {
    this.#taker = taker;
    if (this.#ending === 'broken') {
      taker.reset(this.#brokenStatus);
      return;
    }
    const { length } = this.#held;
    const hasRoom = length === 0 || giveOwned(taker, this.#held.take(length));
    if (this.#ending === 'whole') {
      this.#finish(taker);
      return;
    }
    taker.flush();
    const drained = this.#drained;
    this.#drained = undefined;
    if (drained === undefined) return;
    if (hasRoom) drained();
    else taker.whenDrained(drained);
  }

  #finish(taker: Taker): void {
    if (this.#trailers !== undefined) taker.trailers(this.#trailers);
    taker.end();
  }
}

/** Nobody changes the bytes any more. */
function giveOwned(taker: Taker, bytes: Uint8Array): boolean {
  return taker.writeOwned === undefined ? taker.write(bytes) : taker.writeOwned(bytes);
}
