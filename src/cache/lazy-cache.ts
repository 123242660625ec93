/** The cache for answers of one thread: what it needs beside purges is loaded for the first handler whose answers are kept. */
import type { AnswerFront } from '../http/exchange/answer-source.ts';
import type { Handler } from '../http/exchange/handler.ts';
import type { Counters } from '../metrics/worker-metrics.ts';
import type { CachingHandler } from './caching-handler.ts';
import type { CommonEntries } from './common-entries.ts';
import { type Purge, purgeAnswers } from './purge-answers.ts';
import type { PurgeMarks } from './purge-marks.ts';
import type { ResponseCache } from './response-cache.ts';
import type { SourceCache } from './source-cache.ts';

export interface LazyCacheOptions {
  readonly counters: Counters;
  readonly marks: PurgeMarks;
  /** Resolves to the store that machines share; undefined: there is none. */
  readonly entries?: () => Promise<CommonEntries | undefined>;
  /** Bytes of all answers. */
  readonly bytesMax: number;
  /** Of entries in the store; undefined: they have none. */
  readonly entryKey?: Uint8Array | undefined;
}

/** A handler with the cache before it. */
interface FrontedHandler extends Handler {
  retire(): void;
  close(): void;
}

interface Loaded {
  readonly cache: ResponseCache;
  readonly Handler: typeof CachingHandler;
  readonly Sources: typeof SourceCache;
}

export class LazyCache {
  readonly #options: LazyCacheOptions;
  /** What was purged, in all threads that share the memory. */
  readonly marks: PurgeMarks;
  #cache: ResponseCache | undefined;
  #bytesMax: number;
  /** Resolves when what `before` has given keeps answers. */
  ready: Promise<unknown> = Promise.resolve();

  constructor(options: LazyCacheOptions) {
    this.#options = options;
    this.#bytesMax = options.bytesMax;
    this.marks = options.marks;
  }

  /** What puts the cache before a handler, which `space` names on all machines. */
  async open(space: string): Promise<(handler: Handler) => CachingHandler> {
    const { cache, Handler } = await this.#load();
    return (handler) => new Handler(handler, cache, space);
  }

  /** Bytes of all answers. */
  resize(bytesMax: number): void {
    this.#bytesMax = bytesMax;
    this.#cache?.store.resize(bytesMax);
  }

  /** Until `ready`, the handler gets all requests. */
  before(handler: Handler, space: string): FrontedHandler {
    let front: CachingHandler | undefined;
    let isClosed = false;
    this.ready = this.open(space).then((open) => {
      if (!isClosed) front = open(handler);
    });
    return {
      handle: (exchange, route) => (front ?? handler).handle(exchange, route),
      retire: () => front?.retire(),
      close: () => {
        isClosed = true;
        front?.close();
      },
    };
  }

  /** Requests that come before the cache is loaded wait for that. */
  front(space: string): AnswerFront {
    let front: SourceCache | undefined;
    let isRetired = false;
    let isClosed = false;
    const loading = this.#load().then(({ cache, Sources }) => {
      front = new Sources(cache, space);
      if (isClosed) front.close();
      else if (isRetired) front.retire();
      return front;
    });
    return {
      answer: (exchange, source) => {
        if (front !== undefined) front.answer(exchange, source);
        else
          void loading.then((loaded) => {
            if (!exchange.finished) loaded.answer(exchange, source);
          });
      },
      retire: () => {
        isRetired = true;
        front?.retire();
      },
      close: () => {
        isClosed = true;
        front?.close();
      },
    };
  }

  /** In all threads that share the memory, at once. False: the URL is none. */
  purge(purge: Purge): boolean {
    return purgeAnswers(this.marks, purge);
  }

  async #load(): Promise<Loaded> {
    const [{ ResponseCache }, { CachingHandler }, { SourceCache }, entries] = await Promise.all([
      import('./response-cache.ts'),
      import('./caching-handler.ts'),
      import('./source-cache.ts'),
      this.#options.entries?.(),
    ]);
    const { counters, entryKey } = this.#options;
    const bytesMax = this.#bytesMax;
    this.#cache ??= new ResponseCache({ bytesMax, counters, marks: this.marks, entries, entryKey });
    return { cache: this.#cache, Handler: CachingHandler, Sources: SourceCache };
  }
}
