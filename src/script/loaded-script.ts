/** One script in one state: its handlers, the libraries it sees, and the invocations that run in it. */

import { isUtf8 } from 'node:buffer';
import type { Counters } from '../base/counters.ts';
import { GatewayError, messageOf } from '../base/errors.ts';
import type { LogFields, Logger, LogLevel } from '../base/logger.ts';
import { Scope } from '../base/scope.ts';
import type { ScriptMode } from '../base/script-mode.ts';
import type { ScriptRights } from '../base/script-rights.ts';
import type { Share } from '../base/shares.ts';
import { threadCpuMs } from '../base/thread-clock.ts';
import type { FileSystem } from '../file/file-system.ts';
import { OperationOwner } from '../file/operation-queue.ts';
import type { ProcessOwner, ProcessTable } from '../file/process-table.ts';
import type { Exchange } from '../http/exchange/exchange.ts';
import type { Handler, Route } from '../http/exchange/handler.ts';
import type { Dispatcher } from '../http/routing/dispatcher.ts';
import { HeadCache } from '../httpd/head-cache.ts';
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
import { CoroutineScheduler } from '../lua/coroutine.ts';
import { installCoroutineLibrary } from '../lua/coroutine-library.ts';
import { VmAbandoned } from '../lua/guard.ts';
import { LazyTables } from '../lua/lazy-tables.ts';
import type { LuaThread } from '../lua/lua-exports.ts';
import { type Reference, ScriptError, State } from '../lua/state.ts';
import { StateRoom } from '../lua/state-room.ts';
import { isRoundFull, takeTurn } from '../lua/turns.ts';
import type { Fetcher } from '../outbound/fetcher.ts';
import type { SharedStore } from '../shared/shared-store.ts';
import { Invocation } from './context/invocation.ts';
import { type OnceClaims, Timers } from './context/timers.ts';
import { ByteTransfer } from './objects/byte-transfer.ts';
import { LuaFiles } from './objects/lua-files.ts';
import { LuaStreams } from './objects/lua-streams.ts';
import { installPackagedModules } from './packaged-modules.ts';
import { RateLimit } from './rate-limit.ts';
import { RequestTables } from './request-tables.ts';
import { currentRun, type LuaRun } from './run/lua-run.ts';
import { LOAD_LIMITS, type LoadLimits, ScriptLoad } from './script-load.ts';
import { ScriptShape } from './script-shape.ts';

