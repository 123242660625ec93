/** `httpd.hook`: what a script wants to be called for, beside requests. */
import type { HostFunction } from '../lua/host-functions.ts';
import { LuaError } from '../lua/lua-error.ts';
import { LUA_TYPE, type LuaThread } from '../lua/lua-exports.ts';
import { type Failure, pushFailure } from '../lua/push-failure.ts';
import { HOOK_PHASES, HOOKS_MAX, type HookPhase } from '../script/context/hooks.ts';
import type { ScriptContext } from '../script/context/script-context.ts';
import { checkArgumentCount } from '../script/run/argument-count.ts';
import { installHeadHooks } from './head-hooks.ts';

/** Bytes of a name that a message shows. */
const NAME_BYTES_MAX = 40;

/** `hook(phase, fn)`: true, or nil, message, code. */
export function createHook(script: ScriptContext): HostFunction {
  const { state, hooks } = script;
  const { exports: x } = state;
  installHeadHooks(script);

  return (L) => {
    checkArgumentCount(state, L, 'hook', 2);
    const phase = readPhase(L);
    x.luaL_checktype(L, 2, LUA_TYPE.function);
    const failure = phase === 'start' ? script.timers.startAtOnce(L) : add(phase, L);
    if (failure !== undefined) return pushFailure(state, L, failure);
    x.lua_pushboolean(L, 1);
    return 1;
  };

  function readPhase(L: LuaThread): HookPhase {
    const name = state.checkString(L, 1);
    const phase = HOOK_PHASES.find((known) => known === name);
    if (phase !== undefined) return phase;
    const names = HOOK_PHASES.map((known) => `"${known}"`).join(', ');
    return state.argumentError(L, 1, `one of ${names} expected, got "${name.slice(0, NAME_BYTES_MAX)}"`);
  }

  /** The function is on top of the stack. */
  function add(phase: HookPhase, L: LuaThread): Failure | undefined {
    if (hooks.refusal !== undefined && hooks.isForRequests(phase)) throw new LuaError(hooks.refusal);
    const count = hooks.count(phase);
    if (count >= HOOKS_MAX)
      return {
        message: `Cannot add a hook "${phase}": there are ${count} and the limit is ${HOOKS_MAX}`,
        luaCode: 'limit',
      };
    hooks.add(phase, L);
    return undefined;
  }
}
