/**
 * An exchange whose response becomes a Response: what answers exchanges, as the files of a folder do, answers web code by it. A
 * body that fits into the room is known when it ends; a longer one is a stream, at the pace of whoever reads it.
 */
import { ByteQueue } from '../base/byte-queue.ts';
import type { GatewayError } from '../base/errors.ts';
import { errorPage } from '../http/exchange/error-response.ts';
import type {
  Answerer,
  Exchange,
  ExchangeConnection,
  Protocol,
  RequestBody,
  RequestIdentity,
} from '../http/exchange/exchange.ts';
import { clientGone } from '../http/exchange/exchange-errors.ts';
import { NO_BODY } from '../http/exchange/no-body.ts';
import type { Fields } from '../http/semantics/fields.ts';
import { makeLightResponse } from './light-response.ts';
import { ROOM_BYTES, StreamSink } from './stream-sink.ts';
import type { HandlerContext } from './web-handler.ts';

export class ResponseExchange implements Exchange {
  readonly protocol: Protocol;
  readonly method: string;
  readonly target: string;
  readonly scheme: 'https' | 'http';
  readonly authority: string;
  readonly fields: Fields;
  readonly connection: ExchangeConnection;
  readonly identity: RequestIdentity = {
    memo: undefined,
    logged: undefined,
    split: undefined,
    hasBody: false,
  };
  /** Whoever answers by this does not read what the client sends. */
  readonly body: RequestBody = NO_BODY;
  readonly pushed = false;
  readonly canPush = false;
  readonly #deliver: (response: Response) => void;
  /** The body while it fits into the room. */
  readonly #queue = new ByteQueue();
  #fields: Fields = [];
  /** The body that did not. */
  #sink: StreamSink | undefined;
  #drained: (() => void) | undefined;
  status = 0;
  bytesWritten = 0;
  finished = false;
  error: GatewayError | undefined;
  answeredBy: Answerer | undefined;
  onAbort: ((reason: GatewayError) => void) | undefined;
  onClose: (() => void) | undefined;

  /** `deliver` is called once, perhaps before a call that answers returns. */
  constructor(
    { method, headers }: Request,
    { protocol, host, pathname, search }: URL,
    context: HandlerContext,
    deliver: (response: Response) => void,
  ) {
    this.method = method;
    this.fields = [...headers].flat();
    this.scheme = protocol === 'https:' ? 'https' : 'http';
    this.authority = host;
    this.target = pathname + search;
    this.protocol = context.version;
    this.connection = context.connection;
    this.#deliver = deliver;
  }

  get headGiven(): boolean {
    return this.status !== 0;
  }

  /** Its request has no body. */
  limitBody(): void {}
  /** A Response has none. */
  inform(): void {}
  trailers(): void {}
  flush(): void {}
  readonly connectProtocol = undefined;
  openTunnel(): boolean {
    return false;
  }
  push(): undefined {}

  head(status: number, fields: Fields): void {
    if (this.finished) return;
    this.status = status;
    this.#fields = fields;
  }

  write(bytes: Uint8Array): boolean {
    return this.writeOwned(new Uint8Array(bytes));
  }

  writeOwned(bytes: Uint8Array): boolean {
    if (this.finished) return true;
    if (this.status === 0) this.status = 200;
    this.bytesWritten += bytes.length;
    if (this.#sink !== undefined) return this.#sink.writeOwned(bytes);
    this.#queue.push(bytes);
    return this.#queue.length <= ROOM_BYTES || this.#open();
  }

  whenDrained(drained: () => void): void {
    if (this.#sink !== undefined) {
      this.#sink.whenDrained(drained);
      return;
    }
    this.#drained = drained;
    process.nextTick(() => {
      this.#drained?.();
      this.#drained = undefined;
    });
  }

  cancelDrained(): void {
    this.#drained = undefined;
    this.#sink?.cancelDrained();
  }

  end(): void {
    if (this.finished) return;
    this.finished = true;
    if (this.#sink !== undefined) {
      this.#sink.end();
      return;
    }
    const { length } = this.#queue;
    this.#send(length === 0 ? null : this.#queue.take(length));
  }

  reset(status = 500): void {
    if (this.finished) return;
    this.finished = true;
    if (this.#sink !== undefined) {
      this.#sink.reset();
      return;
    }
    const page = errorPage(status, this.fields, this.answeredBy?.requestId);
    this.status = status;
    this.#fields = page.fields;
    this.#send(page.body);
  }

  /** The body goes on as a stream, to which the bytes go that have been kept; false: it has no room. */
  #open(): boolean {
    const sink = new StreamSink(
      () => this.#abandon(),
      () => this.#close(),
    );
    this.#sink = sink;
    const hasRoom = sink.writeOwned(this.#queue.take(this.#queue.length));
    const headers = new Headers();
    for (let i = 0; i < this.#fields.length; i += 2)
      headers.append(this.#fields[i] as string, this.#fields[i + 1] as string);
    this.#deliver(new Response(sink.stream, { status: this.status, headers }));
    return hasRoom;
  }

  #send(body: Uint8Array | null): void {
    this.#deliver(makeLightResponse({ status: this.status, statusText: '', fields: this.#fields, body }));
    this.#close();
  }

  /** Nobody reads the answer any more. */
  #abandon(): void {
    if (this.finished) return;
    this.finished = true;
    this.error = clientGone();
    this.onAbort?.(this.error);
  }

  #close(): void {
    const closed = this.onClose;
    this.onClose = undefined;
    closed?.();
  }
}
