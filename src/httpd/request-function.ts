/** `httpd.request`: the request that is being answered by whatever calls. */
import type { HostFunction } from '../lua/host-functions.ts';
import type { ScriptContext } from '../script/context/script-context.ts';
import { checkArgumentCount } from '../script/run/argument-count.ts';
import { currentRun } from '../script/run/lua-run.ts';

/** `request()`: the table of the request, the same for all of a run; nil where there is none. */
export function createRequest({ state, scheduler }: ScriptContext): HostFunction {
  return (L) => {
    checkArgumentCount(state, L, 'request', 0);
    const run = currentRun(scheduler);
    if (run?.pushRequest === undefined) state.exports.lua_pushnil(L);
    else run.pushRequest(L);
    return 1;
  };
}
