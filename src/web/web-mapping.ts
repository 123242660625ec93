/** A path prefix and the web handler behind it, for the gateway's router: it answers every path under the prefix. */
import { setMaxListeners } from 'node:events';
import type { Logger } from '../base/logger.ts';
import { SHARED_NAME } from '../base/shared-size.ts';
import type { Purge } from '../cache/purge-answers.ts';
import type { TextEvents } from '../events/text-events.ts';
import type { AnswerFront } from '../http/exchange/answer-source.ts';
import { respondWithError } from '../http/exchange/error-response.ts';
import type { Exchange } from '../http/exchange/exchange.ts';
import type { Handler, Mapping } from '../http/exchange/handler.ts';
import { StallWatch } from '../http/exchange/stall-watch.ts';
import type { Share } from '../mapping/shares.ts';
import type { Counters } from '../metrics/worker-metrics.ts';
import type { SharedDictionary } from '../shared/shared-dictionary.ts';
import type { StoredDictionaries } from '../store/stored-dictionary.ts';
import type { ServerWebSocket } from '../websocket/server-websocket.ts';
import { asyncMemory, asyncStored } from './async-dictionary.ts';
import type { CacheSurroundings } from './cached-answer.ts';
import { describeThrown } from './describe.ts';
import type { ProxySurroundings } from './handler-proxy.ts';
import { requestUrl } from './light-request.ts';
import type { HandlerContext, WebHandler } from './web-handler.ts';
import { type InvocationOptions, WebInvocation } from './web-invocation.ts';

/** Silent handlers are looked for this often per time limit, within the bounds below. */
const SWEEPS_PER_LIMIT = 8;
const SWEEP_INTERVAL_MIN_MS = 10;
const SWEEP_INTERVAL_MAX_MS = 1000;

export interface WebMappingOptions {
  readonly host?: string | undefined;
  readonly prefix: string;
  readonly workerId: number;
  readonly logger: Logger;
  readonly shared: (name: string) => SharedDictionary;
  /** Those that live in a store; undefined: there is none. */
  readonly stored?: StoredDictionaries | undefined;
  readonly events: TextEvents;
  /** What it may have of the thread's WebSockets. */
  readonly share: Share;
  /** Where its handlers pass requests on. */
  readonly proxies: ProxySurroundings;
  /** For answers of its handlers. */
  readonly cache: {
    /** `space` names the mapping, on all machines. */
    front(space: string): AnswerFront;
    purge(purge: Purge): boolean;
  };
  readonly counters: Counters;
  /** Time a handler may go on without writing anything; Infinity = no limit. */
  readonly timeLimitMs: number;
  /** Called before each request, in a worker: whatever holds up the thread then is known by it. */
  readonly began?: (() => void) | undefined;
}

export class WebMapping implements Mapping, Handler {
  readonly host: string | undefined;
  readonly prefix: string;
  readonly answersAll = true;
  readonly #options: InvocationOptions;
  readonly #silences: StallWatch;
  readonly #ending = new AbortController();
  readonly #sockets = new Set<ServerWebSocket>();
  readonly #began: (() => void) | undefined;
  readonly #cache: WebMappingOptions['cache'];
  /** Of answers; made for the first that may be kept. */
  #front: AnswerFront | undefined;
  #isClosed = false;
  #sweepTimer: NodeJS.Timeout | undefined;

  constructor(options: WebMappingOptions, handler: WebHandler) {
    const { host, prefix, workerId, logger, shared, share, events, proxies, counters, timeLimitMs } = options;
    this.host = host;
    this.#began = options.began;
    this.#cache = options.cache;
    this.prefix = prefix;
    const silences = new StallWatch(timeLimitMs);
    // the store bounds their number
    const dictionaries = new Map<string, SharedDictionary>();
    const open = (name: string): SharedDictionary => {
      const known = dictionaries.get(name) ?? shared(name);
      dictionaries.set(name, known);
      return known;
    };
    const name = (host ?? '') + prefix;
    // each open stream listens
    setMaxListeners(0, this.#ending.signal);
    const ending = this.#ending.signal;
    const failed = (error: unknown): void =>
      logger.error(`Handler of a WebSocket failed: ${describeThrown(error)}`, { mapping: name });
    const webSockets = { share, sockets: this.#sockets, failed };
    this.#options = {
      prefix,
      name,
      workerId,
      logger,
      shared: open,
      dictionary: (name, settings) => {
        const found = SHARED_NAME.test(name) ? options.stored?.find(name) : undefined;
        return found === undefined ? asyncMemory(open(name)) : asyncStored(found, share, settings);
      },
      events,
      ending,
      webSockets,
      proxies,
      answers: this.#answers(name, logger),
      purge: (purge) => this.#cache.purge(purge),
      counters,
      handler,
      silences,
    };
    this.#silences = silences;
    this.#sweepFor(timeLimitMs);
  }

  #answers(name: string, logger: Logger): CacheSurroundings<HandlerContext> {
    const openFront = (): AnswerFront => {
      if (this.#front === undefined) {
        this.#front = this.#cache.front(`${name}\0handler`);
        if (this.#isClosed) this.#front.close();
      }
      return this.#front;
    };
    return {
      get front() {
        return openFront();
      },
      call: (exchange, handler) => this.#start(exchange, { ...this.#options, handler }),
      failed: (error, { method, target }) =>
        logger.error(`Handler failed: ${describeThrown(error)}`, { mapping: name, method, target }),
    };
  }

  /** Holds for handlers that run already, too. */
  setTimeLimit(timeLimitMs: number): void {
    if (timeLimitMs === this.#silences.limitMs) return;
    this.#silences.limitMs = timeLimitMs;
    clearInterval(this.#sweepTimer);
    this.#sweepFor(timeLimitMs);
  }

  #sweepFor(timeLimitMs: number): void {
    if (timeLimitMs === Number.POSITIVE_INFINITY) return;
    const wanted = Math.floor(timeLimitMs / SWEEPS_PER_LIMIT);
    const interval = Math.max(SWEEP_INTERVAL_MIN_MS, Math.min(SWEEP_INTERVAL_MAX_MS, wanted));
    this.#sweepTimer = setInterval(() => this.#silences.sweep(performance.now()), interval);
    this.#sweepTimer.unref();
  }

  find(_name: string): Handler {
    return this;
  }

  handle(exchange: Exchange): void {
    this.#began?.();
    this.#start(exchange, this.#options);
  }

  #start(exchange: Exchange, options: InvocationOptions): void {
    const url = requestUrl(exchange);
    if (url === undefined) respondWithError(exchange, 400);
    else new WebInvocation(exchange, options).start(url);
  }

  serve(): void {}

  /** Answers without an end of their own are to end. WebSockets close when their handlers come to wait for a message or send the next one. */
  endStreams(): void {
    this.#ending.abort();
    for (const socket of this.#sockets) socket.leave();
  }

  /** Calls that go on are those of exchanges, which end by themselves; the clock keeps running for them. */
  async retire(): Promise<void> {
    this.#options.proxies.retire();
    this.#front?.retire();
    this.endStreams();
  }

  close(): void {
    clearInterval(this.#sweepTimer);
    this.#options.proxies.close();
    this.#isClosed = true;
    this.#front?.close();
  }
}
