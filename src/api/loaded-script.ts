/** One script in one state: its handlers, the libraries it sees, and the invocations that run in it. */

import { isUtf8 } from 'node:buffer';
import type { Counters } from '../base/counters.ts';
import type { GatewayError } from '../base/errors.ts';
import type { LogFields, Logger } from '../base/logger.ts';
import type { FileSystem } from '../file/file-system.ts';
import { OperationOwner } from '../file/operation-queue.ts';
import type { ProcessTable } from '../file/process-table.ts';
import type { Dispatcher } from '../http/dispatcher.ts';
import type { Exchange } from '../http/exchange.ts';
import type { Handler, Route } from '../http/handler.ts';
import { CoroutineScheduler } from '../lua/coroutine.ts';
import { installCoroutineLibrary } from '../lua/coroutine-library.ts';
import { LazyTables } from '../lua/lazy-tables.ts';
import type { LuaThread } from '../lua/lua-exports.ts';
import { type Reference, State } from '../lua/state.ts';
import { installBasicLibrary } from './basic-library.ts';
import { ByteTransfer } from './byte-transfer.ts';
import { FileMethods } from './file-methods.ts';
import { HeadCache } from './head-cache.ts';
import { installHttpdModule } from './httpd-module.ts';
import { Invocation } from './invocation.ts';
import { IoLibrary } from './io-library.ts';
import { LuaFiles } from './lua-files.ts';
import { installOsLibrary } from './os-library.ts';
import { RateLimit } from './rate-limit.ts';
import { RequestTables } from './request-tables.ts';
import { readScript } from './script-file.ts';

export interface ScriptOptions {
  readonly prefix: string;
  /** As given on the command line; opened through the file system, so inside its root. */
  readonly script: string;
  readonly module: WebAssembly.Module;
  readonly fileSystem: FileSystem;
  readonly processes: ProcessTable;
  readonly dispatcher: Dispatcher;
  readonly logger: Logger;
  readonly counters: Counters;
  /** The port the listener was bound to; 0 = tell each connection's own. */
  readonly serverPort: number;
  readonly workerId: number;
}

/** Error reports of one script in full per second; the rest are counted, so that a broken script cannot flood the log. */
const REPORTS_PER_SECOND_MAX = 20;
/** Files a handler left open are collected after this time at the earliest. */
const COLLECT_DELAY_MS = 50;
/** A collection takes at most this share of the worker's time. */
const COLLECT_SHARE = 0.1;

/** A registered function. */
export interface HandlerFunction {
  readonly reference: Reference;
  /** It is called with the facts of a request, for its two tables; otherwise with nothing. */
  readonly takesTables: boolean;
}

export class LoadedScript {
  readonly state: State;
  readonly scheduler: CoroutineScheduler;
  readonly lazyTables: LazyTables;
  readonly heads: HeadCache;
  readonly transfer: ByteTransfer;
  readonly files: LuaFiles;
  readonly logger: Logger;
  readonly dispatcher: Dispatcher;
  readonly #options: ScriptOptions;
  readonly #handlers = new Map<string, Handler>();
  readonly #invocations = new Set<Invocation>();
  readonly #collectGarbage: Reference;
  readonly #reports = new RateLimit(REPORTS_PER_SECOND_MAX);
  #collectTimer: NodeJS.Timeout | undefined;
  /** Wait before the next collection: grows with what the last one took. */
  #collectDelayMs = COLLECT_DELAY_MS;
  #whenIdle: (() => void) | undefined;
  #closed = false;

  /** Opens a state, installs the libraries and runs the script; throws ScriptError. */
  static async load(options: ScriptOptions): Promise<LoadedScript> {
    const state = await State.create(options.module);
    const loaded = new LoadedScript(state, options);
    try {
      loaded.#run();
    } catch (error) {
      loaded.close();
      throw error;
    }
    return loaded;
  }