export interface ScriptOptions {
  readonly prefix: string;
  /** As given on the command line; opened through the file system, so inside its root. */
  readonly script: string;
  readonly module: WebAssembly.Module;
  readonly fileSystem: FileSystem;
  readonly processes: ProcessTable;
  readonly fetcher: Fetcher;
  readonly dispatcher: Dispatcher;
  readonly logger: Logger;
  readonly counters: Counters;
  /** The port the listener was bound to; 0 = tell each connection's own. */
  readonly serverPort: number;
  readonly workerId: number;
  /** Dictionaries that all workers share. */
  readonly shared: SharedStore;
  /** What the mapping uses of what the worker has. */
  readonly share: Share;
  /** Defaults of handlers that do not say otherwise. */
  readonly limits: HandlerOptions;
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

/** What `register_handler` was told beside name and function. */
export interface HandlerOptions {
  /** CPU time of one exchange, ms; Infinity = no limit. */
  readonly cpuLimitMs: number;
  /** Time without output of one exchange, ms; Infinity = no limit. */
  readonly timeLimitMs: number;
}

/** What messages say of files in the sandbox. */
const NO_FILES = 'a script in the sandbox opens no files';
/** Handlers of one script: some 3 MiB with names of ordinary length; whoever has more paths has a router. */
const HANDLERS_MAX = 10_000;
/** Bytes of a handler's name: longer paths are no names any more. */
const HANDLER_NAME_BYTES_MAX = 1024;
/** CPU time of one garbage collection of our own. */
const COLLECT_LIMIT_MS = 1000;
/** Share of a state's memory that, once taken from the system, makes the state worth replacing. */
const OVERGROWN_SHARE = 0.75;
/** Time limits are looked at this often. */
const SWEEP_MS = 50;

/** A longer message or line of a script is cut in the log (bytes). */
const MESSAGE_BYTES_MAX = 64 * 1024;
/** To write a line to the log, beside its bytes (10 µs). */
const UNITS_PER_LINE = 2000;
/** Error reports of one script in full per second; the rest are counted, so that a broken script cannot flood the log. */
const REPORTS_PER_SECOND_MAX = 20;
/** Files a handler left open are collected after this time at the earliest. */
const COLLECT_DELAY_MS = 50;
/** A collection takes at most this share of the worker's time. */
const COLLECT_SHARE = 0.1;

/** A registered function. */
export interface HandlerFunction {
  readonly reference: Reference;
  /** Pushes what it takes, and returns how many values that are; undefined: it takes nothing. */
  readonly pushArguments: ((L: LuaThread, invocation: Invocation) => number) | undefined;
}

export class LoadedScript {
  readonly state: State;
  readonly scheduler: CoroutineScheduler;
  readonly lazyTables: LazyTables;
  readonly requestTables: RequestTables;
  readonly heads: HeadCache;
  readonly transfer: ByteTransfer;
  readonly files: LuaFiles;
  readonly streams: LuaStreams;
  /** Of the script's files: in the sandbox it opens none. */
  readonly fileSystem: FileSystem;
  readonly logger: Logger;
  readonly dispatcher: Dispatcher;
  readonly timers: Timers;
  readonly #options: ScriptOptions;
  readonly #watch: ScriptWatch;
  readonly #handlers = new Map<string, Handler>();
  /** Instead of handlers: answers every path. */
  #handlerOfAll: Handler | undefined;
  #mode: ScriptMode = 'lhttpd';
  /** Calls of handlers and timers under way. */
  readonly #runs = new Set<LuaRun>();
  readonly #collectGarbage: Reference;
  /** What was started where nothing runs, as while the script is loaded, and ends with the state. */
  readonly #scope = new Scope();
  readonly #reports = new RateLimit(REPORTS_PER_SECOND_MAX);
  #collectTimer: NodeJS.Timeout | undefined;
  /** Wait before the next collection: grows with what the last one took. */
  #collectDelayMs = COLLECT_DELAY_MS;
  readonly #whenIdle: (() => void)[] = [];
  #sweepTimer: NodeJS.Timeout | undefined;
  #overgrown = false;
  /** What the script takes now is not held against it: the state that it is to replace may have taken all. */
  #loading = true;
  #closed = false;

