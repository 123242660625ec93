/**
 * One script in one state: its handlers, the libraries it sees, and the invocations that run in it. Long because it joins all parts
 * of a state, each of which is a file of its own.
 */

import { GatewayError } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import { Scope } from '../base/scope.ts';
import type { EventHub } from '../events/event-hub.ts';
import type { FileSystem } from '../file/file-system.ts';
import { OperationOwner } from '../file/operation-queue.ts';
import type { ProcessOwner, ProcessTable } from '../file/process-table.ts';
import type { Exchange } from '../http/exchange/exchange.ts';
import type { Route } from '../http/exchange/handler.ts';
import type { Dispatcher } from '../http/routing/dispatcher.ts';
import { installHttpdModule } from '../httpd/httpd-module.ts';
import { installBasicLibrary } from '../libraries/basic-library.ts';
import { ChunkLoader } from '../libraries/chunk-loader.ts';
import { installDebugLibrary } from '../libraries/debug-library.ts';
import { FileMethods } from '../libraries/file-methods.ts';
import { IoLibrary } from '../libraries/io-library.ts';
import { installMathLibrary } from '../libraries/math-library.ts';
import { installOsLibrary } from '../libraries/os-library.ts';
import { installPackageLibrary, packagePath } from '../libraries/package-library.ts';
import { installRequire } from '../libraries/require-function.ts';
import { enterSandbox } from '../libraries/sandbox.ts';
import { nameInside } from '../libraries/script-file.ts';
import { installWarnings } from '../libraries/warnings.ts';
import type { CpuMeter } from '../lua/coroutine.ts';
import { installCoroutineLibrary } from '../lua/coroutine-library.ts';
import { CoroutineScheduler } from '../lua/coroutine-scheduler.ts';
import { VmAbandoned } from '../lua/guard.ts';
import { LazyTables } from '../lua/lazy-tables.ts';
import { checkLoops } from '../lua/loop-check.ts';
import type { LuaThread } from '../lua/lua-exports.ts';
import { ScriptError, State } from '../lua/state.ts';
import { StateRoom } from '../lua/state-room.ts';
import { mappingName, type OfPlace } from '../mapping/mapping-name.ts';
import type { ScriptMode } from '../mapping/script-mode.ts';
import type { ScriptRights } from '../mapping/script-rights.ts';
import type { Share } from '../mapping/shares.ts';
import { MAPPING_COUNT } from '../metrics/mapping-metrics.ts';
import { COUNT, type Counters } from '../metrics/worker-metrics.ts';
import type { Fetcher } from '../outbound/fetcher.ts';
import type { Proxies } from '../proxy/proxies.ts';
import type { SharedStore } from '../shared/shared-store.ts';
import type { StoredDictionaries } from '../store/stored-dictionary.ts';
import { Collector } from './collector.ts';
import type { AnswerCache } from './context/answer-cache.ts';
import { AutomaticAnswers } from './context/automatic-answers.ts';
import { CachedHandlers } from './context/cached-handlers.ts';
import { createHandler } from './context/create-handler.ts';
import { HandlerTable } from './context/handler-table.ts';
import { HookRun } from './context/hook-run.ts';
import { Hooks } from './context/hooks.ts';
import { currentInvocation } from './context/invocation.ts';
import { pushParams } from './context/request-table.ts';
import type { RequestCall, ScriptContext } from './context/script-context.ts';
import { ScriptLog } from './context/script-log.ts';
import { type OnceClaims, Timers } from './context/timers.ts';
import { ByteTransfer } from './objects/byte-transfer.ts';
import { FileOperations } from './objects/file-operations.ts';
import { LuaFiles } from './objects/lua-files.ts';
import { LuaStreams } from './objects/lua-streams.ts';
import { installPackagedModules } from './packaged-modules.ts';
import { RequestTables } from './request-tables.ts';
import type { HandlerOptions } from './run/handler-options.ts';
import { currentRun } from './run/lua-run.ts';
import type { RunLimits } from './run/run-limits.ts';
import { RunTable } from './run/run-table.ts';
import { LOAD_LIMITS, type LoadLimits, ScriptLoad } from './script-load.ts';
import { ScriptShape } from './script-shape.ts';

