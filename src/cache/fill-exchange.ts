/** The exchange of a request that the cache makes for itself: it asks in the name of a client, and the cache gets the answer. */
import type { GatewayError } from '../base/errors.ts';
import type { TraceContext } from '../base/trace-context.ts';
import type {
  AnswerCompression,
  Answerer,
  Exchange,
  ExchangeConnection,
  HeadReviser,
  Protocol,
  RequestBody,
  RequestIdentity,
} from '../http/exchange/exchange.ts';
import { clientGone } from '../http/exchange/exchange-errors.ts';
import { NO_BODY } from '../http/exchange/no-body.ts';
import { checkHead } from '../http/exchange/outgoing-head.ts';
import { Waiters } from '../http/exchange/waiters.ts';
import type { Fields } from '../http/semantics/fields.ts';

/** Gets the answer: informational heads, one head, pieces of the body, the end; or `failed` at any time instead. */
export interface FillSink {
  informed(status: number, fields: Fields): void;
  gaveHead(status: number, fields: Fields): void;
  /** The bytes are only lent. False: no more before `tellRoom` of the exchange. */
  gave(bytes: Uint8Array): boolean;
  /** It has room for bytes. */
  readonly hasRoom: boolean;
  ended(trailers: Fields | undefined): void;
  failed(status: number): void;
}

export class FillExchange implements Exchange {
  readonly protocol: Protocol;
  readonly method: string = 'GET';
  readonly target: string;
  readonly scheme: 'https' | 'http';
  readonly authority: string;
  readonly fields: Fields;
  readonly connection: ExchangeConnection;
  /** Of its own, since it asks for something else than its client. */
  readonly identity: RequestIdentity = {
    memo: undefined,
    logged: undefined,
    split: undefined,
    hasBody: false,
  };
  readonly body: RequestBody = NO_BODY;
  readonly trace: TraceContext | undefined;
  readonly connectProtocol = undefined;
  readonly pushed = false;
  readonly canPush = false;
  readonly #sink: FillSink;
  readonly #writers: Waiters = new Waiters();
  #trailers: Fields | undefined;
  status = 0;
  bytesWritten = 0;
  finished = false;
  error: GatewayError | undefined;
  answeredBy: Answerer | undefined;
  upstream: string | undefined;
  reason: string | undefined;
  reviseHead: HeadReviser | undefined;
  compression: AnswerCompression | false | undefined;
  onAbort: ((reason: GatewayError) => void) | undefined;
  onClose: (() => void) | undefined;

  constructor(client: Exchange, fields: Fields, sink: FillSink) {
    this.protocol = client.protocol;
    this.target = client.target;
    this.scheme = client.scheme;
    this.authority = client.authority;
    this.connection = client.connection;
    this.trace = client.trace;
    this.fields = fields;
    this.#sink = sink;
  }

  get headGiven(): boolean {
    return this.status !== 0;
  }
  get isFull(): boolean {
    return !this.finished && !this.#sink.hasRoom;
  }

  /** Its request has no body. */
  limitBody(): void {}
  /** Whoever gets the answer sends it when it likes. */
  flush(): void {}
  openTunnel(): boolean {
    return false;
  }
  push(): undefined {}

  inform(status: number, fields: Fields): void {
    if (!this.headGiven && !this.finished) this.#sink.informed(status, fields);
  }

  head(status: number, fields: Fields): void {
    if (this.finished) return;
    if (this.headGiven) throw new RangeError('The head has already been given');
    checkHead(status, fields);
    const head = this.reviseHead === undefined ? { status, fields } : this.reviseHead(status, fields);
    if (this.finished) return;
    if (head === undefined) {
      this.reset(500);
      return;
    }
    this.status = head.status;
    this.#sink.gaveHead(head.status, head.fields);
  }

  write(bytes: Uint8Array): boolean {
    if (this.finished) return true;
    if (!this.headGiven) this.head(200, NO_FIELDS);
    if (this.finished || bytes.length === 0) return true;
    this.bytesWritten += bytes.length;
    return this.#sink.gave(bytes);
  }

  whenDrained(drained: () => void): void {
    this.#writers.add(drained);
    if (this.finished || this.#sink.hasRoom) this.#writers.notifySoon();
  }

  cancelDrained(drained?: () => void): void {
    this.#writers.remove(drained);
  }

  trailers(fields: Fields): void {
    this.#trailers = fields;
  }

  end(): void {
    if (this.finished) return;
    if (!this.headGiven) this.head(200, NO_FIELDS);
    if (this.finished) return;
    this.finished = true;
    this.#sink.ended(this.#trailers);
    this.#close();
  }

  reset(status = 500): void {
    if (this.finished) return;
    this.finished = true;
    this.#sink.failed(status);
    this.#close();
  }

  // ---- for whoever gets the answer ----

  /** There is room again. */
  tellRoom(): void {
    this.#writers.notifySoon();
  }

  /** Nobody wants the answer any more; the sink hears of nothing any more. */
  giveUp(): void {
    if (this.finished) return;
    this.finished = true;
    const reason = clientGone();
    this.error = reason;
    const { onAbort } = this;
    this.onAbort = undefined;
    onAbort?.(reason);
    this.#writers.notifySoon();
    this.#close();
  }

  #close(): void {
    const { onClose } = this;
    this.onAbort = undefined;
    this.onClose = undefined;
    onClose?.();
  }
}

const NO_FIELDS: Fields = [];
