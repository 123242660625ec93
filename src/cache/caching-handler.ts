/** A handler with the cache before it. */
import type { AnswerSource } from '../http/exchange/answer-source.ts';
import type { Exchange } from '../http/exchange/exchange.ts';
import type { Handler, Route } from '../http/exchange/handler.ts';
import type { ResponseCache } from './response-cache.ts';
import { SourceCache } from './source-cache.ts';

const NO_TAGS: readonly string[] = [];

export class CachingHandler implements Handler {
  readonly #handler: Handler;
  readonly #front: SourceCache;

  /** `space`: names the handler on all machines. */
  constructor(handler: Handler, cache: ResponseCache, space: string) {
    this.#handler = handler;
    this.#front = new SourceCache(cache, space);
  }

  handle(exchange: Exchange, route: Route): void {
    this.#front.answer(exchange, new HandlerSource(this.#handler, route));
  }

  retire(): void {
    this.#front.retire();
  }

  close(): void {
    this.#front.close();
  }
}

/** The handler, for one request: it is asked by the route of that. */
class HandlerSource implements AnswerSource {
  readonly part = '';
  readonly tags: readonly string[] = NO_TAGS;
  readonly #handler: Handler;
  readonly #route: Route;

  constructor(handler: Handler, route: Route) {
    this.#handler = handler;
    this.#route = route;
  }

  ask(exchange: Exchange): void {
    this.#handler.handle(exchange, this.#route);
  }
}
