/** How each kind of mapping is loaded in one worker, and the parts that what was loaded uses: files, programs, what goes out. */
import { assert } from '../base/assert.ts';
import { GatewayError } from '../base/errors.ts';
import { ownHeartbeat } from '../base/heartbeat.ts';
import type { LevelLogger } from '../base/logger.ts';
import { operationsOfShareMax } from '../base/pool-threads.ts';
import { ProcessGroups } from '../base/process-groups.ts';
import type { LazyCache } from '../cache/lazy-cache.ts';
import type { MappingConfig } from '../config/config.ts';
import type { EventHub } from '../events/event-hub.ts';
import { TextEvents } from '../events/text-events.ts';
import { FileSystem } from '../file/file-system.ts';
import { ProcessTable } from '../file/process-table.ts';
import type { Dispatcher } from '../http/routing/dispatcher.ts';
import { kindOf, type MappingKind } from '../mapping/mapping-kinds.ts';
import { mappingName } from '../mapping/mapping-name.ts';
import { scriptSettingsOf } from '../mapping/script-settings.ts';
import { DEFAULT_STATIC_SETTINGS } from '../mapping/static-settings.ts';
import { StoreStates } from '../metrics/store-states.ts';
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
import { type MappingAccount, MappingAccounts } from './mapping-accounts.ts';
import type { FromWorker, WorkerJob, WorkerSetup, WorkerStart } from './messages.ts';
import type { OnceClient } from './once-client.ts';
import { type OutwardSet, OutwardTable } from './outward.ts';
import { processEnvironment } from './process-environment.ts';
import { createWorkerCache } from './worker-cache.ts';
import { placeOf, toBytes } from './worker-places.ts';
import type { WorkerStores } from './worker-stores.ts';

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
  /** Takes messages for the supervisor. */
  readonly post: (message: FromWorker) => void;
}

/** One generation: its setup, its files, and what goes out from its scripts. */
export interface Generation {
  readonly setup: WorkerSetup;
  readonly outward: OutwardSet;
  /** Throws LGW_ROOT. */
  readonly filesOf: (root: string | undefined) => FileSystem;
}

type Loader = (
  mapping: MappingConfig,
  account: MappingAccount,
  generation: Generation,
  signal: AbortSignal,
) => Promise<LoadedMapping>;

export class MappingLoaders {
  readonly #parts: LoaderParts;
  /** What all file systems have in common. */
  readonly #files: FileSystem;
  readonly #processes: ProcessTable;
  readonly #outwards: OutwardTable;
  readonly #shared: SharedStore;
  readonly accounts: MappingAccounts;
  #stores: WorkerStores | undefined;
  readonly #cache: LazyCache;
  readonly #staticCache = new StaticCache();
  /** Of mappings, which operators let go anywhere. */
  readonly #proxies: Proxies;

