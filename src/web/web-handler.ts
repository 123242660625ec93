/** The type of a handler written in TypeScript or JavaScript, and of the context that it gets beside the request. */
import type { Logger } from '../base/logger.ts';
import type { Purge } from '../cache/purge-answers.ts';
import type { EventSubscription } from '../events/event-subscription.ts';
import type { SubscriptionOptions, TextEvents } from '../events/text-events.ts';
import type { ConnectionInfo, Exchange } from '../http/exchange/exchange.ts';
import type { StallWatch } from '../http/exchange/stall-watch.ts';
import type { HandlerProxyOptions, ProxyTargets } from '../mapping/proxy-options.ts';
import type { Counters } from '../metrics/worker-metrics.ts';
import type { SharedDictionary } from '../shared/shared-dictionary.ts';
import type { AsyncDictionary, DictionaryOptions } from './async-dictionary.ts';
import { answerCached, type CachedOptions, type CacheSurroundings } from './cached-answer.ts';
import { type ProgressWatch, type ProxySurroundings, passOn } from './handler-proxy.ts';
import {
  upgrade,
  type WebSocketHandler,
  type WebSocketSurroundings,
  type WebSocketUpgradeOptions,
} from './handler-websocket.ts';
import type { Version } from './http-words.ts';

/** Answers a request with the web's own types. */
export type WebHandler = (request: Request, context: HandlerContext) => Response | Promise<Response>;

/** An object that answers requests, such as a Router. */
export interface WebService {
  fetch(request: Request, context: HandlerContext): Response | Promise<Response>;
}

/** What handlers and middleware keep of one request for each other, where they do not say what that is. */
export type RequestState = Record<string, unknown>;

/** What a handler may know beyond the request. */
export interface HandlerContext<State extends object = RequestState> {
  /** Addresses of both ends, and TLS. */
  readonly connection: ConnectionInfo;
  /** The protocol the request came by. */
  readonly version: Version;
  /** The prefix of the mapping that was found. */
  readonly prefix: string;
  /** 1 and up in worker threads; 0 where the handler runs in the program's own thread. */
  readonly workerId: number;
  /** Writes to the gateway's log. */
  readonly logger: Logger;
  /** For what middleware and handlers tell each other about this request; empty at first. */
  readonly state: State;
  /**
   * The dictionary of this name in the memory of all threads, the same as `httpd.shared(name)` of Lua. Throws RangeError
   * for what is no name, and GatewayError (`luaCode` limit) when too many were opened that were not declared, or (`LGW_STORE`) when it
   * lives in a store: `dictionary` has those, too.
   */
  shared(name: string): SharedDictionary;
  /** The dictionary of this name wherever it lives, in memory or in a store. Throws as `shared`, and RangeError for an option that cannot be. */
  dictionary(name: string, options?: DictionaryOptions): AsyncDictionary;
  /**
   * Gives the message to all who have subscribed to the channel, in all threads and scripts; returns how many those of this thread are. A
   * text goes as UTF-8. Throws GatewayError (`luaCode` limit) for what is too long.
   */
  publish(channel: string, message: string | Uint8Array): number;
  /** Subscribes until the request is over, or the subscription is closed. Throws GatewayError (`luaCode` limit) when there is no room. */
  subscribe(channels: string | readonly string[], options?: SubscriptionOptions): EventSubscription;
  /** Aborted when another handler takes over, or the gateway drains: answers that have no end of their own should end then. */
  readonly ending: AbortSignal;
  /** How long a handler may be silent, ms: neither write nor read; Infinity: without end. */
  readonly timeLimitMs: number;
  /**
   * Answers the request by a WebSocket that `serve` has until it ends. Return what it returns, whatever the client has asked for: a
   * request that asks for no WebSocket gets 426 or 400.
   */
  upgradeWebSocket(serve: WebSocketHandler, options?: WebSocketUpgradeOptions): Response;
  /**
   * Passes the request on to another server and resolves with its answer when the head of that has come. The body goes on as it comes
   * when the handler returns the response; return it also where the request has become a tunnel. Rejects with a GatewayError whose
   * `status` the client gets where the handler lets it through: 502, 503 or 504. The body of the request must not have been read.
   */
  proxy(targets: ProxyTargets, options?: HandlerProxyOptions): Promise<Response>;
  /**
   * Resolves with the answer that is kept for this URL; where there is none, calls the handler, and keeps its answer where that allows it (RFC 9111).
   * The handler gets a GET without conditions and ranges for each GET and HEAD, and any other request as it is, whose body must not have been read.
   * Rejects with what the handler throws. Return the response, with its fields changed or not.
   */
  cached(handler: WebHandler, options?: CachedOptions): Promise<Response>;
  /**
   * Makes answers that are kept invalid, by tag, by the URL that clients ask for, or all: in all threads and mappings, with a store on all machines.
   * False: the URL is none, and nothing was purged. Throws TypeError where it names nothing.
   */
  purge(purge: Purge): boolean;
}

