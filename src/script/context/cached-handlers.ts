/** The handlers of one script whose answers are kept, and the servers that it names in calls whose answers are. */
import type { Logger } from '../../base/logger.ts';
import type { AnswerFront } from '../../http/exchange/answer-source.ts';
import type { Handler } from '../../http/exchange/handler.ts';
import type { AnswerCache, CachedHandler } from './answer-cache.ts';
import type { Hooks } from './hooks.ts';

export class CachedHandlers {
  readonly #cache: AnswerCache;
  readonly #hooks: Hooks;
  readonly #logger: Logger;
  readonly #mapping: string;
  readonly #handlers: CachedHandler[] = [];
  /** Of servers; made for the first such call. */
  #calls: AnswerFront | undefined;
  #isClosed = false;
  #isWarned = false;

  constructor(cache: AnswerCache, hooks: Hooks, logger: Logger, mapping: string) {
    this.#cache = cache;
    this.#hooks = hooks;
    this.#logger = logger;
    this.#mapping = mapping;
  }

  /** Puts the cache before a handler. Where requests have hooks they have to run for each of them, and nothing is kept. */
  add(name: string, handler: Handler): Handler {
    const cached = this.#cache.before(handler, `${this.#mapping}\0${name}`);
    this.#handlers.push(cached);
    return {
      handle: (exchange, route) => {
        if (this.#hooks.areForRequests) {
          this.#warn(name);
          handler.handle(exchange, route);
        } else cached.handle(exchange, route);
      },
    };
  }

  /** The cache before servers that calls name. */
  get calls(): AnswerFront {
    if (this.#calls === undefined) {
      // no name of a handler is like this
      this.#calls = this.#cache.front(`${this.#mapping}\0proxy`);
      if (this.#isClosed) this.#calls.close();
    }
    return this.#calls;
  }

  /** Resolves when all of them keep answers. */
  async ready(): Promise<void> {
    if (this.#handlers.length > 0) await this.#cache.ready;
  }

  /** Before the last exchange ends. */
  retire(): void {
    for (const handler of this.#handlers) handler.retire();
    this.#calls?.retire();
  }

  close(): void {
    this.#isClosed = true;
    for (const handler of this.#handlers) handler.close();
    this.#calls?.close();
  }

  #warn(name: string): void {
    if (this.#isWarned) return;
    this.#isWarned = true;
    this.#logger.warn('Answers are not kept: the script has hooks, which have to run for each request', {
      mapping: this.#mapping,
      handler: name,
    });
  }
}