  constructor(parts: LoaderParts) {
    const { start, job, logger, counters, threads } = parts;
    this.#parts = parts;
    this.#files = new FileSystem({
      root: undefined,
      workingDirectory: process.cwd(),
      operationsMax: OPERATIONS_MAX,
      ofShareMax: operationsOfShareMax(job.workerCount, threads),
      counters,
      duplicate: (descriptor) => (isAvailable() ? duplicateDescriptor(descriptor) : undefined),
      logger,
    });
    this.#processes = new ProcessTable({
      environment: processEnvironment(),
      counters,
      groups: new ProcessGroups(start.processGroups),
      blocks: this.#files.blocks,
    });
    const health = new HealthTable(start.health, start.waiting);
    this.#outwards = new OutwardTable(counters, start.workerId, health);
    this.#proxies = new Proxies(counters, start.workerId, undefined, health);
    this.accounts = new MappingAccounts(job.setup, start.mappingCounters, logger);
    this.#shared = new SharedStore(start.shared);
    this.#cache = createWorkerCache({
      counters,
      purges: start.purges,
      tell: parts.post,
      entries: async () => (await this.#openStores())?.entries,
      bytesMax: job.setup.settings.limits.cacheBytesMax,
      entryKey: job.entryKey,
    });
  }

  /** Nothing of it is loaded. A root is looked up when a mapping first asks for it, so that a link may lead elsewhere with each reload. */
  begin(setup: WorkerSetup): Generation {
    const files = new Map<string | undefined, FileSystem>();
    const filesOf = (root: string | undefined): FileSystem => {
      const known = files.get(root) ?? this.#files.withRoot(root);
      files.set(root, known);
      return known;
    };
    return { setup, outward: this.#outwards.begin(), filesOf };
  }

  /** Loads the mapping with this index. Rejects (GatewayError) when it cannot be loaded, or `signal` ends the load. */
  async load(generation: Generation, index: number, signal: AbortSignal): Promise<LoadedMapping> {
    const { mappings, rows } = generation.setup;
    const [mapping, row] = [mappings[index], rows[index]];
    assert(mapping !== undefined && row !== undefined, 'each mapping of a setup has a row of counters');
    const account = this.accounts.of(mappingName(mapping), row);
    return await this.#loaders[kindOf(mapping)](mapping, account, generation, signal);
  }

  /** Memory of answers that are kept. */
  resizeCache(bytesMax: number): void {
    this.#cache.resize(bytesMax);
  }

  /** Closes all connections to other servers. */
  stop(): void {
    this.#outwards.stop();
    this.#proxies.stop();
    this.#stores?.close();
  }

  readonly #loaders: Readonly<Record<MappingKind, Loader>> = {
    script: (mapping, account, generation, signal) => this.#loadScript(mapping, account, generation, signal),
    module: (mapping, account, { setup }) => this.#loadModule(mapping, account, setup),
    static: (mapping, account, generation) => this.#loadFolder(mapping, account, generation),
    proxy: (mapping, _account, { setup }) => this.#loadProxy(mapping, setup),
  };

  async #loadProxy(mapping: MappingConfig, { settings }: WorkerSetup): Promise<LoadedMapping> {
    const name = mappingName(mapping);
    const own = settings.proxies.find(({ place }) => mappingName(place) === name);
    assert(own !== undefined, 'a mapping of this kind has settings');
    return new ProxyMapping({
      place: placeOf(mapping),
      settings: await withCertificates(own),
      proxies: this.#proxies,
      ...(own.cache === true && { front: await this.#cache.open(name) }),
      // one by mapping would take a share of what scripts use, and this kind uses none of that
      logger: this.#parts.logger,
    });
  }

  #loadFolder(
    mapping: MappingConfig,
    { share, logger }: MappingAccount,
    { setup: { settings, root }, filesOf }: Generation,
  ): Promise<LoadedMapping> {
    const name = mappingName(mapping);
    const own = settings.folders.find((folder) => mappingName(folder) === name) ?? DEFAULT_STATIC_SETTINGS;
    return loadStaticMapping({
      ...placeOf(mapping),
      folder: toBytes(mapping.script),
      fileSystem: filesOf(root),
      settings: { ...own, index: own.index.map(toBytes) },
      share,
      cache: this.#staticCache,
      logger,
      workerId: this.#parts.start.workerId,
    });
  }

  async #loadScript(
    mapping: MappingConfig,
    { share, logger }: MappingAccount,
    { setup, outward: all, filesOf }: Generation,
    signal: AbortSignal,
  ): Promise<LoadedMapping> {
    const { start, job, once, events, counters, dispatcher } = this.#parts;
    const { generation, settings, luaModules } = setup;
    const name = mappingName(mapping);
    const own = scriptSettingsOf(settings.scripts, name);
    const rights = { ...settings.rights, ...own?.rights };
    const { memoryBytesMax = settings.limits.memoryBytesMax, root = setup.root } = mapping;
    const module = luaModules instanceof Map ? luaModules.get(memoryBytesMax) : undefined;
    assert(module !== undefined, 'scripts come with the Lua machine of their size');
    const outward = all.of(rights, root !== undefined);
    const options = {
      ...placeOf(mapping),
      script: toBytes(mapping.script),
      mode: mapping.mode,
      module,
      fileSystem: filesOf(root),
      processes: this.#processes,
      fetcher: outward.fetcher,
      proxies: outward.proxies,
      dispatcher,
      logger,
      counters,
      serverPort: job.serverPort,
      workerId: start.workerId,
      workerCount: job.workerCount,
      onceClaims: once.claimsOf(name, generation),
      shared: this.#shared,
      stored: await this.#openStores(),
      cache: this.#cache,
      events,
      share,
      limits: { ...settings.limits, ...own?.limits },
      rights: { ...rights, luaPath: toBytes(rights.luaPath) },
      memoryBytesMax,
    };
    return await loadLuaMapping(options, signal);
  }

  /** Loads what talks to stores where there is one. */
  async #openStores(): Promise<WorkerStores | undefined> {
    const { job, start, logger, counters } = this.#parts;
    if (job.stores.length === 0) return undefined;
    const { WorkerStores } = await import('./worker-stores.ts');
    const states = new StoreStates(start.storeStates, job.stores.length);
    this.#stores ??= new WorkerStores(job.stores, logger, counters, states, start.workerId);
    return this.#stores;
  }

  /** Loads the classes of the web for the first module, as this takes as long as to load a script. */
  async #loadModule(
    mapping: MappingConfig,
    { share, row }: MappingAccount,
    { generation, settings }: WorkerSetup,
  ): Promise<LoadedMapping> {
    const { start, events, logger } = this.#parts;
    const [{ installLightResponse }, { loadModuleMapping }] = await Promise.all([
      import('../web/light-response.ts'),
      import('../web/load-module.ts'),
    ]);
    installLightResponse();
    const stores = await this.#openStores();
    const name = mappingName(mapping);
    const own = scriptSettingsOf(settings.scripts, name);
    const { prefix } = mapping;
    const heartbeat = ownHeartbeat();
    return await loadModuleMapping({
      ...placeOf(mapping),
      proxies: new HandlerProxies({
        mapping: name,
        prefix,
        proxies: this.#proxies,
        cache: this.#cache,
        logger,
      }),
      url: mapping.script,
      cache: this.#cache,
      generation,
      workerId: start.workerId,
      shared: (name) => {
        if (stores?.find(name) !== undefined) throw elsewhereError(name);
        return new SharedDictionary(this.#shared.open(name));
      },
      stored: stores,
      events: new TextEvents(events, share),
      share,
      logger,
      counters: this.#parts.counters,
      timeLimitMs: own?.limits.timeLimitMs ?? settings.limits.timeLimitMs,
      began: () => heartbeat.began(row),
    });
  }
}

function elsewhereError(name: string): GatewayError {
  return new GatewayError(
    'LGW_STORE',
    `Dictionary "${name}" lives in a store: context.dictionary(name) reaches it, by promises; --shared ${name}=SIZE keeps it in memory`,
    { luaCode: 'invalid' },
  );
}
