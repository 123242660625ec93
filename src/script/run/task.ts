/** A function that runs beside the one that spawned it, as a part of the same run, and those that wait for its end. */
import type { Coroutine, LimitReached } from '../../lua/coroutine.ts';
import type { LuaThread } from '../../lua/lua-exports.ts';
import { takeTurn } from '../../lua/turns.ts';
import type { LuaRun, RunOwner } from './lua-run.ts';

/** Hears of the end of tasks. */
export interface TaskWatch {
  /** Results are on the stack of `L`, all of it. */
  taskFinished(task: Task, L: LuaThread): void;
  /** `message` with a traceback. */
  taskFailed(task: Task, message: string, limit: LimitReached | undefined): void;
  /** However it ended; called once, after one of the others or after a kill. */
  taskEnded(task: Task): void;
}

export class Task implements RunOwner {
  readonly number: number;
  readonly run: LuaRun;
  readonly #watch: TaskWatch;
  #coroutine: Coroutine | undefined;
  #ended = false;
  #cancelTurn: (() => void) | undefined;
  readonly #waiters = new Set<() => void>();

  constructor(number: number, run: LuaRun, watch: TaskWatch) {
    this.number = number;
    this.run = run;
    this.#watch = watch;
  }

  get turnOwner(): object {
    return this.run.turnOwner;
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** Starts the coroutine, which has been prepared for this task, when it is its turn. */
  start(coroutine: Coroutine): void {
    this.#coroutine = coroutine;
    this.run.tasks.add(this);
    this.#cancelTurn = takeTurn(this.turnOwner, coroutine.begin);
  }

  /** Calls `ended` once when the task has; not before this returns. */
  addWaiter(ended: () => void): void {
    this.#waiters.add(ended);
  }

  removeWaiter(ended: () => void): void {
    this.#waiters.delete(ended);
  }

  suspended(): void {
    this.run.suspended();
  }

  finished(L: LuaThread): void {
    this.#ended = true;
    this.#watch.taskFinished(this, L);
    this.#end();
  }

  failed(message: string, limit: LimitReached | undefined): void {
    this.#ended = true;
    this.#watch.taskFailed(this, message, limit);
    this.#end();
  }

  /** Ends it, at once when it waits, with what it has to close; `closeLimitMs`: CPU time for that. */
  kill(closeLimitMs?: number): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#cancelTurn?.();
    try {
      this.#coroutine?.kill(closeLimitMs);
    } finally {
      this.#end();
    }
  }

  #end(): void {
    this.#coroutine = undefined;
    this.#watch.taskEnded(this);
    for (const ended of [...this.#waiters]) ended();
    this.#waiters.clear();
    this.run.tasks.remove(this);
  }
}
