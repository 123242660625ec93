/** Reads times that scripts give in seconds, with one upper bound for all of them. */
import { LuaError } from '../../lua/lua-error.ts';
import { LUA_TYPE, type LuaThread, NULL } from '../../lua/lua-exports.ts';
import type { State } from '../../lua/state.ts';
import { wrongType } from './option-table.ts';

/** The longest sleep, delay and period: a day. A timer of Node ends at 24.8 days and fires at once beyond. */
export const SECONDS_MAX = 86_400;
const MS_PER_SECOND = 1000;

/** The argument `n` in milliseconds, rounded up; raises when it is no number from 0 to a day. */
export function checkSeconds(state: State, L: LuaThread, n: number): number {
  state.exports.luaL_checknumber(L, n);
  const seconds = state.exports.lua_tonumberx(L, n, NULL);
  // written so that NaN is refused too
  if (!(seconds >= 0)) return state.argumentError(L, n, 'seconds must not be negative');
  if (seconds > SECONDS_MAX) return state.argumentError(L, n, `${SECONDS_MAX} seconds at most`);
  return Math.ceil(seconds * MS_PER_SECOND);
}

/** The value on top of the stack in milliseconds, at least one, for the option `name`; longer than a day is no limit. */
export function secondsOption(state: State, L: LuaThread, name: string): number {
  const { exports: x } = state;
  if (x.lua_type(L, -1) !== LUA_TYPE.number) throw wrongType(state, L, name, 'a number of seconds');
  const value = x.lua_tonumberx(L, -1, NULL);
  if (!(value > 0)) throw new LuaError(`option "${name}" is ${value} (a number above 0 was expected)`);
  return value > SECONDS_MAX ? Number.POSITIVE_INFINITY : Math.max(1, value * MS_PER_SECOND);
}
