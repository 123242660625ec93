/** Runs operations on names of files for the Lua function that asks: it waits where it can, else they run at once. */
import { FileError } from '../../file/file-error.ts';
import type { OperationOwner } from '../../file/operation-queue.ts';
import type { Cancellable } from '../../file/task.ts';
import type { CoroutineScheduler } from '../../lua/coroutine-scheduler.ts';
import type { LuaThread } from '../../lua/lua-exports.ts';

/** To look at, make, remove or rename a file (200 µs). */
export const UNITS_PER_FILE = 40_000;

export interface FileOperation<Result> {
  /** Hands it to the pool, in the turns of `owner`. */
  readonly begin: (
    done: (error: FileError | undefined, result?: Result | undefined) => void,
    owner: OperationOwner,
  ) => Cancellable;
  /** Does it before it returns; throws FileError. */
  readonly sync: () => Result;
  /** Pushes what Lua gets, and returns the number of values; `result` is there where `error` is not. */
  readonly finish: (L: LuaThread, error: FileError | undefined, result: Result | undefined) => number;
}

export class FileOperations {
  readonly #scheduler: CoroutineScheduler;
  readonly #owner: () => OperationOwner;

  /** `owner`: who the operations that start now take turns for. */
  constructor(scheduler: CoroutineScheduler, owner: () => OperationOwner) {
    this.#scheduler = scheduler;
    this.#owner = owner;
  }

  /** The last thing that a host function does: returns what it has to return. */
  run<Result>(L: LuaThread, { begin, sync, finish }: FileOperation<Result>): number {
    const scheduler = this.#scheduler;
    scheduler.guard.pay(UNITS_PER_FILE);
    let failure: FileError | undefined;
    let made: Result | undefined;
    if (!scheduler.canWait(L)) {
      try {
        made = sync();
      } catch (error) {
        if (!(error instanceof FileError)) throw error;
        failure = error;
      }
      return finish(L, failure, made);
    }
    const coroutine = scheduler.running;
    const operation = begin((error, result) => {
      failure = error;
      made = result;
      coroutine.wake();
    }, this.#owner());
    return coroutine.wait(
      L,
      (thread) => finish(thread, failure, made),
      () => operation.cancel(),
    );
  }
}
