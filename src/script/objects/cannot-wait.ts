/** The error of a function that has to wait, called where it cannot. */
import { WAIT_REFUSED } from '../../lua/coroutine.ts';
import { LuaError } from '../../lua/lua-error.ts';

/** `action`: what cannot be done, "run a program". */
export function cannotWait(action: string): LuaError {
  return new LuaError(`cannot ${action} here: ${WAIT_REFUSED}`);
}
