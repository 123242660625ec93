/** Reads a last table of options: each entry is handed on by name, an unknown one is misuse. */
import { LuaError } from '../../lua/lua-error.ts';
import { LUA_TYPE, type LuaThread, NULL } from '../../lua/lua-exports.ts';
import { ARGUMENT_BYTES_MAX, type State } from '../../lua/state.ts';

/** A longer name is none of ours, and is cut in the message (bytes). */
const NAME_BYTES_MAX = 100;

/** Reads one option, whose value is on top of the stack, and leaves the stack as it is. */
export type OptionReader = (name: string) => void;

/** Calls the reader of each option in the table at `index`, which may be absent; raises for a name that is none. */
export function readOptionTable(
  state: State,
  L: LuaThread,
  index: number,
  caller: string,
  readers: Readonly<Record<string, OptionReader>>,
): void {
  const { exports: x } = state;
  if (x.lua_type(L, index) <= LUA_TYPE.nil) return;
  x.luaL_checktype(L, index, LUA_TYPE.table);
  x.lua_pushnil(L);
  while (x.lua_next(L, index) !== 0) {
    const isName = x.lua_type(L, -2) === LUA_TYPE.string;
    const name = isName ? (state.toString(L, -2, NAME_BYTES_MAX) as string) : state.typeName(L, -2);
    const reader = isName && Object.hasOwn(readers, name) ? readers[name] : undefined;
    if (reader === undefined) throw new LuaError(`${caller} has no option "${name}"`);
    reader(name);
    state.pop(L);
  }
}

/** The value on top of the stack as a boolean; raises for anything else. */
export function booleanOption(state: State, L: LuaThread, name: string): boolean {
  const { exports: x } = state;
  if (x.lua_type(L, -1) === LUA_TYPE.boolean) return x.lua_toboolean(L, -1) !== 0;
  throw wrongType(state, L, name, 'a boolean');
}

/** The value on top of the stack as a whole number from 1 to `max`; raises for anything else. */
export function countOption(state: State, L: LuaThread, name: string, max: number): number {
  const { exports: x } = state;
  if (x.lua_type(L, -1) !== LUA_TYPE.number) throw wrongType(state, L, name, 'a number');
  const count = x.lua_tonumberx(L, -1, NULL);
  if (Number.isInteger(count) && count >= 1 && count <= max) return count;
  throw new LuaError(`option "${name}" is ${count} (a whole number from 1 to ${max} was expected)`);
}

/** The value on top of the stack as a string; raises for anything else. */
export function stringOption(
  state: State,
  L: LuaThread,
  name: string,
  bytesMax: number = ARGUMENT_BYTES_MAX,
): string {
  if (state.exports.lua_type(L, -1) !== LUA_TYPE.string) throw wrongType(state, L, name, 'a string');
  const size = Number(state.exports.lua_rawlen(L, -1));
  if (size > bytesMax) throw new LuaError(`option "${name}" has ${size} bytes and the limit is ${bytesMax}`);
  return state.toString(L, -1, bytesMax) as string;
}

export function wrongType(state: State, L: LuaThread, name: string, expected: string): LuaError {
  return new LuaError(`option "${name}" is a ${state.typeName(L, -1)} (${expected} was expected)`);
}
