/** The error of a function that has to wait, called where it cannot. */
import type { CoroutineScheduler } from '../lua/coroutine.ts';
import { LuaError } from '../lua/lua-error.ts';

/** `action`: what cannot be done, "run a program". */
export function cannotWait(scheduler: CoroutineScheduler, action: string): LuaError {
  return new LuaError(
    scheduler.current === undefined
      ? `cannot ${action} while a script is loaded: a handler or a timer can`
      : `cannot ${action} here: a yield cannot cross this call`,
  );
}
