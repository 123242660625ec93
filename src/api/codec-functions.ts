/** `httpd.encode`, `httpd.decode`, `httpd.query` and `httpd.crypto.hash`. */
import { createHash, getHashes, type Hash } from 'node:crypto';
import type { ByteSink } from '../base/byte-stream.ts';
import type { HostFunction } from '../lua/host-functions.ts';
import { LuaError } from '../lua/lua-error.ts';
import { type CString, LUA_TYPE, type LuaThread } from '../lua/lua-exports.ts';
import type { LoadedScript } from './loaded-script.ts';
import { DECODERS, ENCODERS, parseQuery } from './text-codecs.ts';

export function codecFunctions(script: LoadedScript): Record<string, HostFunction> {
  const { state } = script;
  const { exports: x } = state;

  function pushInvalid(L: LuaThread, message: string): number {
    x.lua_pushnil(L);
    state.pushString(L, message);
    state.pushString(L, 'invalid');
    return 3;
  }

  /** A table of names and values as a query string; a list repeats the name. */
  function encodeTable(L: LuaThread): string {
    const encode = ENCODERS['query'] as (text: string) => string;
    const parts: string[] = [];
    const add = (name: string): void => {
      if (x.lua_type(L, -1) === LUA_TYPE.boolean && x.lua_toboolean(L, -1) !== 0) parts.push(encode(name));
      else {
        const value = state.toString(L, -1);
        if (value === undefined) throw new LuaError(`value of "${name}" is a ${state.typeName(L, -1)}`);
        parts.push(`${encode(name)}=${encode(value)}`);
      }
    };
    script.lazyTables.touch(L, 2);
    x.lua_pushnil(L);
    while (x.lua_next(L, 2) !== 0) {
      if (x.lua_type(L, -2) !== LUA_TYPE.string) throw new LuaError('names of a query have to be strings');
      const name = state.toString(L, -2) as string;
      if (x.lua_type(L, -1) === LUA_TYPE.table) {
        const length = Number(x.lua_rawlen(L, -1));
        for (let i = 1; i <= length; i++) {
          x.lua_rawgeti(L, -1, BigInt(i));
          add(name);
          state.pop(L);
        }
      } else add(name);
      state.pop(L);
    }
    return parts.join('&');
  }

  /** Appends the value on top of the stack to what the table below it has under `name`. */
  function setOrAppend(L: LuaThread, name: string): void {
    state.pushString(L, name);
    const type = x.lua_rawget(L, -3);
    if (type === LUA_TYPE.nil) {
      state.pop(L);
      state.pushString(L, name);
      x.lua_rotate(L, -2, 1);
      x.lua_rawset(L, -3);
      return;
    }
    if (type !== LUA_TYPE.table) {
      // value, old → list of both
      x.lua_createtable(L, 2, 0);
      x.lua_rotate(L, -2, 1);
      x.lua_rawseti(L, -2, 1n);
      state.pushString(L, name);
      x.lua_pushvalue(L, -2);
      x.lua_rawset(L, -5);
    }
    x.lua_rotate(L, -2, 1);
    x.lua_rawseti(L, -2, x.lua_rawlen(L, -2) + 1n);
    state.pop(L);
  }

  return {
    encode: (L) => {
      const kind = state.checkString(L, 1);
      const encoder = Object.hasOwn(ENCODERS, kind) ? ENCODERS[kind] : undefined;
      if (encoder === undefined) return state.argumentError(L, 1, `unknown encoding '${kind}'`);
      if (kind === 'query' && x.lua_type(L, 2) === LUA_TYPE.table) state.pushString(L, encodeTable(L));
      else state.pushString(L, encoder(state.checkString(L, 2)));
      return 1;
    },
    decode: (L) => {
      const kind = state.checkString(L, 1);
      const decoder = Object.hasOwn(DECODERS, kind) ? DECODERS[kind] : undefined;
      if (decoder === undefined) return state.argumentError(L, 1, `unknown encoding '${kind}'`);
      const decoded = decoder(state.checkString(L, 2));
      if (decoded === undefined) return pushInvalid(L, `Cannot decode: the text is no valid ${kind}`);
      state.pushString(L, decoded);
      return 1;
    },
    query: (L) => {
      if (x.lua_type(L, 1) === LUA_TYPE.table) {
        x.lua_getfield(L, 1, state.memory.constant('QUERY_INFO'));
        x.lua_copy(L, -1, 1);
        state.pop(L);
        if (x.lua_type(L, 1) === LUA_TYPE.nil) {
          x.lua_createtable(L, 0, 0);
          return 1;
        }
      }
      const pairs = parseQuery(state.checkString(L, 1));
      if (pairs === undefined)
        return pushInvalid(L, 'Cannot parse the query: an escape is invalid or it has too many names');
      x.lua_createtable(L, 0, pairs.length);
      for (const [name, value] of pairs) {
        if (value === true) x.lua_pushboolean(L, 1);
        else state.pushString(L, value);
        setOrAppend(L, name);
      }
      return 1;
    },
  };
}

/** `httpd.crypto`. */
export function cryptoFunctions(script: LoadedScript): Record<string, HostFunction> {
  const { state, files, scheduler } = script;
  const { exports: x, memory } = state;
  const algorithms = new Set(getHashes().map((name) => name.toLowerCase()));

  function finish(L: LuaThread, hash: Hash, hex: boolean): number {
    state.pushString(L, hash.digest().toString(hex ? 'hex' : 'latin1'));
    return 1;
  }

  return {
    /** hash(algorithm, s [, "hex"]): of a string, or of all that is left of an open file. */
    hash: (L) => {
      const algorithm = state.checkString(L, 1).toLowerCase();
      if (!algorithms.has(algorithm))
        return state.argumentError(L, 1, `unknown hash algorithm '${algorithm}'`);
      const format = state.optionalString(L, 3);
      if (format !== undefined && format !== 'hex')
        return state.argumentError(L, 3, `unknown format '${format}'`);
      const hash = createHash(algorithm);
      if (x.lua_type(L, 2) !== LUA_TYPE.userdata) {
        const at = x.luaL_checklstring(L, 2, memory.sizeOut);
        hash.update(memory.view(at as CString, memory.lastSize));
        return finish(L, hash, format === 'hex');
      }
      const { file } = files.checkFile(L, 2);
      if (!scheduler.canWait(L)) throw new LuaError('cannot wait for a file here');
      const { wake } = scheduler.running;
      const copy = file.sendTo(new HashSink(hash), undefined, wake);
      return scheduler.running.wait(
        L,
        (T) => {
          const failure = file.takeError();
          return failure === undefined ? finish(T, hash, format === 'hex') : script.pushFailure(T, failure);
        },
        () => copy.cancel(),
      );
    },
  };
}

/** Takes bytes into a hash; always has room. */
class HashSink implements ByteSink {
  readonly error = undefined;
  readonly #hash: Hash;

  constructor(hash: Hash) {
    this.#hash = hash;
  }

  write(bytes: Uint8Array): boolean {
    this.#hash.update(bytes);
    return true;
  }

  whenDrained(drained: () => void): void {
    queueMicrotask(drained);
  }

  cancelDrained(): void {}
}
