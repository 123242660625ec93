/** A cache before a backend that a test writes as a function, without sockets, and with a clock that the test moves. */

import { cacheClock } from '../../src/cache/cache-clock.ts';
import { CachingHandler } from '../../src/cache/caching-handler.ts';
import type { CommonEntries } from '../../src/cache/common-entries.ts';
import { PurgeMarks } from '../../src/cache/purge-marks.ts';
import { ResponseCache } from '../../src/cache/response-cache.ts';
import type { Exchange } from '../../src/http/exchange/exchange.ts';
import type { Route } from '../../src/http/exchange/handler.ts';
import type { Fields } from '../../src/http/semantics/fields.ts';
import { formatHttpDate } from '../../src/http/semantics/http-date.ts';
import { Counters } from '../../src/metrics/worker-metrics.ts';
import { DEFAULT_LIMITS } from '../../src/settings/limits.ts';
import { FakeExchange, type FakeRequest } from './fake-exchange.ts';

export interface BackendAnswer {
  readonly status?: number;
  readonly fields?: Fields;
  readonly body?: string;
}

/** Answers a request of the cache at once, or later; it sees what the cache asks. */
export type Backend = (exchange: Exchange) => BackendAnswer | undefined;

export interface CacheWorldOptions {
  readonly bytesMax?: number;
  readonly waitMs?: number;
  /** Of another world: two workers of one process. */
  readonly purges?: SharedArrayBuffer;
  /** A store that worlds share; time is real then. */
  readonly entries?: CommonEntries;
  readonly entryKey?: Uint8Array;
  /** How long requests wait for the store. */
  readonly readMs?: number;
  readonly space?: string;
}

const START = Date.UTC(2026, 0, 1, 12);

export class CacheWorld {
  readonly counters: Counters = new Counters();
  readonly cache: ResponseCache;
  readonly handler: CachingHandler;
  /** Requests that the backend has got, in order. */
  readonly asked: Exchange[] = [];
  backend: Backend = () => ({});
  static #now: number = START;

  constructor(options: CacheWorldOptions = {}) {
    const { purges, space = 'test', bytesMax = DEFAULT_LIMITS.cacheBytesMax, ...others } = options;
    const isReal = options.entries !== undefined;
    cacheClock.now = isReal ? () => performance.now() : () => CacheWorld.#now;
    cacheClock.wall = isReal ? () => Date.now() : cacheClock.now;
    this.cache = new ResponseCache({
      counters: this.counters,
      marks: new PurgeMarks(purges),
      bytesMax,
      ...others,
    });
    this.handler = new CachingHandler(
      {
        handle: (exchange) => {
          this.asked.push(exchange);
          const answer = this.backend(exchange);
          if (answer !== undefined) give(exchange, answer);
        },
      },
      this.cache,
      space,
    );
  }

  static get now(): number {
    return CacheWorld.#now;
  }

  /** All worlds of a process have one clock. */
  static pass(seconds: number): void {
    CacheWorld.#now += seconds * 1000;
  }

  /** A date of HTTP, so many seconds from now. */
  static date(seconds = 0): string {
    return formatHttpDate(CacheWorld.#now + seconds * 1000);
  }

  ask(target = '/', request: FakeRequest = {}): FakeExchange {
    const exchange = new FakeExchange(target, request);
    this.handler.handle(exchange, ROUTE);
    return exchange;
  }

  /** Asks by GET with these fields: names and values in turn. */
  get(...fields: string[]): FakeExchange {
    return this.ask('/', { fields });
  }
}

/** Answers a request of the cache. */
export function give(
  exchange: Exchange,
  { status = 200, fields = [], body = 'content' }: BackendAnswer,
): void {
  exchange.head(status, fields);
  if (body !== '' && status !== 304) exchange.write(Buffer.from(body, 'latin1'));
  exchange.end();
}

/** The handler of a test is behind every path. */
export const ROUTE = { prefix: '/', handlerName: '/', path: '/' } as Route;
