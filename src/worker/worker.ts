/**
 * Puts one worker together: files, scripts, router and front end; serves, reloads in two phases, drains.
 * Long because each kind of mapping has its loader here, which takes parts of the worker.
 */

import { availableParallelism } from 'node:os';
import { createAccessLog } from '../access/access-log.ts';
import { assert } from '../base/assert.ts';
import { ownHeartbeat } from '../base/heartbeat.ts';
import { createLogger, type LevelLogger } from '../base/logger.ts';
import { operationsOfShareMax, poolThreads } from '../base/pool-threads.ts';
import { ProcessGroups } from '../base/process-groups.ts';
import type { MappingConfig } from '../config/config.ts';
import type { EventHub } from '../events/event-hub.ts';
import { TextEvents } from '../events/text-events.ts';
import { FileSystem } from '../file/file-system.ts';
import { ProcessTable } from '../file/process-table.ts';
import { Compression } from '../http/coding/compression.ts';
import { PoolTurns, poolJobsMax } from '../http/coding/pool-turns.ts';
import type { ExchangeObserver } from '../http/exchange/exchange-wire.ts';
import { UnreadBodies } from '../http/exchange/unread-bodies.ts';
import { AddressLimit } from '../http/front/address-limit.ts';
import { FrontEnd } from '../http/front/front-end.ts';
import { Dispatcher } from '../http/routing/dispatcher.ts';
import { HostRouter } from '../http/routing/host-router.ts';
import { kindOf, type MappingKind, runsLua } from '../mapping/mapping-kinds.ts';
import { mappingName } from '../mapping/mapping-name.ts';
import { MeteredLogger } from '../mapping/metered-logger.ts';
import type { ScriptMode } from '../mapping/script-mode.ts';
import { scriptSettingsOf } from '../mapping/script-settings.ts';
import type { Shares } from '../mapping/shares.ts';
import { DEFAULT_STATIC_SETTINGS } from '../mapping/static-settings.ts';
import { MAPPING_METRICS } from '../metrics/mapping-metrics.ts';
import { MetricRow } from '../metrics/metric-row.ts';
import { Counters } from '../metrics/worker-metrics.ts';
import { duplicateDescriptor, isAvailable } from '../native/posix.ts';
import { HandlerProxies } from '../proxy/handler-proxies.ts';
import { Proxies } from '../proxy/proxies.ts';
import { ProxyMapping, withCertificates } from '../proxy/proxy-mapping.ts';
import { HealthTable } from '../proxy/upstreams/health-table.ts';
import { loadLuaMapping } from '../script/lua-mapping.ts';
import { Settings } from '../settings/settings.ts';
import { SharedDictionary } from '../shared/shared-dictionary.ts';
import { SharedStore } from '../shared/shared-store.ts';
import { StaticCache } from '../static/static-cache.ts';
import { loadStaticMapping } from '../static/static-mapping.ts';
import type { TlsPolicies } from '../tls/tls-policies.ts';
import type { TlsSetup } from '../tls/tls-setup.ts';
import { listenTarget } from './listen-target.ts';
import { closeAll, type LoadedMapping, logLoaded, modeOf, tryLoads } from './loaded-mapping.ts';
import type {
  FromWorker,
  TriedMapping,
  WorkerJob,
  WorkerListener,
  WorkerSettings,
  WorkerSetup,
  WorkerStart,
} from './messages.ts';
import { observeLoop } from './observe-loop.ts';
import { OnceClient } from './once-client.ts';
import { type OutwardSet, OutwardTable } from './outward.ts';
import type { Prepared } from './prepared.ts';
import { processEnvironment } from './process-environment.ts';
import { RequestMetrics } from './request-metrics.ts';
import { changePolicies, handlerOf, httpChallenges, placeOf, policiesOf, toBytes } from './worker-places.ts';
import { createShares, MODULE_RESOURCES } from './worker-shares.ts';

/** More than a mapping may have, so that two of them find places. */
const OPERATIONS_MAX = 8;

/** Loads a mapping of this setup, until `signal` ends it. */
type Loader = (
  mapping: MappingConfig,
  setup: WorkerSetup,
  outward: OutwardSet,
  signal: AbortSignal,
) => Promise<LoadedMapping>;

