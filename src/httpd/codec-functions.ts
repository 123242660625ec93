/** `httpd.encode`, `httpd.decode` and `httpd.query`. */

import type { HostFunction } from '../lua/host-functions.ts';
import { LUA_TYPE, type LuaThread } from '../lua/lua-exports.ts';
import { pushFailure } from '../lua/push-failure.ts';
import { workInSlices } from '../lua/sliced-work.ts';
import type { ScriptContext } from '../script/context/script-context.ts';
import { parseQuery } from './parse-query.ts';
import { QueryWriter } from './query-writer.ts';
import { shortWord } from './short-word.ts';
import { type Codec, DECODERS, ENCODERS } from './text-codecs.ts';
import { Transcoding } from './transcoding.ts';

export function codecFunctions(script: ScriptContext): Record<string, HostFunction> {
  const { state, scheduler } = script;
  const { exports: x, memory } = state;

  function pushRefused(L: LuaThread, message: string, code: 'invalid' | 'limit'): number {
    x.lua_pushnil(L);
    state.pushString(L, message);
    state.pushString(L, code);
    return 3;
  }

  function checkKind(L: LuaThread, codecs: ReadonlyMap<string, Codec>): { kind: string; codec: Codec } {
    const kind = state.checkString(L, 1);
    const codec = codecs.get(kind);
    if (codec === undefined) return state.argumentError(L, 1, `unknown encoding '${shortWord(kind)}'`);
    return { kind, codec };
  }

  /** The string argument `n` through a codec; a text that is not validly encoded is nil, message, code. */
  function transcode(L: LuaThread, kind: string, codec: Codec): number {
    const at = x.luaL_checklstring(L, 2, memory.sizeOut);
    const text = new Transcoding(scheduler, codec, at, at + memory.lastSize, 2);
    x.lua_settop(L, 2);
    return workInSlices(
      scheduler,
      L,
      (T) => text.step(T),
      (T) => (text.isInvalid ? pushRefused(T, `Cannot decode: the text is no valid ${kind}`, 'invalid') : 1),
    );
  }

  return {
    encode: (L) => {
      const { kind, codec } = checkKind(L, ENCODERS);
      if (kind !== 'query' || x.lua_type(L, 2) !== LUA_TYPE.table) return transcode(L, kind, codec);
      script.lazyTables.touch(L, 2);
      x.lua_settop(L, 2);
      const writer = new QueryWriter(scheduler);
      return workInSlices(
        scheduler,
        L,
        (T) => writer.step(T),
        () => 1,
        () => writer.cancel(),
      );
    },
    decode: (L) => {
      const { kind, codec } = checkKind(L, DECODERS);
      return transcode(L, kind, codec);
    },
    query: (L) => {
      if (x.lua_type(L, 1) === LUA_TYPE.table) {
        x.lua_getfield(L, 1, memory.constant('QUERY_INFO'));
        x.lua_copy(L, -1, 1);
        state.pop(L);
        if (x.lua_type(L, 1) === LUA_TYPE.nil) {
          x.lua_createtable(L, 0, 0);
          return 1;
        }
      }
      x.luaL_checklstring(L, 1, memory.sizeOut);
      x.lua_settop(L, 1);
      return parseQuery(scheduler, L, 'query', 1, (T, failure) =>
        failure === undefined ? 1 : pushFailure(state, T, failure),
      );
    },
  };
}
