/**
 * Runs the top level of a script: a coroutine that may wait for files and programs while others run, within a time for
 * computing and one for all of it.
 */
import { Scope } from '../base/scope.ts';
import { type Coroutine, type CoroutineOwner, type CpuBudget, cpuBudget } from '../lua/coroutine.ts';
import type { CoroutineScheduler } from '../lua/coroutine-scheduler.ts';
import type { LuaThread } from '../lua/lua-exports.ts';
import { ScriptError } from '../lua/state.ts';

export interface LoadLimits {
  /** Processor time, ms. */
  readonly cpuMs: number;
  /** All its time, ms. */
  readonly timeMs: number;
}

/**
 * What a script may take to load. The time ends before the supervisor gives up a worker that does not answer (30 s), so
 * that somebody hears where the script stood.
 */
export const LOAD_LIMITS: LoadLimits = { cpuMs: 10_000, timeMs: 25_000 };

export class ScriptLoad implements CoroutineOwner {
  /** What ends with the load at the latest, as an operation that somebody waits for. */
  readonly scope: Scope = new Scope();
  readonly #scheduler: CoroutineScheduler;
  readonly #limits: LoadLimits;
  readonly #budget: CpuBudget;
  readonly #ended: Promise<void>;
  #resolve!: () => void;
  #reject!: (error: ScriptError) => void;
  #coroutine: Coroutine | undefined;

  constructor(scheduler: CoroutineScheduler, limits: LoadLimits) {
    this.#scheduler = scheduler;
    this.#limits = limits;
    this.#budget = cpuBudget(limits.cpuMs);
    this.#ended = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  /**
   * Calls the function on top of the main thread's stack; its first result takes its place. Throws ScriptError for an
   * error, for a limit, and when `signal` ends it.
   */
  async call(signal: AbortSignal | undefined): Promise<void> {
    const { exports: x, mainThread } = this.#scheduler.state;
    const { timeMs } = this.#limits;
    const giveUp = (): void => this.#giveUp('The load of the script was given up');
    const timer = setTimeout(
      () => this.#giveUp(`Time limit reached: the script has not been loaded after ${timeMs} ms`),
      timeMs,
    );
    signal?.addEventListener('abort', giveUp);
    try {
      this.#coroutine = this.#scheduler.start(
        this,
        (L) => {
          x.lua_xmove(mainThread, L, 1);
          return 0;
        },
        this.#budget,
      );
      if (signal?.aborted === true) giveUp();
      await this.#ended;
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener('abort', giveUp);
      this.scope.close();
    }
  }

  finished(L: LuaThread): void {
    const { exports: x, mainThread } = this.#scheduler.state;
    x.lua_settop(L, 1);
    x.lua_xmove(L, mainThread, 1);
    this.#resolve();
  }

  failed(message: string): void {
    this.#reject(new ScriptError(message));
  }

  suspended(): void {
    // nobody has to be told
  }

  /** Called where it waits: between two slices, or for something. */
  #giveUp(message: string): void {
    const told = this.#coroutine?.traceback(message) ?? message;
    this.#coroutine?.kill();
    this.#reject(new ScriptError(told));
  }
}