export class GatewayWorker {
  readonly #start: WorkerStart;
  readonly #job: WorkerJob;
  readonly #writeAccess: (line: string) => void;
  readonly #logSource: string;
  readonly #logger: LevelLogger;
  readonly #settings: Settings<WorkerSettings>;
  readonly #counters: Counters;
  readonly #fileSystem: FileSystem;
  /** By the roots that mappings have of their own. */
  readonly #rooted: ReadonlyMap<string, FileSystem>;
  readonly #processes: ProcessTable;
  readonly #outwards: OutwardTable;
  /** Of the states that serve. */
  #outward: OutwardSet;
  readonly #health: HealthTable;
  readonly #shared: SharedStore;
  readonly #shares: Shares;
  readonly #requests: RequestMetrics | undefined;
  readonly #events: EventHub;
  readonly #mappingLoggers = new Map<string, MeteredLogger>();
  readonly #router = new HostRouter();
  readonly #dispatcher: Dispatcher;
  readonly #frontEnds: FrontEnd[] = [];
  readonly #addresses: AddressLimit;
  readonly #unreadBodies: UnreadBodies;
  readonly #compression: Compression;
  readonly #once: OnceClient;
  readonly #staticCache = new StaticCache();
  /** Of mappings, which operators let go anywhere. */
  readonly #proxies: Proxies;
  #mappings: readonly LoadedMapping[] = [];
  #prepared: Prepared | undefined;
  /** Of handshakes that begin now. */
  #tls: TlsSetup | undefined;
  /** Ends the load of a generation that is not wanted any more. */
  #preparing: AbortController | undefined;

