/** What Lua gets for what may happen: `nil, message, code`. */
import { GatewayError } from '../base/errors.ts';
import type { HostFunction } from './host-functions.ts';
import type { LuaThread } from './lua-exports.ts';
import type { State } from './state.ts';

/** The message, as text for people, and the code that scripts compare (docs/errors.md). */
export interface Failure {
  readonly message: string;
  readonly luaCode: string;
}

/** Pushes the three values, and returns their number. */
export function pushFailure(state: State, L: LuaThread, { message, luaCode }: Failure): number {
  state.exports.lua_pushnil(L);
  state.pushMessage(L, message);
  state.pushString(L, luaCode);
  return 3;
}

/** The function, of which a GatewayError that `run` throws is a result and no misuse: a key from a file, a lock, a full queue. */
export function returningFailures(state: State, run: HostFunction): HostFunction {
  return (L) => {
    try {
      return run(L);
    } catch (error) {
      if (error instanceof GatewayError) return pushFailure(state, L, error);
      throw error;
    }
  };
}