/** What all requests of one mapping have in common. */
export interface HandlerSurroundings {
  readonly prefix: string;
  readonly workerId: number;
  readonly logger: Logger;
  readonly shared: (name: string) => SharedDictionary;
  readonly dictionary: (name: string, options?: DictionaryOptions) => AsyncDictionary;
  readonly events: TextEvents;
  readonly ending: AbortSignal;
  /** Watches those that wait for their handler. */
  readonly silences: StallWatch;
  readonly webSockets: WebSocketSurroundings;
  readonly proxies: ProxySurroundings;
  readonly answers: CacheSurroundings<HandlerContext>;
  readonly purge: (purge: Purge) => boolean;
  /** Of the thread. */
  readonly counters: Counters;
}

/** A context that costs next to nothing until it is asked. */
export class ExchangeContext implements HandlerContext {
  readonly #exchange: Exchange;
  readonly #surroundings: HandlerSurroundings;
  readonly #watch: ProgressWatch;
  #state: RequestState | undefined;
  /** Subscriptions that end with the exchange. */
  #subscriptions: Set<EventSubscription> | undefined;

  constructor(exchange: Exchange, surroundings: HandlerSurroundings, watch: ProgressWatch) {
    this.#exchange = exchange;
    this.#watch = watch;
    this.#surroundings = surroundings;
  }

  /** Counters of the thread that a request is in; undefined: a handler was called without a server. */
  static countersOf(context: object): Counters | undefined {
    return #surroundings in context ? context.#surroundings.counters : undefined;
  }

  get connection(): ConnectionInfo {
    return this.#exchange.connection;
  }
  get version(): Version {
    return this.#exchange.protocol;
  }
  get prefix(): string {
    return this.#surroundings.prefix;
  }
  get workerId(): number {
    return this.#surroundings.workerId;
  }
  get logger(): Logger {
    return this.#surroundings.logger;
  }
  get state(): RequestState {
    this.#state ??= Object.create(null) as RequestState;
    return this.#state;
  }
  get ending(): AbortSignal {
    return this.#surroundings.ending;
  }
  get timeLimitMs(): number {
    return this.#surroundings.silences.limitMs;
  }
  shared(name: string): SharedDictionary {
    return this.#surroundings.shared(name);
  }
  dictionary(name: string, options?: DictionaryOptions): AsyncDictionary {
    return this.#surroundings.dictionary(name, options);
  }
  publish(channel: string, message: string | Uint8Array): number {
    return this.#surroundings.events.publish(channel, message);
  }
  subscribe(channels: string | readonly string[], options?: SubscriptionOptions): EventSubscription {
    const subscription = this.#surroundings.events.subscribe(channels, options);
    if (this.#subscriptions === undefined) this.#closeWithExchange();
    // a handler that goes on behind its answer has nobody who would end it
    if (this.#exchange.finished) subscription.close();
    else {
      this.#subscriptions?.add(subscription);
      // a WebSocket finds out by itself
      if (!this.#exchange.headGiven) this.#exchange.connection.series?.endWithClient();
    }
    return subscription;
  }

  #closeWithExchange(): void {
    const exchange = this.#exchange;
    const subscriptions = new Set<EventSubscription>();
    this.#subscriptions = subscriptions;
    const { onClose } = exchange;
    exchange.onClose = () => {
      for (const subscription of subscriptions) subscription.close();
      onClose?.();
    };
  }

  upgradeWebSocket(serve: WebSocketHandler, options: WebSocketUpgradeOptions = {}): Response {
    if (this.#exchange.headGiven) throw new TypeError('The request has got its answer already');
    upgrade(this.#exchange, serve, options, this.#surroundings.webSockets);
    // stands for the answer, which is given
    return new Response(null, { status: 204 });
  }

  proxy(targets: ProxyTargets, options: HandlerProxyOptions = {}): Promise<Response> {
    return passOn(this.#exchange, targets, options, this.#surroundings.proxies, this.#watch);
  }

  cached(handler: WebHandler, options: CachedOptions = {}): Promise<Response> {
    return answerCached(this.#exchange, handler, options, this.#surroundings.answers, this.#watch);
  }

  purge(purge: Purge): boolean {
    return this.#surroundings.purge(checkedPurge(purge));
  }
}

/** Programs in JavaScript have no types to keep them from others. */
export function checkedPurge(purge: Purge): Purge {
  const { tag, url, all } = purge as Readonly<Record<string, unknown>>;
  if (all === true || typeof tag === 'string' || typeof url === 'string') return purge;
  throw new TypeError('purge wants one of tag and url, a text, or all, which is true');
}
