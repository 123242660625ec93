/** The request of an exchange, as handlers see it. */
import { readTraceContext, type TraceContext } from '../../base/trace-context.ts';
import { type Fields, fieldValue, withoutPseudoFields } from '../semantics/fields.ts';
import type { CacheOutcome, ExchangeConnection, Protocol, RequestIdentity } from './exchange.ts';
import type { QueuedBody } from './request-body.ts';
import type { RequestHead } from './request-head.ts';

export class ReceivedRequest {
  protected readonly request: RequestHead;
  /** Undefined = nobody has asked for it, and nothing has come. */
  protected receivedBody: QueuedBody | undefined;
  /** What the handler takes of the body, bytes. */
  protected bodyBytesMax: number = Number.POSITIVE_INFINITY;
  #fields: Fields | undefined;
  /** Undefined: nobody has asked; null: there is none. */
  #trace: TraceContext | null | undefined;
  /** The server that a proxy has passed it on to. */
  upstream: string | undefined;
  /** What the cache has done for it. */
  cacheOutcome: CacheOutcome | undefined;
  /** The mapping it was led to. */
  servedFor: object | undefined;

  constructor(request: RequestHead) {
    this.request = request;
  }

  get protocol(): Protocol {
    return this.request.protocol;
  }
  get method(): string {
    return this.request.method;
  }
  get target(): string {
    return this.request.target;
  }
  get scheme(): 'https' | 'http' {
    return this.request.scheme;
  }
  get authority(): string {
    return this.request.authority;
  }
  get fields(): Fields {
    this.#fields ??= withoutPseudoFields(this.request.fields);
    return this.#fields;
  }
  /** Read when it is asked for. */
  get trace(): TraceContext | undefined {
    if (this.#trace === undefined) {
      const { fields } = this.request;
      const state = (): string | undefined => fieldValue(fields, 'tracestate');
      this.#trace = readTraceContext(fieldValue(fields, 'traceparent'), state) ?? null;
    }
    return this.#trace ?? undefined;
  }
  get connection(): ExchangeConnection {
    return this.request.connection;
  }
  get identity(): RequestIdentity {
    return this.request;
  }
  get connectProtocol(): string | undefined {
    return this.request.connectProtocol;
  }
  get pushed(): boolean {
    return this.request.pushed;
  }

  /**
   * True where a tunnel has nothing before it: over HTTP/1 a request without a body, over HTTP/2 an extended CONNECT, whose body the
   * tunnel is.
   */
  protected get mayBecomeTunnel(): boolean {
    const { hasBody, connectProtocol, declaredLength } = this.request;
    return connectProtocol === undefined ? !hasBody : hasBody && declaredLength === undefined;
  }
  /** True when the body is longer than the handler takes, or says that it will be. */
  protected get isKnownTooLong(): boolean {
    const { declaredLength, hasBody } = this.request;
    return hasBody && (declaredLength ?? this.receivedBody?.bytesReceived ?? 0) > this.bodyBytesMax;
  }
  /** True when the request body has been taken in to its end (or there is none). */
  get bodyComplete(): boolean {
    const body = this.receivedBody;
    return !this.request.hasBody || (body?.ended === true && body.error === undefined);
  }
  /** Body bytes that have come and were not read. */
  get unreadBytes(): number {
    return this.receivedBody?.queue.length ?? 0;
  }
  /** Body bytes that were read. */
  get readBytes(): number {
    const body = this.receivedBody;
    return body === undefined ? 0 : body.bytesReceived - body.queue.length;
  }
}
