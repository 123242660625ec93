/** An Exchange without a wire: it keeps everything that a handler does to it, for the test to check. */
import { ByteQueue } from '../../src/base/byte-queue.ts';
import { GatewayError } from '../../src/base/errors.ts';
import type {
  Exchange,
  ExchangeConnection,
  HeadReviser,
  Protocol,
  PushPromise,
  RequestBody,
  RequestIdentity,
} from '../../src/http/exchange/exchange.ts';
import { checkFields, type Fields, fieldValue } from '../../src/http/semantics/fields.ts';

export interface FakeRequest {
  readonly method?: string;
  readonly protocol?: Protocol;
  readonly fields?: Fields;
  readonly authority?: string;
  /** The whole body. `'open'`: the test supplies the body through `exchange.body`. */
  readonly body?: string | Uint8Array | 'open';
  /** Response bytes that the exchange accepts before a writer has to wait. */
  readonly roomBytes?: number;
  /** False: waiting bytes leave only when the test calls `drain`. */
  readonly drains?: boolean;
  readonly canPush?: boolean;
  /** Properties that differ from those of the default connection. */
  readonly connection?: Partial<ExchangeConnection>;
}

export class FakeBody implements RequestBody {
  readonly queue: ByteQueue = new ByteQueue();
  readonly declaredLength = undefined;
  ended = false;
  error: GatewayError | undefined;
  #wanted = 0;
  #waiters: (() => void)[] = [];

  /** True while a reader waits. */
  get awaited(): boolean {
    return this.#waiters.length > 0;
  }

