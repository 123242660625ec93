/** Reads the last table of `httpd.register_handler`. */

import { isKnownMethod } from '../http/semantics/methods.ts';
import { LuaError } from '../lua/lua-error.ts';
import { LUA_TYPE, type LuaThread } from '../lua/lua-exports.ts';
import type { State } from '../lua/state.ts';
import type { HandlerOptions } from '../script/run/handler-options.ts';
import type { RunLimits } from '../script/run/run-limits.ts';

/** Lua name → our name; both limits are seconds in Lua, and 0 turns a limit off. */
const LIMITS: ReadonlyMap<string, keyof RunLimits> = new Map([
  ['cpu', 'cpuLimitMs'],
  ['timeout', 'timeLimitMs'],
]);

/** Bytes. No option has a longer name; a longer one is cut in the message. */
const NAME_BYTES_MAX = 100;
/** Methods of one handler: REST and WebDAV together have fewer. */
const METHODS_MAX = 16;

/** The options at `index`; raises for anything that is none. */
export function readHandlerOptions(state: State, L: LuaThread, index: number): HandlerOptions {
  const { exports: x } = state;
  const options: { -readonly [K in keyof HandlerOptions]: HandlerOptions[K] } = {};
  if (x.lua_type(L, index) <= LUA_TYPE.nil) return options;
  x.luaL_checktype(L, index, LUA_TYPE.table);
  x.lua_pushnil(L);
  while (x.lua_next(L, index) !== 0) {
    const name =
      x.lua_type(L, -2) === LUA_TYPE.string
        ? (state.toString(L, -2, NAME_BYTES_MAX) as string)
        : state.typeName(L, -2);
    if (name === 'methods') {
      options.methods = readMethods(state, L);
      state.pop(L);
      continue;
    }
    const limit = LIMITS.get(name);
    if (limit === undefined) throw new LuaError(`register_handler has no option "${name}"`);
    const seconds = x.lua_type(L, -1) === LUA_TYPE.number ? x.lua_tonumberx(L, -1, 0 as never) : Number.NaN;
    if (!(seconds >= 0)) throw new LuaError(`option "${name}" has to be a number of seconds, 0 or more`);
    options[limit] = seconds === 0 ? Number.POSITIVE_INFINITY : seconds * 1000;
    state.pop(L);
  }
  return options;
}

/** The list on top of the stack, each method once. */
function readMethods(state: State, L: LuaThread): string[] {
  const { exports: x } = state;
  if (x.lua_type(L, -1) !== LUA_TYPE.table) throw new LuaError(BAD_METHODS);
  const count = Number(x.lua_rawlen(L, -1));
  if (count === 0) throw new LuaError(BAD_METHODS);
  if (count > METHODS_MAX)
    throw new LuaError(`option "methods" has ${count} methods and the limit is ${METHODS_MAX}`);
  const methods = new Set<string>();
  for (let i = 1; i <= count; i++) {
    if (x.lua_rawgeti(L, -1, BigInt(i)) !== LUA_TYPE.string) throw new LuaError(BAD_METHODS);
    const method = state.toString(L, -1, NAME_BYTES_MAX) as string;
    if (!isKnownMethod(method) || method === 'CONNECT')
      throw new LuaError(
        `option "methods" has ${JSON.stringify(method)}, which is no method that a handler gets; methods are in upper case`,
      );
    methods.add(method);
    state.pop(L);
  }
  return [...methods];
}

const BAD_METHODS = "option \"methods\" has to be a list of methods, as {'GET', 'POST'}";
