/** `httpd.sleep`: lets others run for a time, or for one turn. */
import type { HostFunction } from '../lua/host-functions.ts';
import { LuaError } from '../lua/lua-error.ts';
import { takeTurn } from '../lua/turns.ts';
import type { ScriptContext } from '../script/context/script-context.ts';
import { checkArgumentCount } from '../script/run/argument-count.ts';
import { currentRun } from '../script/run/lua-run.ts';
import { checkSeconds } from '../script/run/seconds.ts';

/** `httpd.sleep(seconds)`; no results. */
export function createSleep({ state, scheduler }: ScriptContext): HostFunction {
  return (L) => {
    checkArgumentCount(state, L, 'sleep', 1);
    const delayMs = checkSeconds(state, L, 1);
    if (currentRun(scheduler) === undefined)
      throw new LuaError("'sleep' called outside of a request or timer");
    if (!scheduler.canWait(L)) throw new LuaError('cannot sleep here: a yield cannot cross this call');
    const coroutine = scheduler.running;
    // many may wake at once: they take turns with everybody else
    let cancelTurn: (() => void) | undefined;
    const wake = (): void => {
      cancelTurn = takeTurn(coroutine.turnOwner, coroutine.goOn);
    };
    const timer = delayMs > 0 ? setTimeout(wake, delayMs) : undefined;
    if (timer === undefined) wake();
    return coroutine.wait(
      L,
      () => 0,
      () => {
        clearTimeout(timer);
        cancelTurn?.();
      },
    );
  };
}
