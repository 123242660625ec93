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
import type { Fields } from '../http/semantics/fields.ts';
import { makeLightResponse } from './light-response.ts';
import type { HandlerContext } from './web-handler.ts';

/** Bytes that wait for their reader before the writer has to. */
const ROOM_BYTES: number = 64 * 1024;

/** Whoever answers by this does not read what the client sends. */
const NO_BODY: RequestBody = {
  queue: new ByteQueue(),
  ended: true,
  error: undefined,
  declaredLength: undefined,
  request: (_size, ready) => process.nextTick(ready),
  cancelRequest: ignore,
  consumed: ignore,
};

export class ResponseExchange implements Exchange {
  readonly protocol: Protocol;
  readonly method: string;
  readonly target: string;
  readonly scheme: 'https' | 'http';
  readonly authority: string;
  readonly fields: Fields;
  readonly connection: ExchangeConnection;
  readonly identity: RequestIdentity = { memo: undefined, logged: undefined, hasBody: false };
  readonly body: RequestBody = NO_BODY;
  readonly pushed = false;
  readonly canPush = false;
  readonly #deliver: (response: Response) => void;
  readonly #queue = new ByteQueue();
  #fields: Fields = [];
  #controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  #isDelivered = false;
  /** The reader waits for a piece. */
  #pulled: (() => void) | undefined;
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
    this.#queue.push(bytes);
    if (this.#isDelivered) this.#feed();
    else if (this.#queue.length > ROOM_BYTES) this.#open();
    return this.#queue.length <= ROOM_BYTES;
  }

  whenDrained(drained: () => void): void {
    this.#drained = drained;
    if (this.#queue.length <= ROOM_BYTES) process.nextTick(() => this.#notify());
  }
  cancelDrained(): void {
    this.#drained = undefined;
  }

  end(): void {
    if (this.finished) return;
    this.finished = true;
    if (!this.#isDelivered) {
      const { length } = this.#queue;
      this.#send(length === 0 ? null : this.#queue.take(length));
      this.#close();
    } else this.#feed();
  }

  reset(status = 500): void {
    if (this.finished) return;
    this.finished = true;
    if (this.#isDelivered) this.#controller?.error(new Error('The answer has broken off'));
    else {
      const page = errorPage(status, this.fields, this.answeredBy?.requestId);
      this.status = status;
      this.#fields = page.fields;
      this.#send(page.body);
    }
    this.#close();
  }

  #open(): void {
    const stream = new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          this.#controller = controller;
        },
        pull: () =>
          new Promise<void>((resolve) => {
            this.#pulled = resolve;
            this.#feed();
          }),
        cancel: () => this.#abort(),
      },
      { highWaterMark: 0 },
    );
    this.#isDelivered = true;
    const { status } = this;
    const headers = new Headers();
    for (let i = 0; i < this.#fields.length; i += 2)
      headers.append(this.#fields[i] as string, this.#fields[i + 1] as string);
    this.#deliver(new Response(stream, { status, headers }));
  }

  #send(body: Uint8Array | null): void {
    this.#isDelivered = true;
    this.#deliver(makeLightResponse({ status: this.status, statusText: '', fields: this.#fields, body }));
  }

  /** Gives the next piece to a reader that waits, and closes the stream behind the last. */
  #feed(): void {
    const controller = this.#controller as ReadableStreamDefaultController<Uint8Array>;
    if (this.#pulled !== undefined && this.#queue.length > 0) {
      controller.enqueue(new Uint8Array(this.#queue.takeChunk(ROOM_BYTES)));
      this.#answerPull();
    }
    if (this.#queue.length === 0 && this.finished) {
      controller.close();
      this.#answerPull();
      this.#close();
    } else if (this.#queue.length <= ROOM_BYTES) this.#notify();
  }

  #answerPull(): void {
    const pulled = this.#pulled;
    this.#pulled = undefined;
    pulled?.();
  }

  /** Nobody reads the answer any more. */
  #abort(): void {
    if (!this.finished) {
      this.finished = true;
      this.error = clientGone();
      this.onAbort?.(this.error);
      this.#notify();
    }
    this.#queue.clear();
    this.#close();
  }

  /** The writer may go on. */
  #notify(): void {
    const drained = this.#drained;
    this.#drained = undefined;
    drained?.();
  }

  #close(): void {
    const closed = this.onClose;
    this.onClose = undefined;
    closed?.();
  }
}

function ignore(): void {}
