/** `httpd.json`: encode, decode, null and array. */

import type { HostFunction } from '../lua/host-functions.ts';
import { LIGHT_USERDATA } from '../lua/light-userdata.ts';
import { LuaError } from '../lua/lua-error.ts';
import { LUA_TYPE, type LuaThread } from '../lua/lua-exports.ts';
import { pushFailure } from '../lua/push-failure.ts';
import { workInSlices } from '../lua/sliced-work.ts';
import type { Reference } from '../lua/state.ts';
import type { ScriptContext } from '../script/context/script-context.ts';
import { booleanOption, readOptionTable } from '../script/run/option-table.ts';
import { JsonDecoder } from './json-decoder.ts';
import { JsonEncoder, type JsonOptions, type SortedBytes } from './json-encoder.ts';
import { JSON_TYPE_FIELD } from './json-limits.ts';

/** Keeps the metatable that all arrays of a state share which come from JSON. */
export function createArrayMetatable({ state }: ScriptContext): Reference {
  const { exports: x, memory, mainThread: L } = state;
  x.lua_createtable(L, 0, 1);
  state.pushString(L, 'array');
  x.lua_setfield(L, -2, memory.constant(JSON_TYPE_FIELD));
  return state.keep(L);
}

/** Pushes the table `httpd.json`. */
export function pushJsonModule(script: ScriptContext, arrayMetatable: Reference): void {
  const { state } = script;
  const { exports: x, memory, mainThread: L } = state;
  x.lua_createtable(L, 0, 4);
  state.setFunctions(L, -1, state.addFunctions(jsonFunctions(script, arrayMetatable)));
  x.lua_pushlightuserdata(L, LIGHT_USERDATA.jsonNull);
  x.lua_setfield(L, -2, memory.constant('null'));
}

function jsonFunctions(script: ScriptContext, arrayMetatable: Reference): Record<string, HostFunction> {
  const { state, scheduler } = script;
  const { exports: x } = state;
  const sortedBytes: SortedBytes = { held: 0 };

  function readOptions(L: LuaThread): JsonOptions {
    let pretty = false;
    let sorted = false;
    readOptionTable(state, L, 2, 'json.encode', {
      pretty: (name) => {
        pretty = booleanOption(state, L, name);
      },
      sorted: (name) => {
        sorted = booleanOption(state, L, name);
      },
    });
    return { pretty, sorted: sorted ? sortedBytes : undefined };
  }

  return {
    encode: (L) => {
      x.luaL_checkany(L, 1);
      const options = readOptions(L);
      const encoder = new JsonEncoder(state, options, (T) => script.lazyTables.touch(T, -1));
      x.lua_settop(L, 1);
      x.lua_pushvalue(L, 1);
      return workInSlices(
        scheduler,
        L,
        (T) => encoder.step(T),
        () => 1,
        () => encoder.cancel(),
      );
    },

    decode: (L) => {
      state.exports.luaL_checktype(L, 1, LUA_TYPE.string);
      x.lua_settop(L, 1);
      const decoder = new JsonDecoder(scheduler, L, 1, arrayMetatable);
      return workInSlices(
        scheduler,
        L,
        (T) => decoder.step(T),
        (T) => {
          const { failure } = decoder;
          return failure === undefined ? 1 : pushFailure(script.state, T, failure);
        },
        () => decoder.cancel(),
      );
    },

    /** array([t]): marks a table, a new one if there is none, so that it is a list even when it is empty. */
    array: (L) => {
      if (x.lua_type(L, 1) <= LUA_TYPE.nil) x.lua_createtable(L, 0, 0);
      else {
        x.luaL_checktype(L, 1, LUA_TYPE.table);
        x.lua_settop(L, 1);
        script.lazyTables.touch(L, 1);
      }
      if (x.lua_getmetatable(L, -1) !== 0) {
        state.pushReference(L, arrayMetatable);
        if (x.lua_rawequal(L, -1, -2) === 0)
          throw new LuaError("cannot mark a table that has a metatable: give it __jsontype = 'array'");
        state.pop(L, 2);
        return 1;
      }
      state.pushReference(L, arrayMetatable);
      x.lua_setmetatable(L, -2);
      return 1;
    },
  };
}
