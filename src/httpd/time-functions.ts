/** `httpd.now`, `httpd.date` and `httpd.parsedate`. */
import { formatHttpDate, httpDate, parseHttpDate } from '../http/semantics/http-date.ts';
import type { HostFunction } from '../lua/host-functions.ts';
import { LUA_TYPE, NULL } from '../lua/lua-exports.ts';
import type { ScriptContext } from '../script/context/script-context.ts';

const MS_PER_SECOND = 1000;
/** The years 0 and 10000, between which the form has its four digits. */
const DATE_SECONDS_MIN = -62_167_219_200;
const DATE_SECONDS_END = 253_402_300_800;
/** Bytes of a text that a message quotes. */
const QUOTED_BYTES_MAX = 40;

export function timeFunctions({ state }: ScriptContext): Record<string, HostFunction> {
  const { exports: x } = state;
  return {
    now: (L) => {
      x.lua_pushnumber(L, Date.now() / MS_PER_SECOND);
      return 1;
    },

    date: (L) => {
      if (x.lua_type(L, 1) <= LUA_TYPE.nil) {
        state.pushString(L, httpDate());
        return 1;
      }
      x.luaL_checknumber(L, 1);
      const seconds = Math.floor(x.lua_tonumberx(L, 1, NULL));
      if (!(seconds >= DATE_SECONDS_MIN && seconds < DATE_SECONDS_END))
        return state.argumentError(L, 1, 'time outside of the years 0 to 9999');
      state.pushString(L, formatHttpDate(seconds * MS_PER_SECOND));
      return 1;
    },

    parsedate: (L) => {
      const text = state.checkString(L, 1);
      const seconds = parseHttpDate(text);
      if (seconds !== undefined) {
        x.lua_pushinteger(L, BigInt(seconds));
        return 1;
      }
      x.lua_pushnil(L);
      state.pushString(
        L,
        `Cannot read the date: "${text.slice(0, QUOTED_BYTES_MAX)}" has none of HTTP's three forms`,
      );
      state.pushString(L, 'invalid');
      return 3;
    },
  };
}
