/** What Lua gets for what may happen: `nil, message, code`. */
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
