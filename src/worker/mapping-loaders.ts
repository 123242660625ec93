/** How each kind of mapping is loaded in one worker, and the parts that what was loaded uses: files, programs, what goes out, shares. */
import { assert } from '../base/assert.ts';
import { ownHeartbeat } from '../base/heartbeat.ts';
import type { LevelLogger } from '../base/logger.ts';
import { operationsOfShareMax } from '../base/pool-threads.ts';
import { ProcessGroups } from '../base/process-groups.ts';
import type { MappingConfig } from '../config/config.ts';
import type { EventHub } from '../events/event-hub.ts';
import { TextEvents } from '../events/text-events.ts';
import { FileSystem } from '../file/file-system.ts';
import { ProcessTable } from '../file/process-table.ts';
import type { Dispatcher } from '../http/routing/dispatcher.ts';
import { kindOf, type MappingKind, runsLua } from '../mapping/mapping-kinds.ts';
import { mappingName } from '../mapping/mapping-name.ts';
import { MeteredLogger } from '../mapping/metered-logger.ts';
import { scriptSettingsOf } from '../mapping/script-settings.ts';
import type { Shares } from '../mapping/shares.ts';
import { DEFAULT_STATIC_SETTINGS } from '../mapping/static-settings.ts';
import { MAPPING_METRICS } from '../metrics/mapping-metrics.ts';
import { MetricRow } from '../metrics/metric-row.ts';
import type { Counters } from '../metrics/worker-metrics.ts';
import { duplicateDescriptor, isAvailable } from '../native/posix.ts';
import { HandlerProxies } from '../proxy/handler-proxies.ts';
import { Proxies } from '../proxy/proxies.ts';
import { ProxyMapping, withCertificates } from '../proxy/proxy-mapping.ts';
import { HealthTable } from '../proxy/upstreams/health-table.ts';
import { loadLuaMapping } from '../script/lua-mapping.ts';
import { SharedDictionary } from '../shared/shared-dictionary.ts';
import { SharedStore } from '../shared/shared-store.ts';
import { StaticCache } from '../static/static-cache.ts';
import { loadStaticMapping } from '../static/static-mapping.ts';
import type { LoadedMapping } from './loaded-mapping.ts';
import type { WorkerJob, WorkerSettings, WorkerSetup, WorkerStart } from './messages.ts';
import type { OnceClient } from './once-client.ts';
import { type OutwardSet, OutwardTable } from './outward.ts';
import { processEnvironment } from './process-environment.ts';
import { placeOf, toBytes } from './worker-places.ts';
import { createShares, MODULE_RESOURCES } from './worker-shares.ts';

/** More than a mapping may have, so that two of them find places. */
const OPERATIONS_MAX = 8;

export interface LoaderParts {
  readonly start: WorkerStart;
  readonly job: WorkerJob;
  readonly events: EventHub;
  readonly once: OnceClient;
  readonly logger: LevelLogger;
  readonly counters: Counters;
  /** Answers what scripts ask of this gateway itself. */
  readonly dispatcher: Dispatcher;
  /** Threads of the pool. */
  readonly threads: number;
}

/** One generation: its setup, what goes out from its scripts, and what ends its loads. */
export interface Generation {
  readonly setup: WorkerSetup;
  readonly outward: OutwardSet;
  readonly signal: AbortSignal;
}

type Loader = (mapping: MappingConfig, generation: Generation) => Promise<LoadedMapping>;

export class MappingLoaders {
  readonly #parts: LoaderParts;
  readonly #fileSystem: FileSystem;
  /** By the roots that mappings have of their own. */
  readonly #rooted: ReadonlyMap<string, FileSystem>;
  readonly #processes: ProcessTable;
  readonly #outwards: OutwardTable;
  readonly #shared: SharedStore;
  readonly #shares: Shares;
  readonly #loggers = new Map<string, MeteredLogger>();
  readonly #staticCache = new StaticCache();
  /** Of mappings, which operators let go anywhere. */
  readonly #proxies: Proxies;
  /** Bytes per second that the script of one mapping may write to the log. */
  #logRate: number;

