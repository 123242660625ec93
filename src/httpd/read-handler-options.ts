/** Reads the last table of `httpd.register_handler`. */

import { isKnownMethod } from '../http/semantics/methods.ts';
import { LuaError } from '../lua/lua-error.ts';
import { LUA_TYPE, type LuaThread, NULL } from '../lua/lua-exports.ts';
import type { State } from '../lua/state.ts';
import type { HandlerOptions } from '../script/run/handler-options.ts';
import { booleanOption, readOptionTable } from '../script/run/option-table.ts';

/** Methods of one handler: REST and WebDAV together have fewer. */
const METHODS_MAX = 16;
/** Bytes. No method has a longer name; a longer one is cut in the message. */
const METHOD_BYTES_MAX = 100;

/** The options at `index`; raises for anything that is none. */
export function readHandlerOptions(state: State, L: LuaThread, index: number): HandlerOptions {
  const options: { -readonly [K in keyof HandlerOptions]: HandlerOptions[K] } = {};
  readOptionTable(state, L, index, 'register_handler', {
    methods: () => {
      options.methods = readMethods(state, L);
    },
    body: (name) => {
      options.bodyBytesMax = readLimit(state, L, name, 'bytes');
    },
    cache: (name) => {
      options.isCached = booleanOption(state, L, name);
    },
    cpu: (name) => {
      options.cpuLimitMs = readLimit(state, L, name, 'seconds') * 1000;
    },
    timeout: (name) => {
      options.timeLimitMs = readLimit(state, L, name, 'seconds') * 1000;
    },
  });
  return options;
}

/** The number on top of the stack; 0 turns a limit off, and is Infinity here. */
function readLimit(state: State, L: LuaThread, name: string, unit: string): number {
  const { exports: x } = state;
  const limit = x.lua_type(L, -1) === LUA_TYPE.number ? x.lua_tonumberx(L, -1, NULL) : Number.NaN;
  if (!(limit >= 0)) throw new LuaError(`option "${name}" has to be a number of ${unit}, 0 or more`);
  return limit === 0 ? Number.POSITIVE_INFINITY : limit;
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
    const method = state.toString(L, -1, METHOD_BYTES_MAX) as string;
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
