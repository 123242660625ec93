/** `httpd.crypto.hash` and `httpd.crypto.hmac`: of strings, where they lie in the VM, and of files. */

import { createHash, createHmac, getHashes, type Hash, type Hmac } from 'node:crypto';
import { FileError } from '../file/file-error.ts';
import type { HostFunction } from '../lua/host-functions.ts';
import { LuaError } from '../lua/lua-error.ts';
import { type CString, LUA_TYPE, type LuaThread } from '../lua/lua-exports.ts';
import { pushFailure } from '../lua/push-failure.ts';
import { workInSlices } from '../lua/sliced-work.ts';
import { ARGUMENT_BYTES_MAX } from '../lua/state.ts';
import type { ScriptContext } from '../script/context/script-context.ts';
import { noteMoved } from '../script/objects/byte-wait.ts';
import { checkArgumentCount } from '../script/run/argument-count.ts';
import { shortWord } from './short-word.ts';

const EBADF = 9;
/** Bytes hashed in one step. */
const HASH_STEP_BYTES = 64 * 1024;
/** Fuel of a byte (the slowest algorithms take 10 ns for it), and of a call of the platform's function. */
const HASH_UNITS_PER_BYTE = 0.5;
const HASH_UNITS = 400;
/** A name of an algorithm is remembered by the text that scripts give for it; there are some fifty. */
const NAMES_MAX = 200;
/** Those that have no length of their own make no HMAC. */
const EXTENDABLE = /shake|xof/i;

/** Where the bytes stand that are hashed: the last argument but for the format. */
const HASH_INPUT = 2;
const HMAC_INPUT = 3;

export function hashFunctions(script: ScriptContext): Record<'hash' | 'hmac', HostFunction> {
  const { state, files, scheduler } = script;
  const { exports: x, memory } = state;
  const algorithms = new Set(getHashes().map((name) => name.toLowerCase()));
  /** Names as they were given. */
  const known = new Map<string, string>();

  function checkAlgorithm(L: LuaThread): string {
    const given = state.checkString(L, 1);
    const before = known.get(given);
    if (before !== undefined) return before;
    const algorithm = given.toLowerCase();
    if (!algorithms.has(algorithm))
      return state.argumentError(L, 1, `unknown hash algorithm '${shortWord(algorithm)}'`);
    if (known.size < NAMES_MAX) known.set(given, algorithm);
    return algorithm;
  }

  /** True: the result is to be in hexadecimal digits. */
  function checkFormat(L: LuaThread, n: number): boolean {
    if (x.lua_type(L, n) <= LUA_TYPE.nil) return false;
    const format = state.checkString(L, n);
    if (format !== 'hex') return state.argumentError(L, n, `unknown format '${shortWord(format)}'`);
    return true;
  }

  function finish(L: LuaThread, hash: Hash | Hmac, hex: boolean): number {
    state.pushString(L, hash.digest(hex ? 'hex' : 'binary'));
    return 1;
  }

  /** The string at index `input`, at once where it is short, else in slices. */
  function hashString(L: LuaThread, input: number, hash: Hash | Hmac, hex: boolean): number {
    let at: number = x.luaL_checklstring(L, input, memory.sizeOut);
    const end = at + memory.lastSize;
    if (end - at <= HASH_STEP_BYTES) {
      scheduler.guard.pay((end - at) * HASH_UNITS_PER_BYTE + HASH_UNITS);
      hash.update(memory.view(at as CString, end - at));
      return finish(L, hash, hex);
    }
    x.lua_settop(L, input);
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

  /** All that is left of the file at index `input`: what has arrived in slices, then it waits for more. */
  function hashFile(L: LuaThread, input: number, hash: Hash | Hmac, hex: boolean): number {
    const { file } = files.checkFile(L, input);
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
          (thread) => hashFile(thread, input, hash, hex),
          () => file.cancelRequest(wake),
        );
      },
    );
  }

  function hashInput(L: LuaThread, input: number, hash: Hash | Hmac, hex: boolean): number {
    if (x.lua_type(L, input) !== LUA_TYPE.userdata) return hashString(L, input, hash, hex);
    const { file, standard } = files.checkFile(L, input);
    if (standard) throw new FileError(`Cannot read ${file.name}`, EBADF);
    if (!scheduler.canWait(L)) throw new LuaError('cannot wait for a file here');
    file.clearEnd();
    return hashFile(L, input, hash, hex);
  }

  return {
    /** hash(algorithm, s [, "hex"]): of a string, or of all that is left of an open file. */
    hash: (L) => {
      const algorithm = checkAlgorithm(L);
      const hex = checkFormat(L, HASH_INPUT + 1);
      return hashInput(L, HASH_INPUT, createHash(algorithm), hex);
    },

    /** hmac(algorithm, key, s [, "hex"]): RFC 2104, of the same. */
    hmac: (L) => {
      checkArgumentCount(state, L, 'hmac', HMAC_INPUT, HMAC_INPUT + 1);
      const algorithm = checkAlgorithm(L);
      if (EXTENDABLE.test(algorithm))
        return state.argumentError(L, 1, `hash algorithm '${algorithm}' makes no hmac`);
      const hex = checkFormat(L, HMAC_INPUT + 1);
      const keyAt = x.luaL_checklstring(L, 2, memory.sizeOut);
      const keySize = memory.lastSize;
      if (keySize > ARGUMENT_BYTES_MAX)
        return state.argumentError(
          L,
          2,
          `key of ${keySize} bytes is longer than the limit of ${ARGUMENT_BYTES_MAX}`,
        );
      scheduler.guard.pay(keySize * HASH_UNITS_PER_BYTE);
      return hashInput(L, HMAC_INPUT, createHmac(algorithm, memory.view(keyAt, keySize)), hex);
    },
  };
}