  constructor(parts: LoaderParts) {
    const { start, job, logger, counters, threads } = parts;
    const { mappings, settings } = job.setup;
    const { limits } = settings;
    this.#parts = parts;
    this.#logRate = limits.logBytesPerSecond;
    this.#fileSystem = new FileSystem({
      root: job.root,
      workingDirectory: process.cwd(),
      operationsMax: OPERATIONS_MAX,
      ofShareMax: operationsOfShareMax(job.workerCount, threads),
      counters,
      duplicate: (descriptor) => (isAvailable() ? duplicateDescriptor(descriptor) : undefined),
      logger,
    });
    const roots = new Set(mappings.flatMap(({ root }) => root ?? []));
    this.#rooted = new Map([...roots].map((root) => [root, this.#fileSystem.withRoot(root)]));
    this.#processes = new ProcessTable({
      environment: processEnvironment(),
      counters,
      groups: new ProcessGroups(start.processGroups),
      blocks: this.#fileSystem.blocks,
    });
    const health = new HealthTable(start.health, start.waiting);
    this.#outwards = new OutwardTable(counters, start.workerId, health);
    this.#proxies = new Proxies(counters, start.workerId, undefined, health);
    this.#shares = createShares(limits.mappingSharePercent, logger);
    for (const [row, mapping] of mappings.entries()) {
      const name = mappingName(mapping);
      if (runsLua(mapping)) this.#shares.of(name, new MetricRow(MAPPING_METRICS, start.mappingCounters, row));
      if (kindOf(mapping) === 'module') this.#shares.of(name, undefined, MODULE_RESOURCES);
    }
    this.#setShares(settings);
    this.#shared = new SharedStore(start.shared);
  }

  /** What goes out from the scripts of another generation. */
  beginOutward(): OutwardSet {
    return this.#outwards.begin();
  }

  /** Rejects (GatewayError) when it cannot be loaded, or `generation.signal` ends the load. */
  load(mapping: MappingConfig, generation: Generation): Promise<LoadedMapping> {
    return this.#loaders[kindOf(mapping)](mapping, generation);
  }

  /** What a reload changes in the parts that outlive generations. */
  apply(settings: WorkerSettings): void {
    this.#setShares(settings);
    this.#logRate = settings.limits.logBytesPerSecond;
    for (const logger of this.#loggers.values()) logger.setRate(this.#logRate);
  }

  /** Closes all connections to other servers. */
  stop(): void {
    this.#outwards.stop();
    this.#proxies.stop();
  }

  readonly #loaders: Readonly<Record<MappingKind, Loader>> = {
    script: (mapping, generation) => this.#loadScript(mapping, generation),
    module: (mapping, generation) => this.#loadModule(mapping, generation),
    static: (mapping, generation) => this.#loadFolder(mapping, generation),
    proxy: (mapping, generation) => this.#loadProxy(mapping, generation),
  };

  async #loadProxy(mapping: MappingConfig, { setup: { settings } }: Generation): Promise<LoadedMapping> {
    const name = mappingName(mapping);
    const own = settings.proxies.find(({ place }) => mappingName(place) === name);
    assert(own !== undefined, 'a mapping of this kind has settings');
    return new ProxyMapping({
      place: placeOf(mapping),
      settings: await withCertificates(own),
      proxies: this.#proxies,
      // one by mapping would take a share of what scripts use, and this kind uses none of that
      logger: this.#parts.logger,
    });
  }

  #loadFolder(mapping: MappingConfig, { setup: { settings } }: Generation): Promise<LoadedMapping> {
    const name = mappingName(mapping);
    const own = settings.folders.find((folder) => mappingName(folder) === name) ?? DEFAULT_STATIC_SETTINGS;
    return loadStaticMapping({
      ...placeOf(mapping),
      folder: toBytes(mapping.script),
      fileSystem: this.#fileSystem,
      settings: { ...own, index: own.index.map(toBytes) },
      share: this.#shares.of(name),
      cache: this.#staticCache,
      logger: this.#logger(name),
      workerId: this.#parts.start.workerId,
    });
  }

  #loadScript(mapping: MappingConfig, { setup, outward: all, signal }: Generation): Promise<LoadedMapping> {
    const { start, job, once, events, counters, dispatcher } = this.#parts;
    const { luaModules, serverPort, workerCount, root } = job;
    const { generation, settings } = setup;
    const name = mappingName(mapping);
    const own = scriptSettingsOf(settings.scripts, name);
    const rights = { ...settings.rights, ...own?.rights };
    const { memoryBytesMax = settings.limits.memoryBytesMax } = mapping;
    const module = luaModules instanceof Map ? luaModules.get(memoryBytesMax) : undefined;
    assert(module !== undefined, 'scripts come with the Lua machine of their size');
    const outward = all.of(rights, (mapping.root ?? root) !== undefined);
    const options = {
      ...placeOf(mapping),
      script: toBytes(mapping.script),
      mode: mapping.mode,
      module,
      fileSystem: this.#filesOf(mapping),
      processes: this.#processes,
      fetcher: outward.fetcher,
      proxies: outward.proxies,
      dispatcher,
      logger: this.#logger(name),
      counters,
      serverPort,
      workerId: start.workerId,
      workerCount,
      onceClaims: once.claimsOf(name, generation),
      shared: this.#shared,
      events,
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

  /** Loads the classes of the web for the first module, as this takes as long as to load a script. */
  async #loadModule(
    mapping: MappingConfig,
    { setup: { generation, settings } }: Generation,
  ): Promise<LoadedMapping> {
    const { start, job, events, logger } = this.#parts;
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
    const row = job.setup.mappings.findIndex((one) => mappingName(one) === name);
    return await loadModuleMapping({
      ...placeOf(mapping),
      proxies: new HandlerProxies({ mapping: name, prefix, proxies: this.#proxies, logger }),
      url: mapping.script,
      generation,
      workerId: start.workerId,
      shared: (name) => new SharedDictionary(this.#shared.open(name)),
      events: new TextEvents(events, share),
      share,
      logger,
      counters: this.#parts.counters,
      timeLimitMs: own?.limits.timeLimitMs ?? settings.limits.timeLimitMs,
      began: () => heartbeat.began(row),
    });
  }

  /** One for all states of a mapping: a reload is no fresh start. */
  #logger(name: string): MeteredLogger {
    let logger = this.#loggers.get(name);
    if (logger === undefined) {
      logger = new MeteredLogger({
        logger: this.#parts.logger,
        mapping: name,
        bytesPerSecond: this.#logRate,
        counters: this.#shares.of(name).counters,
      });
      this.#loggers.set(name, logger);
    }
    return logger;
  }

  #setShares({ limits, scripts }: WorkerSettings): void {
    this.#shares.percent = limits.mappingSharePercent;
    for (const mapping of this.#parts.job.setup.mappings) {
      const name = mappingName(mapping);
      const share = this.#shares.find(name);
      if (share !== undefined) share.percent = scriptSettingsOf(scripts, name)?.limits.mappingSharePercent;
    }
  }
}