export interface ScriptOptions extends OfPlace {
  /** As given on the command line; opened through the file system, so inside its root. */
  readonly script: string;
  readonly module: WebAssembly.Module;
  readonly fileSystem: FileSystem;
  readonly processes: ProcessTable;
  readonly fetcher: Fetcher;
  readonly proxies: Proxies;
  readonly dispatcher: Dispatcher;
  readonly logger: Logger;
  readonly counters: Counters;
  /** The port the listener was bound to; 0 = tell each connection's own. */
  readonly serverPort: number;
  readonly workerId: number;
  /** Dictionaries that all workers share. */
  readonly shared: SharedStore;
  readonly stored?: StoredDictionaries | undefined;
  readonly cache: AnswerCache;
  /** Messages between all threads. */
  readonly events: EventHub;
  /** What the mapping uses of what the worker has. */
  readonly share: Share;
  /** Defaults of handlers that do not say otherwise. */
  readonly limits: RunLimits;
  /** What it may take to load; tests shorten it. */
  readonly loadLimits?: LoadLimits;
  readonly rights: ScriptRights;
  /** Bytes a state may grow to, as compiled into the module. */
  readonly memoryBytesMax: number;
  readonly workerCount: number;
  /** What the script is; undefined = it shows when it has been loaded. */
  readonly mode: ScriptMode | undefined;
  /** Decides which of all workers runs a timer with `once`. */
  readonly onceClaims: OnceClaims;
}

/** Hears of a state that should not be used any more. */
export interface ScriptWatch {
  /** A JavaScript exception has passed through the VM: all its exchanges have been ended. */
  abandoned(script: LoadedScript): void;
  /** Its memory has grown beyond a mark. */
  overgrown(script: LoadedScript): void;
}

/** What messages say of files in the sandbox. */
const NO_FILES = 'a script in the sandbox opens no files';
/** Time of a hook `stop`, ms: a state that ends, and the reload or the drain with it, waits no longer. */
const STOP_HOOK_MS = 5000;
/** Share of a state's memory that, once taken from the system, makes the state worth replacing. */
const OVERGROWN_SHARE = 0.75;

export class LoadedScript implements ScriptContext {
  /** What log lines call the mapping. */
  readonly mappingName: string;
  readonly state: State;
  readonly scheduler: CoroutineScheduler;
  readonly lazyTables: LazyTables;
  readonly transfer: ByteTransfer;
  readonly files: LuaFiles;
  readonly streams: LuaStreams;
  readonly fileSystem: FileSystem;
  readonly fileOperations: FileOperations;
  readonly handlers: HandlerTable;
  readonly hooks: Hooks;
  readonly cached: CachedHandlers;
  readonly runs: RunTable;
  readonly timers: Timers;
  readonly log: ScriptLog;
  readonly #options: ScriptOptions;
  readonly #watch: ScriptWatch;
  readonly #requestTables: RequestTables;
  readonly #collector: Collector;
  #mode: ScriptMode = 'lhttpd';
  /** What was started where nothing runs, as while the script is loaded, and ends with the state. */
  readonly #scope = new Scope();
  readonly #loadOwner: OperationOwner;
  #overgrown = false;
  /** Bytes of the state, as far as they have been counted. */
  #memoryCounted = 0;
  /** What the script takes now is not held against it: the state that it is to replace may have taken all. */
  #loading = true;
  #closed = false;

