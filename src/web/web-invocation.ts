/** One call of a web handler: from the request it is given to the last byte of the response it returns, or its failure. */
import { GatewayError } from '../base/errors.ts';
import { nextRequestNumber, requestIdOf } from '../base/request-id.ts';
import type { Exchange } from '../http/exchange/exchange.ts';
import type { Stallable } from '../http/exchange/stall-watch.ts';
import { timeLimitError } from './body-stream.ts';
import { describe, describeThrown } from './describe.ts';
import type { ProgressWatch } from './handler-proxy.ts';
import { LentBody } from './lent-body.ts';
import { makeRequest, type RequestWatch } from './light-request.ts';
import { discardResponse, isResponse } from './light-response.ts';
import { ExchangeContext, type HandlerSurroundings, type WebHandler } from './web-handler.ts';
import { giveHead, partsOf, sendWhole } from './web-response.ts';

/** What all calls of a handler share. */
export interface InvocationOptions extends HandlerSurroundings {
  /** What log lines call the mapping. */
  readonly name: string;
  readonly handler: WebHandler;
}

export class WebInvocation implements RequestWatch, ProgressWatch, Stallable {
  readonly #exchange: Exchange;
  readonly #options: InvocationOptions;
  #abortRequest: ((reason: unknown) => void) | undefined;
  #reader: ReadableStreamDefaultReader<Uint8Array> | undefined;
  #ended = false;
  #isWatched = false;
  #flushes = false;
  waitingSince = 0;
  place = 0;
  /** What has moved of a request that is passed on, and how much that was at the last look. */
  #moved: (() => number) | undefined;
  #movedBefore = 0;

  #requestNumber: number | undefined;

  constructor(exchange: Exchange, options: InvocationOptions) {
    this.#exchange = exchange;
    this.#options = options;
    exchange.answeredBy = this;
  }

  get requestNumber(): number {
    this.#requestNumber ??= nextRequestNumber();
    return this.#requestNumber;
  }