  supply(bytes: string | Uint8Array): void {
    this.queue.push(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes);
    if (this.queue.length >= this.#wanted) this.#notify();
  }

  finish(error?: GatewayError): void {
    if (this.ended) return;
    this.ended = true;
    this.error = error;
    this.#notify();
  }

  request(size: number, ready: () => void): void {
    this.#wanted = this.awaited ? Math.min(this.#wanted, size) : size;
    this.#waiters.push(ready);
    if (this.ended || this.queue.length >= size) setImmediate(() => this.#notify());
  }

  cancelRequest(ready?: () => void): void {
    this.#waiters = this.#waiters.filter((other) => ready !== undefined && other !== ready);
  }

  consumed(): void {}

  #notify(): void {
    for (let left = this.#waiters.length; left > 0; left--) this.#waiters.shift()?.();
  }
}

const CONNECTION: ExchangeConnection = {
  peerAddress: '192.0.2.7',
  peerPort: 50123,
  localAddress: '192.0.2.1',
  localPort: 8443,
  tlsProtocol: 'TLSv1.3',
  tlsCipher: 'TLS_AES_256_GCM_SHA384',
  tlsServerName: 'example.test',
};

const NO_FIELDS: Fields = [];

export class FakeExchange implements Exchange {
  readonly protocol: Protocol;
  readonly method: string;
  readonly target: string;
  readonly scheme = 'https';
  readonly authority: string;
  readonly fields: Fields;
  readonly connection: ExchangeConnection;
  readonly identity: RequestIdentity = { memo: undefined, hasBody: false };
  readonly body: FakeBody = new FakeBody();
  readonly pushed = false;
  readonly canPush: boolean;

  headGiven = false;
  finished = false;
  status = 0;
  bytesWritten = 0;
  error: GatewayError | undefined;
  onAbort: ((reason: GatewayError) => void) | undefined;
  onClose: (() => void) | undefined;
  reviseHead: HeadReviser | undefined;

  /** The response fields that the handler gave. */
  responseFields: Fields = NO_FIELDS;
  readonly informed: { readonly status: number; readonly fields: Fields }[] = [];
  readonly promises: PushPromise[] = [];
  readonly writes: Buffer[] = [];
  /** What the handler takes of a request body, bytes. */
  bodyBytesMax: number = Number.POSITIVE_INFINITY;
  /** True when a client would see an incomplete response. */
  broken = false;
  /** Resolves when the response has ended, complete or not. */
  readonly closed: Promise<void>;
  #close: () => void = () => undefined;
  #headSent = false;
  #unread = 0;
  #writers: (() => void)[] = [];
  readonly #roomBytes: number;
  readonly #drains: boolean;

  constructor(target: string, request: FakeRequest = {}) {
    this.target = target;
    this.connection =
      request.connection === undefined ? CONNECTION : { ...CONNECTION, ...request.connection };
    this.protocol = request.protocol ?? 'HTTP/2';
    this.method = request.method ?? (request.body === undefined ? 'GET' : 'POST');
    this.fields = request.fields ?? NO_FIELDS;
    this.authority = request.authority ?? 'example.test';
    this.canPush = request.canPush ?? false;
    this.#roomBytes = request.roomBytes ?? Number.POSITIVE_INFINITY;
    this.#drains = request.drains ?? true;
    if (request.body !== 'open') {
      if (request.body !== undefined) this.body.supply(request.body);
      this.body.finish();
    }
    this.closed = new Promise((resolve) => {
      this.#close = resolve;
    });
  }

  /** The response body so far, as a byte string. */
  get text(): string {
    return Buffer.concat(this.writes).toString('latin1');
  }

  /** Returns the value of a response field. */
  field(name: string): string | undefined {
    return fieldValue(this.responseFields, name);
  }

  limitBody(bytesMax: number): void {
    this.bodyBytesMax = bytesMax;
  }

  inform(status: number, fields: Fields): void {
    checkFields(fields);
    this.informed.push({ status, fields });
  }

  head(status: number, fields: Fields): void {
    if (this.finished) return;
    if (this.headGiven) throw new RangeError('The head has already been given');
    checkFields(fields);
    const revised = this.reviseHead === undefined ? { status, fields } : this.reviseHead(status, fields);
    if (this.finished) return;
    if (revised === undefined) {
      this.reviseHead = undefined;
      this.reset(500);
      return;
    }
    this.#giveHead(revised.status, revised.fields);
  }

  #giveHead(status: number, fields: Fields): void {
    const length = fieldValue(fields, 'content-length');
    if (length !== undefined && !/^[0-9]+$/.test(length)) {
      throw new GatewayError(
        'LGW_FIELD_INVALID',
        `Value "${length}" of field "content-length" is not a length`,
      );
    }
    this.headGiven = true;
    this.status = status;
    this.responseFields = fields;
  }

  write(bytes: Uint8Array): boolean {
    if (this.finished) return true;
    if (!this.headGiven) this.head(200, NO_FIELDS);
    this.writes.push(Buffer.from(bytes));
    this.bytesWritten += bytes.length;
    this.#unread += bytes.length;
    return this.#unread < this.#roomBytes;
  }

  whenDrained(drained: () => void): void {
    this.#writers.push(drained);
    if (this.#drains) setImmediate(() => this.drain());
  }

  cancelDrained(drained?: () => void): void {
    this.#writers = this.#writers.filter((other) => drained !== undefined && other !== drained);
  }

  /** True while a writer waits for room. */
  get writerWaits(): boolean {
    return this.#writers.length > 0;
  }

  /** Simulates a client that has read everything. */
  drain(): void {
    this.#unread = 0;
    for (let left = this.#writers.length; left > 0; left--) this.#writers.shift()?.();
  }

  flush(): void {
    if (this.headGiven) this.#headSent = true;
  }

  trailers(): void {}

  end(): void {
    if (this.finished) return;
    if (!this.headGiven) this.head(200, NO_FIELDS);
    this.#finish();
  }

  reset(status = 500): void {
    if (this.finished) return;
    if (this.#headSent) this.broken = true;
    else {
      const page = this.reviseHead?.(status, NO_FIELDS) ?? { status, fields: NO_FIELDS };
      this.status = page.status;
      this.responseFields = page.fields;
      this.writes.length = 0;
    }
    this.#finish();
  }

  /** Simulates a client that closes the connection. */
  abort(): void {
    if (this.finished) return;
    const reason = new GatewayError('LGW_CLIENT_GONE', 'Client has gone', { luaCode: 'closed' });
    this.error = reason;
    this.finished = true;
    const { onAbort } = this;
    this.onAbort = undefined;
    onAbort?.(reason);
    this.body.finish(reason);
    this.drain();
    this.#finish();
  }

  readonly connectProtocol = undefined;

  openTunnel(): boolean {
    if (this.headGiven || !this.fields.includes('upgrade')) return false;
    this.headGiven = true;
    this.status = 101;
    this.body.ended = false;
    return true;
  }

  push(promise: PushPromise): Exchange | undefined {
    checkFields(promise.fields);
    this.promises.push(promise);
    return new FakeExchange(promise.target, { method: promise.method });
  }

  #finish(): void {
    this.finished = true;
    this.onAbort = undefined;
    const { onClose } = this;
    this.onClose = undefined;
    onClose?.();
    this.#close();
  }
}