  private constructor(state: State, options: ScriptOptions) {
    this.state = state;
    this.#options = options;
    this.logger = options.logger;
    this.dispatcher = options.dispatcher;
    this.scheduler = new CoroutineScheduler(state);
    const { exports: x, memory, mainThread: L } = state;
    x.lua_getglobal(L, memory.constant('collectgarbage'));
    this.#collectGarbage = state.keep(L);
    installCoroutineLibrary(this.scheduler);
    const tables = new RequestTables(state, options);
    this.lazyTables = new LazyTables(
      state,
      (T, facts, argument) => tables.fill(T, facts, argument),
      (T, facts, argument, name) => tables.peek(T, facts, argument, name),
    );
    this.heads = new HeadCache(state);
    this.transfer = new ByteTransfer(this.scheduler);
    this.files = new LuaFiles(this.scheduler, this.transfer);
    const print = (line: string): void => this.#print(line);
    const { fileSystem, processes } = options;
    new IoLibrary({
      scheduler: this.scheduler,
      files: this.files,
      methods: new FileMethods(this.scheduler, this.transfer, this.files),
      fileSystem,
      processes,
      operationOwner: () => this.#currentInvocation()?.operationOwner ?? new OperationOwner(),
      print,
      // the pipe itself stays with whoever else knows it: they read to its end, or close it
      endWithExchange: (file) => this.#currentInvocation()?.scope.add(() => file.process?.kill()),
    });
    installOsLibrary(this.scheduler, fileSystem, processes, this.files);
    installBasicLibrary(this.scheduler, fileSystem, print);
    installHttpdModule(this);
  }

  get workerId(): number {
    return this.#options.workerId;
  }

  /** The handler registered under exactly `name`. */
  find(name: string): Handler | undefined {
    return this.#handlers.get(name);
  }

  /** Registers the function on top of the stack. The first registration of a name holds. */
  registerHandler(name: string, L: LuaThread): void {
    if (this.#handlers.has(name)) {
      this.logger.warn('Handler registered twice; the first one stays', {
        mapping: this.#options.prefix,
        name,
      });
      return;
    }
    const takesTables = this.lazyTables.wrap(L);
    const handler: HandlerFunction = { reference: this.state.keep(L), takesTables };
    this.#handlers.set(name, { handle: (exchange, route) => this.#invoke(handler, exchange, route) });
  }

  /** Answers a pushed exchange after the Lua code that promised it has returned. */
  dispatchLater(exchange: Exchange): void {
    setImmediate(() => this.dispatcher.dispatch(exchange));
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

  invocationEnded(invocation: Invocation): void {
    this.#invocations.delete(invocation);
    this.#options.counters.add('coroutines', -1);
    if (this.files.mayBeForgotten) this.#collectSoon();
    if (this.#invocations.size === 0) this.#whenIdle?.();
  }

  /** Resolves when no invocation is left; new ones must not be started any more. */
  idle(): Promise<void> {
    if (this.#invocations.size === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#whenIdle = resolve;
    });
  }

  /** Ends everything now: exchanges get 503, files are closed, the VM is freed. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#collectTimer);
    for (const invocation of [...this.#invocations]) invocation.cancel(503);
    this.state.close();
    this.files.destroyAll();
  }

  #run(): void {
    const { script, fileSystem } = this.#options;
    const { state } = this;
    state.load(state.mainThread, readScript(fileSystem, script), `@${script}`);
    state.call(state.mainThread, 0, 0);
    if (this.#handlers.size === 0) {
      this.logger.warn('Script registered no handler', { mapping: this.#options.prefix, script });
    }
  }

  #invoke(handler: HandlerFunction, exchange: Exchange, route: Route): void {
    if (this.#closed) {
      exchange.reset(503);
      return;
    }
    const invocation = new Invocation(this, exchange, route);
    this.#invocations.add(invocation);
    this.#options.counters.add('coroutines', 1);
    invocation.start(handler);
  }

  #currentInvocation(): Invocation | undefined {
    const owner = this.scheduler.current?.owner;
    return owner instanceof Invocation ? owner : undefined;
  }

  #print(line: string): void {
    this.logger.info(readable(line), {
      mapping: this.#options.prefix,
      request: this.#currentInvocation()?.requestId,
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
    const before = performance.now();
    state.pushReference(L, this.#collectGarbage);
    state.call(L, 0, 0);
    this.files.collected();
    this.#collectDelayMs = Math.max(COLLECT_DELAY_MS, (performance.now() - before) / COLLECT_SHARE);
  }
}

/** Bytes of a script as text for people: UTF-8, unless they are something else. */
function readable(bytes: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: ASCII is what it looks for
  if (/^[\x00-\x7f]*$/.test(bytes)) return bytes;
  const buffer = Buffer.from(bytes, 'latin1');
  return isUtf8(buffer) ? buffer.toString() : bytes;
}