  /** Identifies the exchange in error pages and logs; made at the first use. */
  get requestId(): string {
    return requestIdOf(this.#options.workerId, this.requestNumber);
  }

  get mappingName(): string {
    return this.#options.name;
  }

  /** Calls the handler; it may have ended when this returns. */
  start(url: string): void {
    const exchange = this.#exchange;
    let result: unknown;
    try {
      const { request, abort } = makeRequest(exchange, url, this);
      this.#abortRequest = abort;
      result = this.#options.handler(request, new ExchangeContext(exchange, this.#options, this));
    } catch (error) {
      this.#fail(error);
      return;
    }
    if (!isPromise(result)) {
      this.#respond(result);
      return;
    }
    this.#listen();
    this.#watch();
    result.then(
      (value) => this.#respond(value),
      (error) => this.#fail(error),
    );
  }

  /** The handler has read a part of the body. */
  progressed(): void {
    if (this.#isWatched) this.#watch();
  }

  follow(moved: () => number): void {
    this.#moved = moved;
  }

  /** The handler has been silent for too long. */
  stalled(limitMs: number): void {
    this.#isWatched = false;
    if (this.#ended) return;
    const moved = this.#moved?.() ?? 0;
    if (moved !== this.#movedBefore) {
      this.#movedBefore = moved;
      this.#watch();
      return;
    }
    const reason = timeLimitError(limitMs);
    this.#log('Time limit reached: the handler has written nothing', { limitMs });
    this.#end();
    this.#abandon(reason);
    this.#exchange.reset(504);
  }

  #respond(result: unknown): void {
    if (this.#ended) {
      discardResponse(result);
      return;
    }
    this.#unwatch();
    if (this.#exchange.headGiven) {
      // a WebSocket has the exchange, or its client was told why not
      this.#ended = true;
      discardResponse(result);
      return;
    }
    if (!isResponse(result)) {
      this.#fail(new TypeError(`The handler returned ${describe(result)} in the place of a Response`));
      return;
    }
    try {
      const parts = partsOf(result);
      const { body } = parts;
      if (body === null || typeof body === 'string' || body instanceof Uint8Array) {
        sendWhole(this.#exchange, parts, body);
        this.#end();
        return;
      }
      giveHead(this.#exchange, parts);
      if (body instanceof LentBody) {
        // from now on whoever passes it on ends the exchange
        this.#listen();
        body.giveTo(this.#exchange);
        return;
      }
      if (this.#exchange.method === 'HEAD') {
        // it has the fields of a GET and no body to wait for
        body.cancel().catch(() => undefined);
        this.#exchange.end();
        this.#end();
        return;
      }
      this.#listen();
      this.#reader = body.getReader();
      void this.#pipe(this.#reader);
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Never rejects. */
  async #pipe(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<void> {
    const exchange = this.#exchange;
    try {
      for (;;) {
        this.#watch();
        this.#flushSoon();
        const { done, value } = await reader.read();
        this.#unwatch();
        if (this.#ended) return;
        if (done) break;
        const chunk: unknown = value;
        if (!(chunk instanceof Uint8Array))
          throw new TypeError(`The body of the response gave ${describe(chunk)} in the place of bytes`);
        if (!exchange.write(chunk)) await new Promise<void>((resolve) => exchange.whenDrained(resolve));
        if (this.#ended) return;
      }
      exchange.end();
      this.#end();
    } catch (error) {
      this.#fail(error);
    }
  }

  /** What was written leaves when the stream has nothing more to give at once. */
  #flushSoon(): void {
    if (this.#flushes) return;
    this.#flushes = true;
    setImmediate(() => {
      this.#flushes = false;
      if (!this.#ended) this.#exchange.flush();
    });
  }

  /** From now on the client may go while the handler is at work. */
  #listen(): void {
    const exchange = this.#exchange;
    if (exchange.error !== undefined) {
      this.#end();
      this.#abandon(exchange.error);
      return;
    }
    exchange.onAbort ??= (reason) => {
      this.#options.logger.debug(reason.message, this.#facts());
      this.#end();
      this.#abandon(reason);
    };
  }

  #fail(error: unknown): void {
    if (this.#ended) return;
    if (error instanceof GatewayError && isForClient(error)) {
      const request = isOfClient(error.status) ? {} : { request: this.requestId };
      this.#options.logger.warn(error.message, { ...request, ...this.#facts() });
      this.#end();
      this.#abandon(error);
      this.#exchange.reset(error.status);
      return;
    }
    this.#log(`Handler failed: ${describeThrown(error)}`);
    this.#end();
    this.#abandon(error);
    this.#exchange.reset(500);
  }

  #end(): void {
    this.#ended = true;
    this.#exchange.onAbort = undefined;
    this.#unwatch();
  }

  /** Aborts the signal of the handler: its result is not needed any more. */
  #abandon(reason: unknown): void {
    this.#abortRequest?.(reason);
    this.#reader?.cancel(reason).catch(() => undefined);
  }

  #watch(): void {
    this.#isWatched = true;
    this.#options.silences.start(this);
  }

  #unwatch(): void {
    if (!this.#isWatched) return;
    this.#isWatched = false;
    this.#options.silences.stop(this);
  }

  /** The page of the client names the request as the log does. */
  #log(message: string, more: Readonly<Record<string, number>> = {}): void {
    this.#options.logger.error(message, { request: this.requestId, ...this.#facts(), ...more });
  }

  #facts(): Record<string, string> {
    const { method, target } = this.#exchange;
    return { mapping: this.#options.name, method, target };
  }
}

/** What clients are told as it is: what they did wrong, and that the server behind a proxy does not answer. */
function isForClient({ status, code }: GatewayError): boolean {
  return isOfClient(status) || (status !== undefined && code.startsWith('LGW_PROXY_'));
}

/** True for a status that says what a client did wrong. */
function isOfClient(status: number | undefined): status is number {
  return status !== undefined && status >= 400 && status < 500;
}

function isPromise(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function';
}
