/** What moves bytes for a script tells its run, so that a run that moves them is not taken for a silent one. */
import type { Continuation } from '../../lua/coroutine.ts';
import type { CoroutineScheduler } from '../../lua/coroutine-scheduler.ts';
import type { LuaThread } from '../../lua/lua-exports.ts';
import { currentRun } from '../run/lua-run.ts';
import type { Arrived } from '../run/run-progress.ts';

/** Notes that the code which calls now has moved bytes. */
export function noteMoved(scheduler: CoroutineScheduler, bytes: number): void {
  const run = currentRun(scheduler);
  if (run !== undefined) run.progress.moved += bytes;
}

/** Suspends as `Coroutine.wait` does, where bytes are waited for: as long as they come the run is not silent. */
export function waitForBytes(
  scheduler: CoroutineScheduler,
  L: LuaThread,
  arrived: Arrived,
  next: Continuation,
  cancel: () => void,
): number {
  const progress = currentRun(scheduler)?.progress;
  progress?.await(arrived);
  return scheduler.running.wait(
    L,
    (T) => {
      progress?.done(arrived);
      return next(T);
    },
    () => {
      progress?.done(arrived);
      cancel();
    },
  );
}
