/** How many arguments a function of `httpd` takes: Lua's own functions pass over further ones, ours name the mistake. */
import { LuaError } from '../../lua/lua-error.ts';
import type { LuaThread } from '../../lua/lua-exports.ts';
import type { State } from '../../lua/state.ts';

/** The number of arguments of the function that is called; raises when it is not from `min` to `max`. */
export function checkArgumentCount(
  { exports: x }: State,
  L: LuaThread,
  name: string,
  min: number,
  max: number = min,
): number {
  const count = x.lua_gettop(L);
  if (count >= min && count <= max) return count;
  throw new LuaError(`wrong number of arguments to '${name}' (${describe(min, max)} expected, got ${count})`);
}

function describe(min: number, max: number): string {
  if (min === max) return String(min);
  if (min === 0) return `at most ${max}`;
  return max === min + 1 ? `${min} or ${max}` : `${min} to ${max}`;
}
