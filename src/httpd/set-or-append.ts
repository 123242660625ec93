/** How a table gets values whose names may come again: the values of one name are a list then. */
import { LUA_TYPE, type LuaThread } from '../lua/lua-exports.ts';
import type { State } from '../lua/state.ts';

/** On the stack are table, name and value: sets it, or appends it to what the table has under that name; pops name and value. */
export function setOrAppend(state: State, L: LuaThread): void {
  const { exports: x } = state;
  x.lua_pushvalue(L, -2);
  const type = x.lua_rawget(L, -4);
  if (type === LUA_TYPE.nil) {
    state.pop(L);
    x.lua_rawset(L, -3);
    return;
  }
  if (type !== LUA_TYPE.table) {
    // table, name, value, old → table, name, value, list
    x.lua_createtable(L, 2, 0);
    x.lua_rotate(L, -2, 1);
    x.lua_rawseti(L, -2, 1n);
    x.lua_pushvalue(L, -3);
    x.lua_pushvalue(L, -2);
    x.lua_rawset(L, -6);
  }
  // table, name, value, list
  x.lua_rotate(L, -2, 1);
  x.lua_rawseti(L, -2, x.lua_rawlen(L, -2) + 1n);
  state.pop(L, 2);
}
