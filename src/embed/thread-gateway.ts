/** Serves a function in the thread that has it: a front end of this thread's own, without workers. */

import { availableParallelism } from 'node:os';
import { createAccessLog } from '../access/access-log.ts';
import { TextLines } from '../access/line-buffer.ts';
import type { LevelLogger } from '../base/logger.ts';
import { poolThreads } from '../base/pool-threads.ts';
import { LazyCache } from '../cache/lazy-cache.ts';
import { PurgeMarks } from '../cache/purge-marks.ts';
import type { Config } from '../config/config.ts';
import { SETTING_TABLE } from '../config/setting-table.ts';
import { EventHub } from '../events/event-hub.ts';
import { InterestTable } from '../events/interest-table.ts';
import { createEventShare, TextEvents } from '../events/text-events.ts';
import { Compression } from '../http/coding/compression.ts';
import { PoolTurns, poolJobsMax } from '../http/coding/pool-turns.ts';
import type { ExchangeObserver } from '../http/exchange/exchange-wire.ts';
import { UnreadBodies } from '../http/exchange/unread-bodies.ts';
import { AddressLimit } from '../http/front/address-limit.ts';
import { FrontEnd } from '../http/front/front-end.ts';
import { Dispatcher } from '../http/routing/dispatcher.ts';
import { HostRouter } from '../http/routing/host-router.ts';
import { NOTHING, type Share, Shares } from '../mapping/shares.ts';
import type { CounterName, Counters } from '../metrics/worker-metrics.ts';
import { HandlerProxies } from '../proxy/handler-proxies.ts';
import { Proxies } from '../proxy/proxies.ts';
import { createHealthMemory } from '../proxy/upstreams/health-memory.ts';
import { HealthTable } from '../proxy/upstreams/health-table.ts';
import { readUpstreams } from '../proxy/upstreams/upstream-view.ts';
import { openLogger } from '../settings/log-settings.ts';
import { type Setting, Settings } from '../settings/settings.ts';
import { SharedDictionary } from '../shared/shared-dictionary.ts';
import { createSharedMemory } from '../shared/shared-memory.ts';
import { SharedStore } from '../shared/shared-store.ts';
import { closeSource, platformListenerOptions } from '../supervisor/listener.ts';
import { type BoundAddress, Listeners, type ListenNames, listenerCountOf } from '../supervisor/listeners.ts';
import { loadTls } from '../supervisor/load-tls.ts';
import type { WorkerMemory } from '../supervisor/worker-memory.ts';
import { TicketKeyRing } from '../tls/ticket-keys.ts';
import { TlsPolicies } from '../tls/tls-policies.ts';
import type { TlsSetup } from '../tls/tls-setup.ts';
import type { WebHandler } from '../web/web-handler.ts';
import { WebMapping } from '../web/web-mapping.ts';
import { WEBSOCKETS_MAX } from '../websocket/websocket-limits.ts';
import { listenTarget } from '../worker/listen-target.ts';
import { ThreadAdmin, type ThreadFacts } from './thread-admin.ts';

const LOG_SOURCE = 'server';
/** What messages call that which says where a server listens. */
export const SERVER_LISTEN_NAMES: ListenNames = { https: 'option "address"', http: 'option "address"' };
/** Of the one thread that serves, in the ids of requests. */
const WORKER_ID = 0;

/** What belongs to mappings and scripts, of which the thread has none: the function that answers is the one of the start. */
const OF_SCRIPTS: ReadonlySet<string> = new Set(['mappings', 'root', 'limits.memoryBytesMax']);
const THREAD_SETTINGS: readonly Setting<Config>[] = SETTING_TABLE.map((setting) =>
  OF_SCRIPTS.has(setting.name) ? { ...setting, atReload: 'restart' } : setting,
);

