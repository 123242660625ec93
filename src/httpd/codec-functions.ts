/** `httpd.encode`, `httpd.decode`, `httpd.query` and `httpd.crypto.hash`. */

import { createHash, getHashes, type Hash } from 'node:crypto';
import { FileError } from '../file/file-error.ts';
import type { HostFunction } from '../lua/host-functions.ts';
import { LuaError } from '../lua/lua-error.ts';
import { type CString, LUA_TYPE, type LuaThread } from '../lua/lua-exports.ts';
import { pushFailure } from '../lua/push-failure.ts';
import { workInSlices } from '../lua/sliced-work.ts';
import type { ScriptContext } from '../script/context/script-context.ts';
import { noteMoved } from '../script/objects/byte-wait.ts';
import { parseQuery } from './parse-query.ts';
import { QueryWriter } from './query-writer.ts';
import { type Codec, DECODERS, ENCODERS } from './text-codecs.ts';
import { Transcoding } from './transcoding.ts';

const EBADF = 9;
/** Bytes hashed in one step. */
const HASH_STEP_BYTES = 64 * 1024;
/** Fuel of a byte (the slowest algorithms take 10 ns for it), and of a call of the platform's function. */
const HASH_UNITS_PER_BYTE = 0.5;
const HASH_UNITS = 400;
/** A word in a message is cut (bytes). */
const SHOWN_BYTES_MAX = 100;

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
    if (codec === undefined) return state.argumentError(L, 1, `unknown encoding '${shorten(kind)}'`);
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

/** A word in a message is cut. */
function shorten(word: string): string {
  return word.length > SHOWN_BYTES_MAX ? `${word.slice(0, SHOWN_BYTES_MAX)}…` : word;
}

/** `httpd.crypto`. */
export function cryptoFunctions(script: ScriptContext): Record<string, HostFunction> {
  const { state, files, scheduler } = script;
  const { exports: x, memory } = state;
  const algorithms = new Set(getHashes().map((name) => name.toLowerCase()));

  function finish(L: LuaThread, hash: Hash, hex: boolean): number {
    state.pushString(L, hash.digest().toString(hex ? 'hex' : 'latin1'));
    return 1;
  }

  /** The string at index 2, in slices. */
  function hashString(L: LuaThread, hash: Hash, hex: boolean): number {
    let at: number = x.luaL_checklstring(L, 2, memory.sizeOut);
    const end = at + memory.lastSize;
    x.lua_settop(L, 2);
    return workInSlices(
      scheduler,
      L,
      () => {
        const size = Math.min(HASH_STEP_BYTES, end - at);
        scheduler.guard.pay(size * HASH_UNITS_PER_BYTE + HASH_UNITS);
        hash.update(memory.view(at as CString, size));
        at += size;
        return at === end;
      },
      (T) => finish(T, hash, hex),
    );
  }

  /** All that is left of the file at index 2: what has arrived in slices, then it waits for more. */
  function hashFile(L: LuaThread, hash: Hash, hex: boolean): number {
    const { file } = files.checkFile(L, 2);
    return workInSlices(
      scheduler,
      L,
      () => {
        const chunk = file.queue.takeChunk(HASH_STEP_BYTES);
        scheduler.guard.pay(chunk.length * HASH_UNITS_PER_BYTE + HASH_UNITS);
        hash.update(chunk);
        noteMoved(scheduler, chunk.length);
        return file.queue.length === 0;
      },
      (T) => {
        file.consumed();
        if (file.ended && file.queue.length === 0) {
          const failure = file.takeError();
          return failure === undefined ? finish(T, hash, hex) : pushFailure(script.state, T, failure);
        }
        if (!scheduler.canWait(T)) throw new LuaError('cannot wait for a file here');
        const { wake } = scheduler.running;
        file.request(HASH_STEP_BYTES, wake);
        return scheduler.running.wait(
          T,
          (thread) => hashFile(thread, hash, hex),
          () => file.cancelRequest(wake),
        );
      },
    );
  }

  return {
    /** hash(algorithm, s [, "hex"]): of a string, or of all that is left of an open file. */
    hash: (L) => {
      const algorithm = state.checkString(L, 1).toLowerCase();
      if (!algorithms.has(algorithm))
        return state.argumentError(L, 1, `unknown hash algorithm '${shorten(algorithm)}'`);
      const format = state.optionalString(L, 3);
      if (format !== undefined && format !== 'hex')
        return state.argumentError(L, 3, `unknown format '${shorten(format)}'`);
      const hash = createHash(algorithm);
      const isHex = format === 'hex';
      if (x.lua_type(L, 2) !== LUA_TYPE.userdata) return hashString(L, hash, isHex);
      const { file, standard } = files.checkFile(L, 2);
      if (standard) throw new FileError(`Cannot read ${file.name}`, EBADF);
      if (!scheduler.canWait(L)) throw new LuaError('cannot wait for a file here');
      file.clearEnd();
      return hashFile(L, hash, isHex);
    },
  };
}
