/** Waits that leave nothing behind, however the run that waits comes to its end. */
import type { Continuation } from '../../lua/coroutine.ts';
import type { CoroutineScheduler } from '../../lua/coroutine-scheduler.ts';
import type { LuaThread } from '../../lua/lua-exports.ts';
import { currentScope } from './lua-run.ts';

/**
 * Suspends the calling host function as `Coroutine.wait` does. Unless `next` comes first, `drop` is called once, at the
 * latest with the end of the run or the load: a limit, or the loss of the state, may come between what was waited for and the script.
 */
export function waitInScope(
  scheduler: CoroutineScheduler,
  L: LuaThread,
  next: Continuation,
  drop: () => void,
): number {
  const scope = currentScope(scheduler);
  scope?.add(drop);
  return scheduler.running.wait(
    L,
    (T) => {
      scope?.remove(drop);
      return next(T);
    },
    () => {
      scope?.remove(drop);
      drop();
    },
  );
}
