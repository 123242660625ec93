/** Puts one worker together: files, scripts, router and front end; serves, reloads in two phases, drains. */

import { assert } from '../base/assert.ts';
import { connectEntries, parseConnectRules } from '../base/connect-rules.ts';
import { createLogger, type Logger } from '../base/logger.ts';
import { ProcessGroups } from '../base/process-groups.ts';
import type { MappingConfig } from '../config/config.ts';
import { FileSystem } from '../file/file-system.ts';
import { ProcessTable } from '../file/process-table.ts';
import type { Mapping } from '../http/exchange/handler.ts';
import { UnreadBodies } from '../http/exchange/unread-bodies.ts';
import { AddressLimit } from '../http/front/address-limit.ts';
import { FrontEnd, type ListenTarget } from '../http/front/front-end.ts';
import { Dispatcher } from '../http/routing/dispatcher.ts';
import { Router } from '../http/routing/router.ts';
import { kindOf, type MappingKind, runsLua } from '../mapping/mapping-kinds.ts';
import { MeteredLogger } from '../mapping/metered-logger.ts';
import type { ScriptMode } from '../mapping/script-mode.ts';
import type { ScriptRights } from '../mapping/script-rights.ts';
import { type Resource, type Share, Shares } from '../mapping/shares.ts';
import { MAPPING_METRICS } from '../metrics/mapping-metrics.ts';
import { MetricRow } from '../metrics/metric-row.ts';
import { Counters } from '../metrics/worker-metrics.ts';
import { duplicateDescriptor, isAvailable } from '../native/posix.ts';
import { ConnectPolicy } from '../outbound/connect-policy.ts';
import { Fetcher } from '../outbound/fetcher.ts';
import { FETCHES_MAX } from '../outbound/outbound-limits.ts';
import { LuaMapping, loadLuaMapping } from '../script/lua-mapping.ts';
import { SharedDictionary } from '../shared/shared-dictionary.ts';
import { SharedStore } from '../shared/shared-store.ts';
import { createSecureOptions } from '../tls/secure-options.ts';
import { createAccessLog } from './access-log.ts';
import type { FromWorker, ListenSource, WorkerSetup, WorkerStart } from './messages.ts';
import { OnceClient } from './once-client.ts';

/** What one worker has at once, for all mappings together. */
const WORKER_LIMITS: Readonly<Record<Resource, number>> = {
  // half of the 1024 descriptors that a process has by default on many systems
  files: 512,
  // a hundred slow commands, and some; each has up to three pipes
  processes: 128,
  fetches: FETCHES_MAX,
  // a hundred requests that have as many as one may; about a kilobyte each
  tasks: 25_600,
  // ten scripts that have as many as one may
  timers: 10_000,
};
/** A mapping that comes to its share over and over is told of in the log once in so many milliseconds. */
const SHARE_NOTICE_MS = 60_000;
/** Twice libuv's threads, so that one is never idle while an answer is on its way. */
const OPERATIONS_MAX = 8;

/** Loads a mapping for the setup of this generation, until `signal` ends it. */
type Loader = (mapping: MappingConfig, generation: number, signal: AbortSignal) => Promise<LoadedMapping>;

/** A mapping of any kind: what serves until another setup takes its place. */
interface LoadedMapping extends Mapping {
  /** From now on exchanges come. */
  serve(): void;
  /** Resolves when the last exchange has ended. */
  retire(timerGraceMs: number): Promise<void>;
  close(): void;
}

/** A reload that waits for its second phase. */
interface Prepared {
  readonly setup: WorkerSetup;
  readonly mappings: readonly LoadedMapping[];
}