  /** Opens a state, installs the libraries and runs the script, until `signal` ends it; throws ScriptError. */
  static async load(options: ScriptOptions, watch: ScriptWatch, signal?: AbortSignal): Promise<LoadedScript> {
    const state = await State.create(options.module);
    const loaded = new LoadedScript(state, options, watch);
    options.counters.add('states', 1);
    try {
      await loaded.#run(signal);
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
    this.logger = options.logger;
    this.dispatcher = options.dispatcher;
    this.scheduler = new CoroutineScheduler(state, (reason) => this.#abandon(reason));
    const { exports: x, memory, mainThread: L } = state;
    x.lua_getglobal(L, memory.constant('collectgarbage'));
    this.#collectGarbage = state.keep(L);
    installCoroutineLibrary(this.scheduler);
    installDebugLibrary(state);
    installMathLibrary(state);
    const tables = new RequestTables(state, options);
    this.requestTables = tables;
    this.lazyTables = new LazyTables(
      state,
      (T, argument, number) => tables.fill(T, argument, number),
      (T, argument, number) => tables.peek(T, argument, number),
    );
    this.heads = new HeadCache(state);
    this.transfer = new ByteTransfer(this.scheduler, new StateRoom(state, options.memoryBytesMax));
    this.files = new LuaFiles(this.scheduler, this.transfer);
    this.streams = new LuaStreams(state, this.transfer);
    const print = (line: string): void => this.log('info', line);
    const { processes, rights } = options;
    this.fileSystem = rights.sandboxed ? options.fileSystem.sealed(NO_FILES) : options.fileSystem;
    const { fileSystem } = this;
    const loadOwner = new OperationOwner(this.share, true);
    const operationOwner = (): OperationOwner =>
      currentRun(this.scheduler)?.operationOwner ??
      (this.#loading ? loadOwner : new OperationOwner(this.share));
    const processOwner = (): ProcessOwner => ({
      scope: currentRun(this.scheduler)?.scope ?? this.#scope,
      share: this.share,
      loading: this.#loading,
      logger: this.logger,
    });
    new IoLibrary({
      scheduler: this.scheduler,
      files: this.files,
      methods: new FileMethods(this.scheduler, this.transfer, this.files),
      fileSystem,
      processes,
      operationOwner,
      processOwner,
      print,
    });
    installOsLibrary({
      scheduler: this.scheduler,
      fileSystem,
      processes,
      files: this.files,
      operationOwner,
      processOwner,
      variables: rights.variables,
    });
    const chunks = new ChunkLoader(state, fileSystem, rights.allowsBytecode);
    installBasicLibrary(this.scheduler, chunks, print);
    installPackageLibrary(
      state,
      chunks,
      fileSystem,
      packagePath(nameInside(fileSystem, options.script), rights.luaPath),
      this.scheduler.guard,
    );
    installPackagedModules(state);
    installRequire(state);
    installWarnings(state, (line) => this.#warn(line));
    this.timers = new Timers(this, options.onceClaims);
    installHttpdModule(this);
  }

  get fetcher(): Fetcher {
    return this.#options.fetcher;
  }

  get share(): Share {
    return this.#options.share;
  }

  get shared(): SharedStore {
    return this.#options.shared;
  }

  get workerId(): number {
    return this.#options.workerId;
  }

  get workerCount(): number {
    return this.#options.workerCount;
  }

  get prefix(): string {
    return this.#options.prefix;
  }

  /** Limits of runs that do not say otherwise. */
  get limits(): HandlerOptions {
    return this.#options.limits;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** One handler answers every path. */
  get answersAll(): boolean {
    return this.#handlerOfAll !== undefined;
  }

  /** The handler registered under exactly `name`. */
  find(name: string): Handler | undefined {
    return this.#handlerOfAll ?? this.#handlers.get(name);
  }

  /** Makes the function on top of the stack the handler of every path; `pushArguments` pushes what it takes. */
  answerAll(L: LuaThread, pushArguments: HandlerFunction['pushArguments']): void {
    const handler: HandlerFunction = { reference: this.state.keep(L), pushArguments };
    const { limits } = this.#options;
    this.answerAllBy({
      handle: (exchange, route) => this.#invoke(handler, limits, exchange, route),
    });
  }

  /** Makes `handler` that of every path. */
  answerAllBy(handler: Handler): void {
    this.#handlerOfAll = handler;
  }

  /** What the script is. */
  get mode(): ScriptMode {
    return this.#mode;
  }

  /** Registers the function on top of the stack. The first registration of a name holds. Says what is too much. */
  registerHandler(name: string, options: Partial<HandlerOptions>, L: LuaThread): GatewayError | undefined {
    if (name.length > HANDLER_NAME_BYTES_MAX)
      return handlerLimit(`its name has ${name.length} bytes and the limit is ${HANDLER_NAME_BYTES_MAX}`);
    if (this.#handlers.has(name)) {
      this.logger.warn('Handler registered twice; the first one stays', {
        mapping: this.#options.prefix,
        name,
      });
      return undefined;
    }
    if (this.#handlers.size >= HANDLERS_MAX)
      return handlerLimit(`${this.#handlers.size} are registered and the limit is ${HANDLERS_MAX}`);
    const pushArguments = this.lazyTables.wrap(L) ? this.#pushTables : undefined;
    const handler: HandlerFunction = { reference: this.state.keep(L), pushArguments };
    const limits = { ...this.#options.limits, ...options };
    this.#handlers.set(name, {
      handle: (exchange, route) => this.#invoke(handler, limits, exchange, route),
    });
    return undefined;
  }

  /** The facts of a request, for the two tables of a handler as wrapped by LazyTables. */
  readonly #pushTables = (L: LuaThread, invocation: Invocation): number => {
    this.requestTables.pushFacts(L, invocation.exchange, invocation.route);
    this.lazyTables.pushNumber(L, invocation.number);
    return 2;
  };

  /** Answers a pushed exchange after the Lua code that promised it has returned. */
  dispatchLater(exchange: Exchange): void {
    takeTurn(exchange.connection, () => {
      // the client may have refused it
      if (!exchange.finished && exchange.error === undefined) this.dispatcher.dispatch(exchange);
    });
  }

  /** `nil, message, code`: what Lua gets for what may happen. */
  pushFailure(L: LuaThread, error: GatewayError): number {
    this.state.exports.lua_pushnil(L);
    this.state.pushMessage(L, error.message);
    this.state.pushString(L, error.luaCode);
    return 3;
  }

  /** Logs a Lua error with its traceback, and counts it. */
  reportError(message: string, fields: LogFields): void {
    this.#options.counters.add('luaErrorsTotal', 1);
    const suppressed = this.#reports.admit();
    if (suppressed === undefined) return;
    this.logger.error(
      `Lua error: ${readable(message)}`,
      suppressed === 0 ? fields : { ...fields, suppressed },
    );
  }

  /** A run is about to begin; `watchRuns` follows. */
  runStarted(run: LuaRun): void {
    this.#runs.add(run);
    this.countCoroutine(1);
  }

  /** Looks at runs from now on, if any of those that were started waits. */
  watchRuns(): void {
    if (this.#runs.size > 0) this.#sweepTimer ??= setInterval(() => this.#sweep(), SWEEP_MS).unref();
  }

  /** Counts coroutines of runs and tasks. */
  countCoroutine(change: 1 | -1): void {
    this.#options.counters.add('coroutines', change);
  }

  runEnded(run: LuaRun): void {
    this.#runs.delete(run);
    this.countCoroutine(-1);
    if (this.#closed) return;
    if (this.files.mayBeForgotten(this.#runs)) this.#collectSoon();
    if (!this.#overgrown && this.#hasOvergrown()) {
      this.#overgrown = true;
      this.logger.warn('Memory of a state has grown: it is replaced', {
        mapping: this.#options.prefix,
        bytes: this.state.memory.size,
        limit: this.#options.memoryBytesMax,
      });
      this.#watch.overgrown(this);
    }
    if (this.#runs.size === 0) {
      if (this.#sweepTimer !== undefined) clearInterval(this.#sweepTimer);
      this.#sweepTimer = undefined;
      if (this.#whenIdle.length > 0) this.#becomeIdle();
    }
  }

  /** The script serves from now on: timers that were started while it was loaded begin, after `holdMs` at the earliest. */
  serve(holdMs = 0): void {
    this.timers.begin(holdMs);
  }

  /** Resolves when no run is left. No exchange may come any more; timers end, those that run within `graceMs`. */
  retire(graceMs: number): Promise<void> {
    this.timers.retire(graceMs);
    for (const run of this.#runs) run.retire?.();
    return this.idle();
  }

  /** Resolves when no run is left; new ones must not be started any more. */
  idle(): Promise<void> {
    if (this.#runs.size === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#whenIdle.push(resolve);
    });
  }

  #becomeIdle(): void {
    for (const resolve of this.#whenIdle.splice(0)) resolve();
  }

  /** Ends everything now: exchanges get 503, files are closed, the VM is freed. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#options.counters.add('states', -1);
    clearTimeout(this.#collectTimer);
    clearInterval(this.#sweepTimer);
    this.timers.close();
    for (const run of [...this.#runs]) run.cancel(503);
    this.scheduler.close();
    this.files.destroyAll();
    this.streams.destroyAll();
    this.#scope.close();
  }

  async #run(signal: AbortSignal | undefined): Promise<void> {
    const { script, fileSystem, rights, loadLimits = LOAD_LIMITS } = this.#options;
    const shape = new ScriptShape(this, this.#options.mode);
    if (rights.sandboxed) enterSandbox(this.state);
    // the one file that is opened for a script in the sandbox
    const own = new ChunkLoader(this.state, fileSystem, rights.allowsBytecode);
    own.loadFile(this.state.mainThread, nameInside(fileSystem, script), 'bt', script);
    await new ScriptLoad(this.scheduler, loadLimits).call(signal);
    this.#loading = false;
    this.#mode = shape.settle(this.#handlers.size > 0);
    // a script that needs that much from the start would be loaded again and again
    this.#overgrown = this.#hasOvergrown();
    if (this.files.mayBeForgotten(this.#runs)) this.#collectSoon();
    if (this.#mode === 'lhttpd' && this.#handlers.size === 0) this.#hasNoHandler();
  }

  /** Every path would get 404: most likely a slip, unless somebody has said otherwise, or timers do what there is to do. */
  #hasNoHandler(): void {
    const { mode, prefix, script } = this.#options;
    if (mode === undefined && this.timers.count === 0)
      throw new ScriptError(
        'the script neither registers a handler nor returns a function nor defines handle_request (--mode lhttpd serves it all the same)',
      );
    if (this.timers.count === 0)
      this.logger.warn('Script registered no handler', { mapping: prefix, script });
  }

  #invoke(handler: HandlerFunction, limits: HandlerOptions, exchange: Exchange, route: Route): void {
    if (this.#closed) {
      exchange.reset(503);
      return;
    }
    const invocation = new Invocation(this, exchange, route, limits);
    this.runStarted(invocation);
    invocation.start(handler);
    this.watchRuns();
  }

  #hasOvergrown(): boolean {
    return this.state.memory.size > this.#options.memoryBytesMax * OVERGROWN_SHARE;
  }

  /** Whoever writes to the log pays for it, unless nobody calls: a file that is closed with its state has a last line. */
  #pay(line: string): void {
    if (this.scheduler.current !== undefined && !this.#closed)
      this.scheduler.guard.pay(line.length + UNITS_PER_LINE);
  }

  /** Writes a line of the script, bytes, to the log. */
  log(level: LogLevel, line: string): void {
    this.#pay(line);
    this.logger[level](readable(line), {
      mapping: this.#options.prefix,
      request: currentRun(this.scheduler)?.requestId,
    });
  }

  #warn(line: string): void {
    this.#pay(line);
    this.logger.warn(`Lua warning: ${readable(line)}`, {
      mapping: this.#options.prefix,
      request: currentRun(this.scheduler)?.requestId,
    });
  }

  /** Files nobody closed are closed by Lua's collector; a handler that forgets them must not run out of descriptors. */
  #collectSoon(): void {
    if (this.#collectTimer !== undefined || this.#closed) return;
    this.#collectTimer = setTimeout(() => {
      this.#collectTimer = undefined;
      this.#collect();
    }, this.#collectDelayMs);
    this.#collectTimer.unref();
  }

  #collect(): void {
    const { state } = this;
    const L = state.mainThread;
    const before = threadCpuMs();
    state.pushReference(L, this.#collectGarbage);
    try {
      this.scheduler.call(0, 0, COLLECT_LIMIT_MS);
      this.files.collected(this.#runs);
    } catch (error) {
      this.logger.warn('Garbage collection failed', {
        error: messageOf(error),
        mapping: this.#options.prefix,
      });
    }
    this.#collectDelayMs = Math.max(COLLECT_DELAY_MS, (threadCpuMs() - before) / COLLECT_SHARE);
  }

  /** Ends runs that have been silent, or gone on, for too long. */
  #sweep(): void {
    const now = performance.now();
    for (const run of this.#runs) {
      run.checkTime(now);
      // those that end may have much to close; the rest is looked at the next time
      if (isRoundFull()) return;
    }
  }

  /** The VM is lost. The one at fault has been told already; the others get 503. */
  #abandon(reason: Error): void {
    this.#closed = true;
    this.#options.counters.add('states', -1);
    clearTimeout(this.#collectTimer);
    clearInterval(this.#sweepTimer);
    this.logger.error('State given up', {
      mapping: this.#options.prefix,
      reason: reason instanceof VmAbandoned ? reason.message : (reason.stack ?? reason.message),
      runs: this.#runs.size,
    });
    this.timers.close();
    const unbegun: Exchange[] = [];
    for (const run of [...this.#runs]) {
      const exchange = run.withdraw?.();
      if (exchange === undefined) run.cancel(503);
      else unbegun.push(exchange);
    }
    this.files.destroyAll();
    this.streams.destroyAll();
    this.#scope.close();
    this.#becomeIdle();
    this.#watch.abandoned(this);
    // nothing of them is lost with the state: they wait for the next one
    for (const exchange of unbegun) this.dispatcher.dispatch(exchange);
  }
}

function handlerLimit(text: string): GatewayError {
  return new GatewayError('LGW_HANDLER_LIMIT', `Cannot register the handler: ${text}`, { luaCode: 'limit' });
}

/** Bytes of a script as text for people: UTF-8, unless they are something else. */
function readable(bytes: string): string {
  if (bytes.length > MESSAGE_BYTES_MAX) return `${readable(bytes.slice(0, MESSAGE_BYTES_MAX))}…`;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: ASCII is what it looks for
  if (/^[\x00-\x7f]*$/.test(bytes)) return bytes;
  const buffer = Buffer.from(bytes, 'latin1');
  return isUtf8(buffer) ? buffer.toString() : bytes;
}
