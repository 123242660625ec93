/**
 * Stands for the exchange of a caller who names a source of answers and wants to know what came of it: what answers is not the source alone, but
 * the cache before it. Where nothing was sent the exchange has still to be answered, and its caller does that.
 */
import type { GatewayError } from '../../base/errors.ts';
import type { TraceContext } from '../../base/trace-context.ts';
import type { Fields } from '../semantics/fields.ts';
import type {
  AnswerCompression,
  Answerer,
  CacheOutcome,
  Exchange,
  ExchangeConnection,
  HeadReviser,
  Protocol,
  RequestBody,
  RequestIdentity,
} from './exchange.ts';
import { clientGone } from './exchange-errors.ts';

/** Called once, unless the call was cancelled: true where the answer is whole. */
type CallEnded = (isWhole: boolean) => void;

export class CallExchange implements Exchange {
  readonly #real: Exchange;
  readonly #ended: CallEnded;
  readonly pushed = false;
  readonly canPush = false;
  /** `given up`: nobody hears of it any more. */
  #state: 'open' | 'whole' | 'broken' | 'given up' = 'open';
  reviseHead: HeadReviser | undefined;
  onAbort: ((reason: GatewayError) => void) | undefined;

  constructor(real: Exchange, ended: CallEnded) {
    this.#real = real;
    this.#ended = ended;
  }

  // ---- for the caller ----

  /** Bytes that have gone either way. */
  get moved(): number {
    const { bytesWritten, identity, body } = this.#real;
    return identity.hasBody ? bytesWritten + body.queue.taken : bytesWritten;
  }

  /** The caller hears of a failure, or of none any more. */
  get isHeard(): boolean {
    return this.#state === 'open' || this.#state === 'broken';
  }

  /** The client has gone, or the caller wants nothing of it any more. */
  cancel(): void {
    if (this.#state !== 'open') return;
    this.#state = 'given up';
    const { onAbort } = this;
    this.onAbort = undefined;
    onAbort?.(this.#real.error ?? clientGone());
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
  limitBody(bytesMax: number): void {
    this.#real.limitBody(bytesMax);
  }

  // ---- what is told of it ----

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
  set reason(phrase: string | undefined) {
    this.#real.reason = phrase;
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

  // ---- the answer ----

  get headGiven(): boolean {
    return this.#real.headGiven;
  }
  get finished(): boolean {
    return this.#state !== 'open' || this.#real.finished;
  }
  get status(): number {
    return this.#real.status;
  }
  get bytesWritten(): number {
    return this.#real.bytesWritten;
  }
  get error(): GatewayError | undefined {
    return this.#real.error;
  }
  get isFull(): boolean {
    return this.#real.isFull === true;
  }

  inform(status: number, fields: Fields): void {
    if (!this.finished) this.#real.inform(status, fields);
  }

  head(status: number, fields: Fields): void {
    if (this.finished) return;
    const head = this.reviseHead === undefined ? { status, fields } : this.reviseHead(status, fields);
    if (head === undefined) this.reset(500);
    else this.#real.head(head.status, head.fields);
  }

  write(bytes: Uint8Array): boolean {
    return this.finished || this.#real.write(bytes);
  }

  writeOwned(bytes: Uint8Array): boolean {
    if (this.finished) return true;
    return this.#real.writeOwned === undefined ? this.#real.write(bytes) : this.#real.writeOwned(bytes);
  }

  writeText(text: string): boolean {
    if (this.finished) return true;
    const real = this.#real;
    return real.writeText === undefined ? real.write(Buffer.from(text, 'latin1')) : real.writeText(text);
  }

  flush(): void {
    if (!this.finished) this.#real.flush();
  }

  whenDrained(drained: () => void): void {
    this.#real.whenDrained(drained);
  }

  cancelDrained(drained?: () => void): void {
    this.#real.cancelDrained(drained);
  }

  trailers(fields: Fields): void {
    if (!this.finished) this.#real.trailers(fields);
  }

  end(): void {
    if (this.#state !== 'open') return;
    this.#state = 'whole';
    this.onAbort = undefined;
    this.#real.end();
    this.#ended(true);
  }

  reset(status?: number): void {
    if (this.#state !== 'open') return;
    this.#state = 'broken';
    this.onAbort = undefined;
    // an answer that has begun must not look whole
    if (this.#real.headGiven) this.#real.reset(status);
    this.#ended(false);
  }

  openTunnel(protocol: string, fields: Fields): boolean {
    return !this.finished && this.#real.openTunnel(protocol, fields);
  }

  push(): undefined {}
}
