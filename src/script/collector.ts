/** Collects the garbage of a state when handlers have left files open: Lua's own collector may come too late for descriptors. */
import { messageOf } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import { threadCpuMs } from '../base/thread-clock.ts';
import type { CoroutineScheduler } from '../lua/coroutine-scheduler.ts';
import type { Reference } from '../lua/state.ts';
import type { LuaFiles } from './objects/lua-files.ts';
import type { RunTable } from './run/run-table.ts';

/** CPU time of one collection. */
const COLLECT_LIMIT_MS = 1000;
/** Files a handler left open are collected after this time at the earliest. */
const COLLECT_DELAY_MS = 50;
/** A collection takes at most this share of the worker's time. */
const COLLECT_SHARE = 0.1;

export class Collector {
  readonly #scheduler: CoroutineScheduler;
  readonly #files: LuaFiles;
  readonly #runs: RunTable;
  readonly #logger: Logger;
  readonly #mapping: string;
  readonly #collectGarbage: Reference;
  #timer: NodeJS.Timeout | undefined;
  /** Wait before the next collection: grows with what the last one took. */
  #delayMs = COLLECT_DELAY_MS;
  #closed = false;

  /** Has to be made while the global `collectgarbage` is Lua's own. */
  constructor(
    scheduler: CoroutineScheduler,
    files: LuaFiles,
    runs: RunTable,
    logger: Logger,
    mapping: string,
  ) {
    this.#scheduler = scheduler;
    this.#files = files;
    this.#runs = runs;
    this.#logger = logger;
    this.#mapping = mapping;
    const { exports: x, memory, mainThread: L } = scheduler.state;
    x.lua_getglobal(L, memory.constant('collectgarbage'));
    this.#collectGarbage = scheduler.state.keep(L);
  }

  collectSoon(): void {
    if (this.#timer !== undefined || this.#closed) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#collect();
    }, this.#delayMs);
    this.#timer.unref();
  }

  /** The state ends: nothing may call into it any more. */
  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }

  #collect(): void {
    const { state } = this.#scheduler;
    const before = threadCpuMs();
    state.pushReference(state.mainThread, this.#collectGarbage);
    try {
      this.#scheduler.call(0, 0, COLLECT_LIMIT_MS);
      this.#files.collected(this.#runs);
    } catch (error) {
      this.#logger.warn('Garbage collection failed', { error: messageOf(error), mapping: this.#mapping });
    }
    this.#delayMs = Math.max(COLLECT_DELAY_MS, (threadCpuMs() - before) / COLLECT_SHARE);
  }
}