  /**
   * `writeLine` takes log lines, formatted and without line ends, and `writeAccess` those of the access log; `post` takes messages for the
   * supervisor.
   */
  constructor(
    start: WorkerStart,
    job: WorkerJob,
    events: EventHub,
    writeLine: (line: string) => void,
    writeAccess: (line: string) => void,
    post: (message: FromWorker) => void,
  ) {
    [this.#start, this.#job, this.#writeAccess] = [start, job, writeAccess];
    this.#events = events;
    this.#tls = job.setup.tls;
    this.#once = new OnceClient(post);
    this.#logSource = `worker-${start.workerId}`;
    const { settings } = job.setup;
    const { limits } = settings;
    this.#settings = new Settings(settings);
    this.#logger = createLogger(settings.logLevel, this.#logSource, writeLine);
    const logger = this.#logger;
    this.#counters = new Counters(start.counters);
    this.#addresses = new AddressLimit(limits.connectionsPerAddressMax);
    this.#unreadBodies = new UnreadBodies(limits.unreadBodyBytesMax, this.#counters, logger);
    const threads = poolThreads(process.env['UV_THREADPOOL_SIZE']);
    const jobsMax = poolJobsMax(job.workerCount, threads, availableParallelism());
    this.#compression = new Compression(settings.compression, new PoolTurns(jobsMax), this.#counters);
    this.#fileSystem = new FileSystem({
      root: job.root,
      workingDirectory: process.cwd(),
      operationsMax: OPERATIONS_MAX,
      ofShareMax: operationsOfShareMax(job.workerCount, threads),
      counters: this.#counters,
      duplicate: (descriptor) => (isAvailable() ? duplicateDescriptor(descriptor) : undefined),
      logger,
    });
    const roots = new Set(job.setup.mappings.flatMap(({ root }) => root ?? []));
    this.#rooted = new Map([...roots].map((root) => [root, this.#fileSystem.withRoot(root)]));
    this.#processes = new ProcessTable({
      environment: processEnvironment(),
      counters: this.#counters,
      groups: new ProcessGroups(start.processGroups),
      blocks: this.#fileSystem.blocks,
    });
    this.#health = new HealthTable(start.health, start.waiting);
    this.#outwards = new OutwardTable(this.#counters, start.workerId, this.#health);
    this.#outward = this.#outwards.begin();
    this.#proxies = new Proxies(this.#counters, start.workerId, undefined, this.#health);
    this.#shares = createShares(limits.mappingSharePercent, logger);
    for (const [row, mapping] of job.setup.mappings.entries()) {
      const name = mappingName(mapping);
      if (runsLua(mapping)) this.#shares.of(name, new MetricRow(MAPPING_METRICS, start.mappingCounters, row));
      if (kindOf(mapping) === 'module') this.#shares.of(name, undefined, MODULE_RESOURCES);
    }
    this.#requests = start.requests && new RequestMetrics(start.requests, job.setup.mappings.length);
    if (start.requests !== undefined) observeLoop(this.#counters);
    this.#setShares(settings);
    this.#shared = new SharedStore(start.shared);
    this.#dispatcher = new Dispatcher(this.#router, logger);
    this.#settings.subscribe((next) => this.#apply(next));
  }

  /** Loads the scripts, then accepts connections. Throws GatewayError. */
  async start(): Promise<void> {
    const { setup, listeners } = this.#job;
    this.#mappings = await this.#load(setup, this.#outward, new AbortController());
    this.#router.replace(this.#mappings);
    for (const mapping of this.#mappings) mapping.serve();
    const frontEnds = listeners.map((listener, i) =>
      this.#createFrontEnd(listener.scheme === 'https' ? policiesOf(this.#tls, i) : undefined, listener),
    );
    // from here on the descriptors belong to the servers of this thread
    Atomics.store(new Int32Array(this.#start.descriptorsAdopted), 0, 1);
    await Promise.all(
      listeners.map(({ source }, i) => (frontEnds[i] as FrontEnd).listen(listenTarget(source))),
    );
  }

  /** Loads each mapping for itself, and says what came of it. Nothing serves: no timer begins, and all is closed at the end. */
  async try(): Promise<TriedMapping[]> {
    const { setup } = this.#job;
    const { signal } = new AbortController();
    return await tryLoads(
      setup.mappings.map((mapping) => this.#loaders[kindOf(mapping)](mapping, setup, this.#outward, signal)),
    );
  }

  /** What the scripts that serve are, in the order of the setup; undefined for a module. */
  get modes(): (ScriptMode | undefined)[] {
    return this.#mappings.map(modeOf);
  }

  /** Reload, first phase: loads everything beside what serves. Throws GatewayError, and then nothing has changed. */
  async prepare(setup: WorkerSetup): Promise<void> {
    this.abandon();
    const preparing = new AbortController();
    this.#preparing = preparing;
    const outward = this.#outwards.begin();
    try {
      const mappings = await this.#load(setup, outward, preparing);
      if (this.#preparing === preparing) this.#prepared = { setup, mappings, outward };
      else closeAll(mappings);
    } finally {
      if (this.#prepared?.outward !== outward) outward.release();
    }
  }

  /** Reload, second phase: new exchanges go to the prepared states; the old states close behind their last exchange. */
  commit(generation: number): void {
    const prepared = this.#prepared;
    if (prepared?.setup.generation !== generation) return;
    this.#prepared = undefined;
    // before anything begins that goes by them
    this.#settings.replace(prepared.setup.settings);
    const { limits } = prepared.setup.settings;
    const old = this.#mappings;
    const oldOutward = this.#outward;
    this.#mappings = prepared.mappings;
    this.#outward = prepared.outward;
    this.#router.replace(prepared.mappings);
    for (const mapping of prepared.mappings) mapping.serve();
    const { tls } = prepared.setup;
    if (tls !== undefined) this.setTls(tls);
    const retired = Promise.all(old.map((mapping) => mapping.retire(limits.drainTimeoutMs)));
    void retired.then(() => oldOutward.release());
  }

  /** New handshakes go by this. */
  setTls(tls: TlsSetup): void {
    this.#tls = tls;
    changePolicies(this.#frontEnds, this.#job.listeners, tls);
    this.#dispatcher.answerChallenges(httpChallenges(tls));
  }

  /** Gives a reload up. */
  abandon(): void {
    this.#preparing?.abort();
    this.#preparing = undefined;
    this.#dropPrepared();
  }

  /**
   * Accepts nothing more and lets open exchanges finish; resolves to the number of connections cut at the limit. Idle connections
   * may ask once more for `graceMs`.
   */
  async drain(graceMs: number): Promise<number> {
    const { drainTimeoutMs } = this.#settings.values.limits;
    const startedAt = performance.now();
    for (const mapping of this.#mappings) mapping.endStreams?.();
    const cut = await Promise.all(this.#frontEnds.map((frontEnd) => frontEnd.drain(drainTimeoutMs, graceMs)));
    this.abandon();
    // timers continue until the last exchange has ended; a timer call under way has the rest of the time
    const leftMs = Math.max(0, startedAt + drainTimeoutMs - performance.now());
    await Promise.all(this.#mappings.map((mapping) => mapping.retire(leftMs)));
    this.#outwards.stop();
    this.#proxies.stop();
    return cut.reduce((total, count) => total + count, 0);
  }

  /** The supervisor's answer to a claim. */
  claimed(id: number, granted: boolean): void {
    this.#once.answered(id, granted);
  }

  /** What a reload changes in the parts that live as long as the worker; scripts and front ends read the rest. */
  #apply(settings: WorkerSettings): void {
    const { limits, logLevel, compression, transportSecurity, ...more } = settings;
    this.#logger.setLevel(logLevel);
    this.#setShares(settings);
    this.#compression.apply(compression);
    for (const logger of this.#mappingLoggers.values()) logger.setRate(limits.logBytesPerSecond);
    for (const frontEnd of this.#frontEnds) {
      frontEnd.setLimits(limits);
      frontEnd.setTransportSecurity(transportSecurity);
      frontEnd.setObservers(this.#observers(more));
      frontEnd.setTrustedProxies(more.trustedProxies);
    }
  }

  #setShares({ limits, scripts }: WorkerSettings): void {
    this.#shares.percent = limits.mappingSharePercent;
    for (const mapping of this.#job.setup.mappings) {
      const name = mappingName(mapping);
      const share = this.#shares.find(name);
      if (share !== undefined) share.percent = scriptSettingsOf(scripts, name)?.limits.mappingSharePercent;
    }
  }

  /** All scripts of a setup, or none: the first that fails ends the loads of the others. */
  async #load(setup: WorkerSetup, outward: OutwardSet, ending: AbortController): Promise<LoadedMapping[]> {
    const { mappings } = setup;
    let failure: unknown;
    const loads = mappings.map(async (mapping) => {
      try {
        const loaded = await this.#loaders[kindOf(mapping)](mapping, setup, outward, ending.signal);
        this.#requests?.add(loaded, mappings.indexOf(mapping));
        return loaded;
      } catch (error) {
        failure ??= error;
        ending.abort();
        throw error;
      }
    });
    const results = await Promise.allSettled(loads);
    const loaded = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
    if (failure === undefined) {
      // the others load the same
      if (this.#start.workerId === 1) logLoaded(this.#logger, mappings, loaded);
      return loaded;
    }
    closeAll(loaded);
    throw failure;
  }

  /** How each kind of mapping is loaded. */
  readonly #loaders: Readonly<Record<MappingKind, Loader>> = {
    script: (mapping, setup, outward, signal) => this.#loadScript(mapping, setup, outward, signal),
    module: (mapping, setup) => this.#loadModule(mapping, setup),
    static: (mapping, setup) => this.#loadFolder(mapping, setup),
    proxy: (mapping, setup) => this.#loadProxy(mapping, setup),
  };

  async #loadProxy(mapping: MappingConfig, { settings }: WorkerSetup): Promise<LoadedMapping> {
    const name = mappingName(mapping);
    const own = settings.proxies.find(({ place }) => mappingName(place) === name);
    assert(own !== undefined, 'a mapping of this kind has settings');
    return new ProxyMapping({
      place: placeOf(mapping),
      settings: await withCertificates(own),
      proxies: this.#proxies,
      // one by mapping would take a share of what scripts use, and this kind uses none of that
      logger: this.#logger,
    });
  }

  #loadFolder(mapping: MappingConfig, { settings }: WorkerSetup): Promise<LoadedMapping> {
    const name = mappingName(mapping);
    const own = settings.folders.find((folder) => mappingName(folder) === name) ?? DEFAULT_STATIC_SETTINGS;
    return loadStaticMapping({
      ...placeOf(mapping),
      folder: toBytes(mapping.script),
      fileSystem: this.#fileSystem,
      settings: { ...own, index: own.index.map(toBytes) },
      share: this.#shares.of(name),
      cache: this.#staticCache,
      logger: this.#mappingLogger(name),
      workerId: this.#start.workerId,
    });
  }

  #loadScript(
    mapping: MappingConfig,
    { generation, settings }: WorkerSetup,
    outwards: OutwardSet,
    signal: AbortSignal,
  ): Promise<LoadedMapping> {
    const { luaModules, serverPort, workerCount, root } = this.#job;
    const name = mappingName(mapping);
    const own = scriptSettingsOf(settings.scripts, name);
    const rights = { ...settings.rights, ...own?.rights };
    const { memoryBytesMax = settings.limits.memoryBytesMax } = mapping;
    const module = luaModules instanceof Map ? luaModules.get(memoryBytesMax) : undefined;
    assert(module !== undefined, 'scripts come with the Lua machine of their size');
    const outward = outwards.of(rights, (mapping.root ?? root) !== undefined);
    const options = {
      ...placeOf(mapping),
      script: toBytes(mapping.script),
      mode: mapping.mode,
      module,
      fileSystem: this.#filesOf(mapping),
      processes: this.#processes,
      fetcher: outward.fetcher,
      proxies: outward.proxies,
      dispatcher: this.#dispatcher,
      logger: this.#mappingLogger(name),
      counters: this.#counters,
      serverPort,
      workerId: this.#start.workerId,
      workerCount,
      onceClaims: this.#once.claimsOf(name, generation),
      shared: this.#shared,
      events: this.#events,
      share: this.#shares.of(name),
      limits: { ...settings.limits, ...own?.limits },
      rights: { ...rights, luaPath: toBytes(rights.luaPath) },
      memoryBytesMax,
    };
    return loadLuaMapping(options, signal);
  }

  #filesOf({ root }: MappingConfig): FileSystem {
    const files = root === undefined ? this.#fileSystem : this.#rooted.get(root);
    assert(files !== undefined, 'each root of the setup has its files');
    return files;
  }

  /** One for all states of a mapping: a reload is no fresh start. */
  #mappingLogger(name: string): MeteredLogger {
    let logger = this.#mappingLoggers.get(name);
    if (logger === undefined) {
      logger = new MeteredLogger({
        logger: this.#logger,
        mapping: name,
        bytesPerSecond: this.#settings.values.limits.logBytesPerSecond,
        counters: this.#shares.of(name).counters,
      });
      this.#mappingLoggers.set(name, logger);
    }
    return logger;
  }

  /** Loads the classes of the web for the first module, as this takes as long as to load a script. */
  async #loadModule(mapping: MappingConfig, { generation, settings }: WorkerSetup): Promise<LoadedMapping> {
    const { workerId } = this.#start;
    const [{ installLightResponse }, { loadModuleMapping }] = await Promise.all([
      import('../web/light-response.ts'),
      import('../web/load-module.ts'),
    ]);
    installLightResponse();
    const name = mappingName(mapping);
    const share = this.#shares.of(name);
    const own = scriptSettingsOf(settings.scripts, name);
    const { prefix } = mapping;
    const heartbeat = ownHeartbeat();
    const row = this.#job.setup.mappings.findIndex((one) => mappingName(one) === name);
    return await loadModuleMapping({
      ...placeOf(mapping),
      proxies: new HandlerProxies({ mapping: name, prefix, proxies: this.#proxies, logger: this.#logger }),
      url: mapping.script,
      generation,
      workerId,
      shared: (name) => new SharedDictionary(this.#shared.open(name)),
      events: new TextEvents(this.#events, share),
      share,
      logger: this.#logger,
      timeLimitMs: own?.limits.timeLimitMs ?? settings.limits.timeLimitMs,
      began: () => heartbeat.began(row),
    });
  }

  #createFrontEnd(tls: TlsPolicies | undefined, { proxied, redirectPort }: WorkerListener): FrontEnd {
    const { noDelay } = this.#job;
    const { limits, trustedProxies } = this.#settings.values;
    const frontEnd = new FrontEnd(
      {
        tls,
        limits,
        noDelay,
        logger: this.#logger,
        counters: this.#counters,
        observers: this.#observers(this.#settings.values),
        addresses: this.#addresses,
        unreadBodies: this.#unreadBodies,
        compression: this.#compression,
        trustedProxies: proxied ? trustedProxies : undefined,
        transportSecurity: this.#settings.values.transportSecurity,
      },
      handlerOf(this.#dispatcher, redirectPort),
    );
    this.#frontEnds.push(frontEnd);
    return frontEnd;
  }

  #observers({ accessLog, logs }: Pick<WorkerSettings, 'accessLog' | 'logs'>): ExchangeObserver[] {
    const counted = this.#requests === undefined ? [] : [this.#requests.observe];
    if (!accessLog) return counted;
    const surroundings = {
      worker: this.#start.workerId,
      source: this.#logSource,
      namesHosts: () => this.#router.namesHosts,
    };
    return [...counted, createAccessLog(logs, surroundings, this.#writeAccess)];
  }

  #dropPrepared(): void {
    const prepared = this.#prepared;
    this.#prepared = undefined;
    if (prepared === undefined) return;
    closeAll(prepared.mappings);
    prepared.outward.release();
  }
}
