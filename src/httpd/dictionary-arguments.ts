/** Reads what dictionaries are opened and called with, and pushes lists of keys. */
import { SHARED_NAME } from '../base/shared-size.ts';
import { LuaError } from '../lua/lua-error.ts';
import { LUA_TYPE, type LuaThread } from '../lua/lua-exports.ts';
import type { State } from '../lua/state.ts';
import { booleanOption, readOptionTable } from '../script/run/option-table.ts';
import { secondsOption } from '../script/run/seconds.ts';
import { CALL_TIMEOUT_MS, CALL_TIMEOUT_MS_MAX } from '../store/store-limits.ts';
import type { CallSettings } from '../store/stored-dictionary.ts';

const MS_PER_SECOND = 1000;
const DEFAULTS: CallSettings = { near: false, stale: false, timeoutMs: CALL_TIMEOUT_MS };

/** The first argument, a name of a dictionary. */
export function takeName(state: State, L: LuaThread): string {
  const name = state.checkString(L, 1);
  if (!SHARED_NAME.test(name))
    state.argumentError(L, 1, '1 to 63 of letters, digits, "_", "." and "-" expected');
  return name;
}

/** The time to live in milliseconds; 0 where none is given. */
export function takeTtl(state: State, L: LuaThread, index: number): number {
  const { exports: x } = state;
  if (x.lua_type(L, index) <= LUA_TYPE.nil) return 0;
  const seconds = x.luaL_checknumber(L, index);
  if (!(seconds >= 0 && seconds < Number.POSITIVE_INFINITY))
    state.argumentError(L, index, 'seconds, 0 or more, expected');
  return seconds * MS_PER_SECOND;
}

/** The options of a dictionary, the second argument. They count where it lives in a store. */
export function takeSettings(state: State, L: LuaThread): CallSettings {
  // handlers open dictionaries at each request, most without options
  if (state.exports.lua_type(L, 2) <= LUA_TYPE.nil) return DEFAULTS;
  const settings = { ...DEFAULTS };
  readOptionTable(state, L, 2, 'httpd.shared', {
    near: (name) => {
      settings.near = booleanOption(state, L, name);
    },
    stale: (name) => {
      settings.stale = booleanOption(state, L, name);
    },
    timeout: (name) => {
      settings.timeoutMs = secondsOption(state, L, name);
      if (settings.timeoutMs > CALL_TIMEOUT_MS_MAX)
        throw new LuaError(`option "timeout" is above its limit of ${CALL_TIMEOUT_MS_MAX / MS_PER_SECOND} s`);
    },
  });
  return settings;
}

/** Pushes a list of keys, texts of bytes. */
export function pushKeys(state: State, L: LuaThread, keys: readonly string[]): number {
  const { exports: x } = state;
  x.lua_createtable(L, keys.length, 0);
  for (const [i, key] of keys.entries()) {
    state.pushString(L, key);
    x.lua_rawseti(L, -2, BigInt(i + 1));
  }
  return 1;
}