export class GatewayWorker {
  readonly #start: WorkerStart;
  readonly #writeLine: (line: string) => void;
  readonly #logSource: string;
  readonly #logger: Logger;
  readonly #counters: Counters;
  readonly #fileSystem: FileSystem;
  readonly #processes: ProcessTable;
  readonly #fetcher: Fetcher;
  readonly #shared: SharedStore;
  readonly #shares: Shares;
  readonly #mappingLoggers = new Map<string, MeteredLogger>();
  readonly #router = new Router();
  readonly #dispatcher: Dispatcher;
  readonly #frontEnds: FrontEnd[] = [];
  readonly #addresses: AddressLimit;
  readonly #unreadBodies: UnreadBodies;
  readonly #once: OnceClient;
  #mappings: readonly LoadedMapping[] = [];
  #prepared: Prepared | undefined;
  /** Ends the load of a generation that is not wanted any more. */
  #preparing: AbortController | undefined;

  /** `writeLine` takes log lines, formatted and without line ends; `post` takes messages for the supervisor. */
  constructor(start: WorkerStart, writeLine: (line: string) => void, post: (message: FromWorker) => void) {
    this.#once = new OnceClient(post);
    this.#start = start;
    this.#writeLine = writeLine;
    this.#logSource = `worker-${start.workerId}`;
    this.#logger = createLogger(start.logLevel, this.#logSource, writeLine);
    const logger = this.#logger;
    this.#counters = new Counters(start.counters);
    this.#addresses = new AddressLimit(start.limits.connectionsPerAddressMax);
    this.#unreadBodies = new UnreadBodies(start.limits.unreadBodyBytesMax, this.#counters, logger);
    this.#fileSystem = new FileSystem({
      root: start.root,
      workingDirectory: process.cwd(),
      operationsMax: OPERATIONS_MAX,
      counters: this.#counters,
      duplicate: (descriptor) => (isAvailable() ? duplicateDescriptor(descriptor) : undefined),
      logger,
    });
    this.#processes = new ProcessTable({
      workingDirectory: this.#fileSystem.workingDirectory,
      // under a root a shell would be the way out of it
      allowedCommands: start.root === undefined ? undefined : start.rights.commands,
      environment: processEnvironment(),
      counters: this.#counters,
      groups: new ProcessGroups(start.processGroups),
      blocks: this.#fileSystem.blocks,
    });
    this.#fetcher = new Fetcher(this.#counters, connectPolicyOf(start.rights));
    this.#shares = new Shares({
      limits: WORKER_LIMITS,
      percent: start.limits.mappingSharePercent,
      onRefused: this.#noteRefusal(),
    });
    for (const [row, mapping] of start.setup.mappings.entries()) {
      if (!runsLua(mapping)) continue;
      this.#shares.of(mapping.prefix, new MetricRow(MAPPING_METRICS, start.mappingCounters, row));
    }
    this.#shared = new SharedStore(start.shared);
    this.#dispatcher = new Dispatcher(this.#router, logger);
  }

  /** Loads the scripts, then accepts connections. Throws GatewayError. */
  async start(): Promise<void> {
    const { setup, listeners } = this.#start;
    this.#mappings = await this.#load(setup, new AbortController());
    this.#router.replace(this.#mappings);
    for (const mapping of this.#mappings) mapping.serve();
    const tls = this.#secureOptions(setup);
    const frontEnds = listeners.map(({ scheme }) =>
      this.#createFrontEnd(scheme === 'https' ? tls : undefined),
    );
    // from here on the descriptors belong to the servers of this thread
    Atomics.store(new Int32Array(this.#start.descriptorsAdopted), 0, 1);
    await Promise.all(listeners.map(({ source }, i) => (frontEnds[i] as FrontEnd).listen(toTarget(source))));
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
    const mappings = await this.#load(setup, preparing);
    if (this.#preparing === preparing) this.#prepared = { setup, mappings };
    else closeAll(mappings);
  }

  /** Reload, second phase: new exchanges go to what was prepared; the old states close behind their last exchange. */
  commit(generation: number): void {
    const prepared = this.#prepared;
    if (prepared?.setup.generation !== generation) return;
    this.#prepared = undefined;
    const old = this.#mappings;
    this.#mappings = prepared.mappings;
    this.#router.replace(prepared.mappings);
    for (const mapping of prepared.mappings) mapping.serve();
    const tls = this.#secureOptions(prepared.setup);
    if (tls !== undefined) for (const frontEnd of this.#frontEnds) frontEnd.setSecureContext(tls);
    for (const mapping of old) void mapping.retire(this.#start.limits.drainTimeoutMs);
  }

  /** Gives a reload up. */
  abandon(): void {
    this.#preparing?.abort();
    this.#preparing = undefined;
    this.#dropPrepared();
  }

  /** Accepts nothing more and lets open exchanges finish; resolves to the number of connections cut at the limit. */
  async drain(): Promise<number> {
    const { drainTimeoutMs } = this.#start.limits;
    const startedAt = performance.now();
    const cut = await Promise.all(this.#frontEnds.map((frontEnd) => frontEnd.drain(drainTimeoutMs)));
    this.abandon();
    // timers continue until the last exchange has ended; a timer call under way has the rest of the time
    const leftMs = Math.max(0, startedAt + drainTimeoutMs - performance.now());
    await Promise.all(this.#mappings.map((mapping) => mapping.retire(leftMs)));
    this.#fetcher.stop();
    return cut.reduce((total, count) => total + count, 0);
  }

  /** The supervisor's answer to a claim. */
  claimed(id: number, granted: boolean): void {
    this.#once.answered(id, granted);
  }

  /** All scripts of a setup, or none: the first that fails ends the loads of the others. */
  async #load({ mappings, generation }: WorkerSetup, ending: AbortController): Promise<LoadedMapping[]> {
    let failure: unknown;
    const loads = mappings.map(async (mapping) => {
      try {
        return await this.#loaders[kindOf(mapping)](mapping, generation, ending.signal);
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
      if (this.#start.workerId === 1) this.#logModes(mappings, loaded);
      return loaded;
    }
    closeAll(loaded);
    throw failure;
  }

  /** How each kind of mapping is loaded. */
  readonly #loaders: Readonly<Record<MappingKind, Loader>> = {
    script: (mapping, generation, signal) => this.#loadScript(mapping, generation, signal),
    module: (mapping, generation) => this.#loadModule(mapping, generation),
  };

  #loadScript(
    { prefix, script, mode }: MappingConfig,
    generation: number,
    signal: AbortSignal,
  ): Promise<LoadedMapping> {
    const { luaModule, serverPort, workerId, workerCount, limits, rights } = this.#start;
    assert(typeof luaModule === 'object', 'scripts come with the Lua machine');
    const options = {
      prefix: toBytes(prefix),
      script: toBytes(script),
      mode,
      module: luaModule,
      fileSystem: this.#fileSystem,
      processes: this.#processes,
      fetcher: this.#fetcher,
      dispatcher: this.#dispatcher,
      logger: this.#mappingLogger(prefix),
      counters: this.#counters,
      serverPort,
      workerId,
      workerCount,
      onceClaims: this.#once.claimsOf(prefix, generation),
      shared: this.#shared,
      share: this.#shares.of(prefix),
      limits,
      rights: { ...rights, luaPath: toBytes(rights.luaPath) },
      memoryBytesMax: limits.memoryBytesMax,
    };
    return loadLuaMapping(options, signal);
  }

  /** One for all states of a mapping: a reload is no fresh start. */
  #mappingLogger(prefix: string): MeteredLogger {
    let logger = this.#mappingLoggers.get(prefix);
    if (logger === undefined) {
      logger = new MeteredLogger({
        logger: this.#logger,
        mapping: prefix,
        bytesPerSecond: this.#start.limits.logBytesPerSecond,
        counters: this.#shares.of(prefix).counters,
      });
      this.#mappingLoggers.set(prefix, logger);
    }
    return logger;
  }

  /** Tells the log, now and then, which mapping has come to its share of what. */
  #noteRefusal(): (share: Share, resource: Resource, limit: number) => void {
    const toldAt = new Map<string, number>();
    return (share, resource, limit) => {
      const key = `${resource} ${share.name}`;
      const now = performance.now();
      if (now - (toldAt.get(key) ?? Number.NEGATIVE_INFINITY) < SHARE_NOTICE_MS) return;
      toldAt.set(key, now);
      this.#logger.warn(`Limit of ${resource} reached`, {
        mapping: share.name,
        used: share.used(resource),
        limit,
        usedByAll: this.#shares.total(resource),
        limitOfAll: WORKER_LIMITS[resource],
      });
    };
  }

  /** What modules need of the web's classes is loaded with the first of them: it takes as long as a script. */
  async #loadModule({ prefix, script }: MappingConfig, generation: number): Promise<LoadedMapping> {
    const { workerId, limits } = this.#start;
    const [{ installLightResponse }, { loadModuleMapping }] = await Promise.all([
      import('../web/light-response.ts'),
      import('../web/load-module.ts'),
    ]);
    installLightResponse();
    return await loadModuleMapping({
      prefix: toBytes(prefix),
      url: script,
      generation,
      workerId,
      shared: (name) => new SharedDictionary(this.#shared.open(name)),
      logger: this.#logger,
      timeLimitMs: limits.timeLimitMs,
    });
  }

  #secureOptions({ tls }: WorkerSetup): ReturnType<typeof createSecureOptions> | undefined {
    const { handshakeTimeoutMs } = this.#start.limits;
    return tls === undefined ? undefined : createSecureOptions({ ...tls, handshakeTimeoutMs });
  }

  #logModes(mappings: WorkerSetup['mappings'], loaded: readonly LoadedMapping[]): void {
    for (const [i, mapping] of mappings.entries()) {
      const { prefix, script } = mapping;
      const mode = modeOf(loaded[i]) ?? kindOf(mapping);
      this.#logger.info('Script loaded', { mapping: prefix, script, mode });
    }
  }

  #createFrontEnd(tls: ReturnType<typeof createSecureOptions> | undefined): FrontEnd {
    const { limits, accessLog, noDelay } = this.#start;
    const observers = accessLog
      ? [createAccessLog(this.#logSource, this.#start.workerId, this.#writeLine)]
      : [];
    const frontEnd = new FrontEnd(
      {
        tls,
        limits,
        noDelay,
        logger: this.#logger,
        counters: this.#counters,
        observers,
        addresses: this.#addresses,
        unreadBodies: this.#unreadBodies,
      },
      (exchange) => this.#dispatcher.dispatch(exchange),
    );
    this.#frontEnds.push(frontEnd);
    return frontEnd;
  }

  #dropPrepared(): void {
    if (this.#prepared !== undefined) closeAll(this.#prepared.mappings);
    this.#prepared = undefined;
  }
}

function connectPolicyOf({ connect, sandboxed }: ScriptRights): ConnectPolicy {
  const rules = parseConnectRules(connectEntries(connect, sandboxed));
  assert(rules !== undefined, 'the configuration has been checked');
  return new ConnectPolicy(rules);
}

function modeOf(mapping: LoadedMapping | undefined): ScriptMode | undefined {
  return mapping instanceof LuaMapping ? mapping.mode : undefined;
}

function closeAll(mappings: readonly LoadedMapping[]): void {
  for (const mapping of mappings) mapping.close();
}

function toTarget(source: ListenSource): ListenTarget {
  if (source.kind === 'descriptor') return { fd: source.descriptor };
  return { port: source.port, host: source.address, reusePort: source.reusePort };
}

/** The byte string of a text in UTF-8: paths of requests and names of files are bytes. */
function toBytes(text: string): string {
  return Buffer.from(text).toString('latin1');
}

/** What processes see of the gateway's environment: enough to find programs and to format text, and no secrets. */
function processEnvironment(): Record<string, string> {
  const variables: Record<string, string> = {};
  for (const [name, value] of Object.entries(process.env)) {
    if (value !== undefined && PASSED_VARIABLES.test(name)) variables[name] = value;
  }
  return variables;
}

const PASSED_VARIABLES = /^(?:PATH|HOME|USER|LOGNAME|SHELL|TZ|TMPDIR|LANG|LC_[A-Z]+)$/;