export class ThreadGateway {
  readonly #settings: Settings<Config>;
  readonly #accessLines: TextLines;
  readonly #handler: WebHandler;
  readonly #admin: ThreadAdmin;
  readonly #counters: Counters;
  readonly #compression: Compression;
  readonly #listeners: Listeners;
  readonly #frontEnds: FrontEnd[] = [];
  readonly #hub = new EventHub(WORKER_ID, new InterestTable(1));
  /** For the program, too. */
  readonly events: TextEvents = new TextEvents(this.#hub, createEventShare('/'));
  readonly #health = createHealthMemory();
  readonly #proxies: Proxies;
  readonly #cache: LazyCache;
  readonly #tickets = new TicketKeyRing();
  /** Of handshakes that begin now; undefined: cleartext. */
  #tls: TlsSetup | undefined;
  #logger: LevelLogger;
  #mapping: WebMapping | undefined;
  #reloading: Promise<void> = Promise.resolve();
  readonly #reloads = { success: 0, failure: 0 };

  constructor(config: Config, writeLine: (line: string) => void, handler: WebHandler) {
    this.#settings = new Settings(config, THREAD_SETTINGS);
    this.#admin = new ThreadAdmin(config, listenerCountOf(config));
    this.#counters = this.#admin.memory.counters;
    const health = new HealthTable(this.#health, this.#admin.memory.shared.waiting);
    this.#proxies = new Proxies(this.#counters, WORKER_ID, undefined, health);
    const bytesMax = config.limits.cacheBytesMax;
    this.#cache = new LazyCache({ counters: this.#counters, marks: new PurgeMarks(), bytesMax });
    const threads = poolThreads(process.env['UV_THREADPOOL_SIZE']);
    const turns = new PoolTurns(poolJobsMax(1, threads, availableParallelism()));
    this.#compression = new Compression(config.compression, turns, this.#counters);
    this.#settings.subscribe((next) => this.#apply(next));
    this.#logger = openLogger(config, LOG_SOURCE, writeLine);
    this.#listeners = new Listeners(this.#logger, SERVER_LISTEN_NAMES);
    this.#accessLines = new TextLines(writeLine);
    this.#handler = handler;
  }

  get #config(): Config {
    return this.#settings.values;
  }

  get addresses(): readonly BoundAddress[] {
    return this.#listeners.addresses;
  }

  get adminAddress(): string | undefined {
    return this.#admin.address;
  }

  /** Resolves when connections are accepted. When it rejects (GatewayError) nothing is left behind. */
  async start(): Promise<void> {
    try {
      await this.#start();
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  /** Goes over to changed settings; nothing was read that could be read again but the certificate. Rejects as Supervisor's does. */
  async reload(change?: (current: Config) => Config): Promise<void> {
    const before = this.#reloading;
    this.#reloading = before.catch(() => undefined).then(() => this.#reloadOnce(change));
    try {
      await this.#reloading;
      this.#reloads.success += 1;
    } catch (error) {
      this.#reloads.failure += 1;
      throw error;
    }
  }

  async #reloadOnce(change: ((current: Config) => Config) | undefined): Promise<void> {
    const next = change?.(this.#config) ?? this.#config;
    this.#settings.check(next);
    const tls = await this.#loadTls(next);
    if (tls !== undefined) for (const frontEnd of this.#frontEnds) frontEnd.setTls(tls);
    this.#settings.replace(next);
  }

  #apply({ limits, logLevel, accessLog, logs, compression }: Config): void {
    this.#compression.apply(compression);
    this.#cache.resize(limits.cacheBytesMax);
    this.#logger.setLevel(logLevel);
    this.#mapping?.setTimeLimit(limits.timeLimitMs);
    for (const frontEnd of this.#frontEnds) {
      frontEnd.setLimits(limits);
      frontEnd.setObservers(this.#observers({ accessLog, logs }));
    }
  }

  #observers({ accessLog, logs }: Pick<Config, 'accessLog' | 'logs'>): ExchangeObserver[] {
    const surroundings = { worker: WORKER_ID, source: LOG_SOURCE, namesHosts: () => false };
    const counted = this.#admin.observers();
    return accessLog ? [...counted, createAccessLog(logs, surroundings, this.#accessLines)] : counted;
  }

  /** True when every open exchange has ended within the limit. */
  async drain(): Promise<boolean> {
    this.#listeners.close();
    this.#mapping?.endStreams();
    const { drainTimeoutMs, drainGraceMs } = this.#config.limits;
    const cuts = await Promise.all(
      this.#frontEnds.map((frontEnd) => frontEnd.drain(drainTimeoutMs, drainGraceMs)),
    );
    return cuts.every((cut) => cut === 0);
  }

  async stop(): Promise<void> {
    this.#tickets.stop();
    this.#listeners.close();
    for (const frontEnd of this.#frontEnds) frontEnd.stop();
    this.#mapping?.close();
    this.#hub.closeSubscriptions();
    this.#proxies.stop();
    // until now it says that the server drains
    this.#admin.close();
  }

  counters(): Record<CounterName, number>[] {
    return [this.#counters.snapshot()];
  }

  /** There is no script. */
  mappingCounters(): [] {
    return [];
  }

  async #start(): Promise<void> {
    const { limits, noDelay } = this.#config;
    const logger = this.#logger;
    await this.#listeners.open(this.#config, platformListenerOptions());
    const tls = await this.#loadTls(this.#config);
    const { timeLimitMs } = limits;
    const memory = createSharedMemory(this.#config.shared);
    const store = new SharedStore({ memory, owner: 1 });
    const shared = (name: string): SharedDictionary => new SharedDictionary(store.open(name));
    this.#mapping = new WebMapping(
      {
        prefix: '/',
        workerId: WORKER_ID,
        logger,
        shared,
        events: this.events,
        share: createShare(this.#admin.memory),
        proxies: new HandlerProxies({
          mapping: '/',
          prefix: '/',
          proxies: this.#proxies,
          cache: this.#cache,
          logger,
        }),
        cache: this.#cache,
        counters: this.#counters,
        timeLimitMs,
      },
      this.#handler,
    );
    const dispatcher = new Dispatcher(new HostRouter([this.#mapping]), logger);
    const observers = this.#observers(this.#config);
    const addresses = new AddressLimit(limits.connectionsPerAddressMax);
    const unreadBodies = new UnreadBodies(limits.unreadBodyBytesMax, this.#counters, logger);
    const frontEndFor = (scheme: 'https' | 'http', index: number): FrontEnd =>
      new FrontEnd(
        {
          tls: scheme === 'https' ? tls : undefined,
          limits,
          noDelay,
          logger,
          counters: this.#counters,
          listener: this.#admin.memory.listener(index),
          observers,
          addresses,
          unreadBodies,
          compression: this.#compression,
        },
        (exchange) => dispatcher.dispatch(exchange),
      );
    const left = this.#listeners.sources();
    try {
      for (let next = left[0]; next !== undefined; next = left[0]) {
        const frontEnd = frontEndFor(next.scheme, this.#frontEnds.length);
        this.#frontEnds.push(frontEnd);
        await frontEnd.listen(listenTarget(next.source));
        left.shift();
      }
    } catch (error) {
      for (const { source } of left) closeSource(source);
      throw error;
    }
    const facts: ThreadFacts = {
      workerId: WORKER_ID,
      isReady: () => this.#listeners.addresses.length > 0,
      bound: () => this.#listeners.bound,
      tls: () => this.#tls,
      shared: memory,
      upstreams: () => readUpstreams(this.#health, [this.#admin.memory.waiting]),
      reloads: this.#reloads,
    };
    await this.#admin.open(this.#config, this.#mapping, facts, logger);
  }

  async #loadTls(config: Config): Promise<TlsPolicies | undefined> {
    if (this.#listeners.cleartextOnly) return undefined;
    const { certificates, clients } = await loadTls(config);
    const { strictSni, profile } = config.tls;
    const setup: TlsSetup = { certificates, clients, strictSni, profile, ticketKeys: this.#tickets.keys };
    this.#tickets.start(() => this.#useTickets());
    this.#tls = setup;
    // there is one listener
    return new TlsPolicies(setup, 0);
  }

  #useTickets(): void {
    if (this.#tls === undefined) return;
    this.#tls = { ...this.#tls, ticketKeys: this.#tickets.keys };
    for (const frontEnd of this.#frontEnds) frontEnd.setTls(new TlsPolicies(this.#tls, 0));
  }
}

/** The one mapping may have all WebSockets of the thread; it has nothing else that is shared out. */
function createShare(memory: WorkerMemory): Share {
  const limits = { ...NOTHING, websockets: WEBSOCKETS_MAX };
  return new Shares({ limits, percent: 100 }).of('/', memory.mapping(0));
}
