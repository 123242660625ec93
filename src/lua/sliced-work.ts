/** Lets a host function that may have much to compute do so in slices, within the CPU limit of whoever called it. */
import type { CoroutineScheduler } from './coroutine-scheduler.ts';
import type { LuaThread } from './lua-exports.ts';
import { takeSlice } from './turns.ts';

/** Works for a fraction of a millisecond; true when nothing is left to do. */
export type Step = (L: LuaThread) => boolean;

/**
 * Calls `step` until it says true, then `done` in place of the host function. Between steps others get their turns,
 * where the caller can wait; what stands on the stack stays there. At the CPU limit it returns at once: the caller
 * ends at its next instruction. `cancel` is called when `done` will not be.
 */
export function workInSlices(
  scheduler: CoroutineScheduler,
  L: LuaThread,
  step: Step,
  done: (L: LuaThread) => number,
  cancel?: () => void,
): number {
  while (!step(L)) {
    const interruption = scheduler.guard.hostWorked();
    if (interruption === 'limit') {
      cancel?.();
      return 0;
    }
    if (interruption !== 'slice' || !scheduler.canWait(L)) continue;
    const { exports: x } = scheduler.state;
    const top = x.lua_gettop(L);
    const coroutine = scheduler.running;
    const cancelTurn = takeSlice(coroutine.turnOwner, coroutine.goOn);
    return coroutine.wait(
      L,
      (T) => {
        x.lua_settop(T, top);
        return workInSlices(scheduler, T, step, done, cancel);
      },
      () => {
        cancelTurn();
        cancel?.();
      },
    );
  }
  return done(L);
}
