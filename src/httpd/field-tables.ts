/** Tables of fields that were received: names in lower case, found in any case. */
import { LUA_TYPE, type LuaThread } from '../lua/lua-exports.ts';
import { ARGUMENT_BYTES_MAX, type State } from '../lua/state.ts';

/** Pushes a table of names in lower case and values in turns. */
export type PushFields = (L: LuaThread, fields: readonly string[]) => void;

/** A field that came several times is joined by commas, but `set-cookie` is always a list. */
export function createFieldTables(state: State): PushFields {
  const { exports: x, mainThread: M } = state;
  x.lua_createtable(M, 0, 1);
  const methods = state.addFunctions({
    __index: (T) => {
      // debug.getmetatable gives it to everybody
      x.luaL_checktype(T, 1, LUA_TYPE.table);
      if (x.lua_type(T, 2) !== LUA_TYPE.string || Number(x.lua_rawlen(T, 2)) > ARGUMENT_BYTES_MAX) return 0;
      state.pushString(T, state.checkString(T, 2).toLowerCase());
      x.lua_rawget(T, 1);
      return 1;
    },
  });
  state.setFunctions(M, -1, methods);
  const metatable = state.keep(M);

  return (L, fields) => {
    const joined = new Map<string, string>();
    const cookies: string[] = [];
    for (let i = 0; i < fields.length; i += 2) {
      const name = fields[i] as string;
      const value = fields[i + 1] as string;
      if (name === 'set-cookie') cookies.push(value);
      else {
        const before = joined.get(name);
        joined.set(name, before === undefined ? value : `${before}, ${value}`);
      }
    }
    x.lua_createtable(L, 0, joined.size + 1);
    for (const [name, value] of joined) {
      state.pushString(L, name);
      state.pushString(L, value);
      x.lua_rawset(L, -3);
    }
    state.pushReference(L, metatable);
    x.lua_setmetatable(L, -2);
    if (cookies.length === 0) return;
    state.pushString(L, 'set-cookie');
    x.lua_createtable(L, cookies.length, 0);
    cookies.forEach((cookie, i) => {
      state.pushString(L, cookie);
      x.lua_rawseti(L, -2, BigInt(i + 1));
    });
    x.lua_rawset(L, -3);
  };
}