  /** Opens a state, installs the libraries and runs the script, until `signal` ends it; throws ScriptError. */
  static async load(options: ScriptOptions, watch: ScriptWatch, signal?: AbortSignal): Promise<LoadedScript> {
    const state = await State.create(options.module);
    checkLoops(state, options.module);
    const loaded = new LoadedScript(state, options, watch);
    options.counters.add(COUNT.states, 1);
    try {
      await loaded.#run(signal);
      loaded.#countMemory(state.memory.size);
    } catch (error) {
      loaded.close();
      throw error;
    }
    return loaded;
  }

  private constructor(state: State, options: ScriptOptions, watch: ScriptWatch) {
    this.state = state;
    this.#options = options;
    this.#watch = watch;
    const { counters, logger, memoryBytesMax } = options;
    this.mappingName = mappingName(options);
    this.scheduler = new CoroutineScheduler(state, (reason) => this.#abandon(reason));
    const { scheduler } = this;
    scheduler.meter = meterOf(options.share);
    this.log = new ScriptLog(logger, counters, scheduler, options.share);
    const answers = new AutomaticAnswers(this);
    this.handlers = new HandlerTable(logger, this.mappingName, (status, allow) =>
      answers.create(status, allow),
    );
    this.runs = new RunTable(counters, () => this.#runEnded());
    const tables = new RequestTables(state, options);
    this.#requestTables = tables;
    this.lazyTables = new LazyTables(
      state,
      (T, argument, number) => tables.fill(T, argument, number),
      (T, argument, number) => tables.peek(T, argument, number),
      {
        isOver: () => currentInvocation(scheduler).exchange.headGiven,
        keepTables: (T) => currentInvocation(scheduler).noteTables(T),
      },
    );
    this.hooks = new Hooks(state, this.lazyTables);
    this.cached = new CachedHandlers(options.cache, this.hooks, logger, this.mappingName);
    this.transfer = new ByteTransfer(scheduler, new StateRoom(state, memoryBytesMax));
    this.files = new LuaFiles(scheduler, this.transfer);
    this.streams = new LuaStreams(state, this.transfer);
    this.#collector = new Collector(scheduler, this.files, this.runs, logger, this.mappingName);
    this.fileSystem = options.rights.sandboxed ? options.fileSystem.sealed(NO_FILES) : options.fileSystem;
    this.fileOperations = new FileOperations(this.scheduler, () => this.#operationOwner());
    this.#loadOwner = new OperationOwner(options.share, true);
    this.#installLibraries();
    this.timers = new Timers(this, options.onceClaims);
    installHttpdModule(this);
  }

  #installLibraries(): void {
    const { state, scheduler, fileSystem, files, share } = this;
    const { processes, rights, script } = this.#options;
    const print = (line: string): void => this.log.write('info', line);
    const processOwner = (): ProcessOwner => ({
      scope: currentRun(scheduler)?.scope ?? this.#scope,
      share,
      loading: this.#loading,
      workingDirectory: fileSystem.workingDirectory,
      // under a root a shell would be the way out of it
      allowedCommands: fileSystem.root === undefined ? undefined : rights.commands,
      logger: this.logger,
    });
    const { fileOperations: operations } = this;
    const operationOwner = (): OperationOwner => this.#operationOwner();
    const system = { scheduler, fileSystem, processes, files, operations, operationOwner, processOwner };
    installCoroutineLibrary(scheduler);
    installDebugLibrary(state);
    installMathLibrary(state);
    new IoLibrary({ ...system, methods: new FileMethods(scheduler, this.transfer, files), print });
    installOsLibrary({ ...system, variables: rights.variables });
    const chunks = new ChunkLoader(state, fileSystem, rights.allowsBytecode);
    installBasicLibrary(scheduler, chunks, print);
    const path = packagePath(nameInside(fileSystem, script), rights.luaPath);
    installPackageLibrary(state, chunks, fileSystem, path, scheduler.guard);
    const directory = fileSystem.root === undefined ? fileSystem.workingDirectory : '/';
    installPackagedModules(state, Buffer.from(directory).toString('latin1'));
    installRequire(state, scheduler.guard);
    installWarnings(state, (line) => this.log.warn(line));
  }

  /** Who the operations on files that start now take turns for. */
  #operationOwner(): OperationOwner {
    const run = currentRun(this.scheduler);
    return run?.operationOwner ?? (this.#loading ? this.#loadOwner : new OperationOwner(this.share));
  }

  get logger(): Logger {
    return this.#options.logger;
  }

  get dispatcher(): Dispatcher {
    return this.#options.dispatcher;
  }

  get fetcher(): Fetcher {
    return this.#options.fetcher;
  }
  get proxies(): Proxies {
    return this.#options.proxies;
  }

  get share(): Share {
    return this.#options.share;
  }

  get shared(): SharedStore {
    return this.#options.shared;
  }

  get stored(): StoredDictionaries | undefined {
    return this.#options.stored;
  }

  get cache(): AnswerCache {
    return this.#options.cache;
  }

  get events(): EventHub {
    return this.#options.events;
  }

  get workerId(): number {
    return this.#options.workerId;
  }

  get workerCount(): number {
    return this.#options.workerCount;
  }

  /** Limits of runs that do not say otherwise. */
  get limits(): RunLimits {
    return this.#options.limits;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** What the script is. */
  get mode(): ScriptMode {
    return this.#mode;
  }

  /** Registers the function on top of the stack. The first registration of a name holds. Says what is too much. */
  registerHandler(name: string, options: HandlerOptions, L: LuaThread): GatewayError | undefined {
    const { methods, bodyBytesMax, isCached = false, ...ownLimits } = options;
    const admitted = this.handlers.admit(name, methods);
    if (admitted instanceof GatewayError) return admitted;
    if (admitted === false) return undefined;
    const takesTables = this.lazyTables.takesTables(L);
    if (takesTables) this.lazyTables.wrap(L);
    const pushArguments = takesTables ? this.pushTables : undefined;
    const limits = { ...this.limits, ...ownLimits };
    const called = { reference: this.state.keep(L), pushArguments, callsHooks: takesTables };
    const handler = createHandler(this, called, limits, bodyBytesMax);
    this.handlers.register(name, admitted, isCached ? this.cached.add(name, handler) : handler);
    return undefined;
  }

  readonly pushTables = (L: LuaThread, { exchange, route, number }: RequestCall): number => {
    const count = this.pushFacts(L, exchange, route, number);
    if (route.params === undefined) return count;
    if (count === 2) this.state.exports.lua_pushnil(L);
    pushParams(this.state, L, route.params);
    return 4;
  };

  pushFacts(L: LuaThread, exchange: Exchange, route: Route, number: number): number {
    const arePrepared = this.#requestTables.pushFacts(L, exchange, route, this.lazyTables);
    this.lazyTables.pushNumber(L, number);
    if (arePrepared) return 2;
    this.state.exports.lua_pushboolean(L, 1);
    return 3;
  }

  #runEnded(): void {
    if (this.files.mayBeForgotten(this.runs)) this.#collector.collectSoon();
    if (this.#overgrown || !this.#hasOvergrown()) return;
    this.#overgrown = true;
    this.logger.warn('Memory of a state has grown: it is replaced', {
      mapping: this.mappingName,
      bytes: this.state.memory.size,
      limit: this.#options.memoryBytesMax,
    });
    this.#watch.overgrown(this);
  }

  /** The script serves from now on: timers that were started while it was loaded begin, after `holdMs` at the earliest. */
  serve(holdMs = 0): void {
    this.timers.begin(holdMs);
  }

  /** Answers without an end are ended: a drain has begun. */
  endStreams(): void {
    this.runs.endStreams();
  }

  /**
   * Resolves when no run is left and the hooks `stop` have ended. No exchange may come any more; timers end, those that run
   * within `graceMs`.
   */
  async retire(graceMs: number): Promise<void> {
    this.timers.retire(graceMs);
    this.cached.retire();
    this.runs.retire();
    await this.runs.idle();
    if (this.#closed) return;
    for (const callback of this.hooks.functions('stop')) {
      const limits = { ...this.limits, timeLimitMs: Math.min(this.limits.timeLimitMs, STOP_HOOK_MS) };
      new HookRun(this, 'stop', limits, undefined).start(
        callback,
        () => 0,
        () => undefined,
      );
    }
    await this.runs.idle();
  }

  /** Ends everything now: exchanges get 503, files are closed, the VM is freed. */
  close(): void {
    if (this.#closed) return;
    this.#stop();
    this.cached.close();
    this.timers.close();
    this.runs.cancelAll(503);
    this.scheduler.close();
    this.#closeObjects();
  }

  async #run(signal: AbortSignal | undefined): Promise<void> {
    const { script, fileSystem, rights, loadLimits = LOAD_LIMITS } = this.#options;
    const shape = new ScriptShape(this, this.#options.mode);
    if (rights.sandboxed) enterSandbox(this.state);
    // the one file that is opened for a script in the sandbox
    const own = new ChunkLoader(this.state, fileSystem, rights.allowsBytecode);
    own.loadFile(this.state.mainThread, nameInside(fileSystem, script), 'bt', script);
    await new ScriptLoad(this.scheduler, loadLimits).call(signal);
    await this.cached.ready();
    this.#loading = false;
    this.#mode = shape.settle(this.handlers.size > 0);
    // a script that needs that much from the start would be loaded again and again
    this.#overgrown = this.#hasOvergrown();
    if (this.files.mayBeForgotten(this.runs)) this.#collector.collectSoon();
    if (this.#mode === 'lhttpd' && this.handlers.size === 0) this.#hasNoHandler();
  }

  /** Every path would get 404: most likely a slip, unless somebody has said otherwise, or timers do what there is to do. */
  #hasNoHandler(): void {
    const { mode, script } = this.#options;
    if (mode === undefined && this.timers.count === 0)
      throw new ScriptError(
        'the script neither registers a handler nor returns a function nor defines handle_request (--mode lhttpd serves it all the same)',
      );
    if (this.timers.count === 0)
      this.logger.warn('Script registered no handler', { mapping: this.mappingName, script });
  }

  #hasOvergrown(): boolean {
    const { size } = this.state.memory;
    if (size !== this.#memoryCounted) this.#countMemory(size);
    return size > this.#options.memoryBytesMax * OVERGROWN_SHARE;
  }

  #countMemory(bytes: number): void {
    if (this.#closed) return;
    this.share.counters.add(MAPPING_COUNT.luaMemoryBytes, bytes - this.#memoryCounted);
    this.#memoryCounted = bytes;
  }

  /** The VM is lost. The one at fault has been told already; the others get 503. */
  #abandon(reason: Error): void {
    this.#stop();
    this.share.counters.add(MAPPING_COUNT.statesLostTotal, 1);
    this.logger.error('State given up', {
      mapping: this.mappingName,
      reason: reason instanceof VmAbandoned ? reason.message : (reason.stack ?? reason.message),
      runs: this.runs.size,
    });
    this.timers.close();
    const unbegun = this.runs.withdrawAll(503);
    this.#closeObjects();
    this.runs.tellIdle();
    this.#watch.abandoned(this);
    // nothing of them is lost with the state: they wait for the next one
    for (const exchange of unbegun) this.dispatcher.dispatch(exchange);
  }

  #stop(): void {
    this.#countMemory(0);
    this.#closed = true;
    this.#options.counters.add(COUNT.states, -1);
    this.#collector.close();
    this.runs.close();
  }

  #closeObjects(): void {
    this.files.destroyAll();
    this.streams.destroyAll();
    this.#scope.close();
  }
}

function meterOf({ counters }: Share): CpuMeter {
  return {
    spent: (ms) => counters.add(MAPPING_COUNT.luaCpuMsTotal, ms),
    sliced: () => counters.add(MAPPING_COUNT.luaSlicesTotal, 1),
  };
}
