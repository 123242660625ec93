/** `httpd.jwt.sign` and `httpd.jwt.verify`: claims are Lua tables, and cross as the JSON they are signed as. */

import { GatewayError } from '../base/errors.ts';
import { knownKey, PEM_BYTES_MAX, parseKey } from '../crypto/asymmetric-keys.ts';
import {
  ALGORITHMS,
  CLAIMS_BYTES_MAX,
  keyFault,
  SECRET_BYTES_MAX,
  secretFault,
  signToken,
  TOKEN_BYTES_MAX,
  type TokenChecks,
  type TokenKey,
  verifyToken,
} from '../crypto/json-web-token.ts';
import { signatureJobs } from '../crypto/signatures.ts';
import type { HostFunction } from '../lua/host-functions.ts';
import { LuaError } from '../lua/lua-error.ts';
import { LUA_TYPE, type LuaThread, NULL } from '../lua/lua-exports.ts';
import { pushFailure, returningFailures } from '../lua/push-failure.ts';
import { workInSlices } from '../lua/sliced-work.ts';
import type { Reference } from '../lua/state.ts';
import type { ScriptContext } from '../script/context/script-context.ts';
import { checkArgumentCount } from '../script/run/argument-count.ts';
import { readOptionTable, stringOption, wrongType } from '../script/run/option-table.ts';
import { UNITS_PER_KEY } from './crypto-functions.ts';
import { JsonDecoder } from './json-decoder.ts';
import { JsonEncoder } from './json-encoder.ts';
import { checkCanCompute, computeInPool } from './pool-wait.ts';
import { shortWord } from './short-word.ts';

/** Names in a list of algorithms, issuers or audiences, and bytes of each. */
const NAMES_MAX = 16;
const NAME_BYTES_MAX = 1024;
/** Clocks that differ by more than an hour are wrong. */
const LEEWAY_SECONDS_MAX = 3600;
/** What jose does in this thread for a token (150 µs). */
const UNITS_PER_TOKEN = 30_000;
const LEFT_BRACE = 0x7b;

export function jwtFunctions(
  script: ScriptContext,
  arrayMetatable: Reference,
): Record<'sign' | 'verify', HostFunction> {
  const { state, scheduler } = script;
  const { exports: x, memory } = state;

  /** The value on top of the stack: a name, or a list of them. */
  function namesOption(L: LuaThread, name: string): readonly string[] {
    if (x.lua_type(L, -1) !== LUA_TYPE.table) return [stringOption(state, L, name, NAME_BYTES_MAX)];
    const length = Number(x.lua_rawlen(L, -1));
    if (length < 1 || length > NAMES_MAX)
      throw new LuaError(`option "${name}" has ${length} entries (1 to ${NAMES_MAX} were expected)`);
    const names: string[] = [];
    for (let i = 1; i <= length; i++) {
      x.lua_rawgeti(L, -1, BigInt(i));
      names.push(stringOption(state, L, name, NAME_BYTES_MAX));
      state.pop(L);
    }
    return names;
  }

  function checkAlgorithms(names: readonly string[] | undefined): readonly string[] {
    if (names === undefined) throw new LuaError('option "alg" is missing: it says how tokens are signed');
    for (const name of names) {
      if (ALGORITHMS.has(name)) continue;
      const known = [...ALGORITHMS.keys()].join(', ');
      throw new LuaError(`option "alg" has "${shortWord(name)}" (one of ${known} was expected)`);
    }
    return names;
  }

  function readSignOptions(L: LuaThread): string {
    let names: readonly string[] | undefined;
    readOptionTable(state, L, 3, 'jwt.sign', {
      alg: (name) => {
        names = [stringOption(state, L, name, NAME_BYTES_MAX)];
      },
    });
    return checkAlgorithms(names)[0] as string;
  }

  function readChecks(L: LuaThread): TokenChecks {
    let algorithms: readonly string[] | undefined;
    let issuers: readonly string[] | undefined;
    let audiences: readonly string[] | undefined;
    let leeway = 0;
    readOptionTable(state, L, 3, 'jwt.verify', {
      alg: (name) => {
        algorithms = namesOption(L, name);
      },
      iss: (name) => {
        issuers = textsOf(namesOption(L, name));
      },
      aud: (name) => {
        audiences = textsOf(namesOption(L, name));
      },
      leeway: (name) => {
        if (x.lua_type(L, -1) !== LUA_TYPE.number) throw wrongType(state, L, name, 'a number of seconds');
        leeway = x.lua_tonumberx(L, -1, NULL);
        if (!(leeway >= 0 && leeway <= LEEWAY_SECONDS_MAX))
          throw new LuaError(`option "leeway" is ${leeway} (0 to ${LEEWAY_SECONDS_MAX} s were expected)`);
      },
    });
    return { algorithms: checkAlgorithms(algorithms), issuers, audiences, leeway };
  }

  /** The key at index 2, of the kind that all algorithms take; throws a GatewayError for one that cannot be parsed. */
  function takeKey(L: LuaThread, use: 'sign' | 'verify', algorithms: readonly string[]): TokenKey {
    const isSecret = ALGORITHMS.get(algorithms[0] as string)?.kind === 'secret';
    const mixed = algorithms.find((name) => (ALGORITHMS.get(name)?.kind === 'secret') !== isSecret);
    if (mixed !== undefined)
      throw new LuaError(
        `option "alg" has ${algorithms[0]} and ${mixed}, which take keys of different kinds`,
      );
    const text = state.checkString(L, 2, isSecret ? SECRET_BYTES_MAX : PEM_BYTES_MAX);
    let key: TokenKey;
    if (isSecret) key = Buffer.from(text, 'latin1');
    else {
      if (knownKey(use, text) === undefined) scheduler.guard.pay(UNITS_PER_KEY);
      key = parseKey(use, text);
    }
    const fault = key instanceof Uint8Array ? secretFault(algorithms, key) : keyFault(algorithms, key);
    if (fault !== undefined) return state.argumentError(L, 2, fault);
    return key;
  }

  /** The JSON of claims is on top of the stack. */
  function signClaims(L: LuaThread, key: TokenKey, alg: string): number {
    const at = x.lua_tolstring(L, -1, memory.sizeOut);
    const size = memory.lastSize;
    if (memory.heap[at] !== LEFT_BRACE)
      return state.argumentError(L, 1, 'a table with names expected, got a list');
    if (size > CLAIMS_BYTES_MAX) {
      const message = `Cannot sign the token: its claims have ${size} bytes and the limit is ${CLAIMS_BYTES_MAX}`;
      return pushFailure(state, L, new GatewayError('LGW_CRYPTO_LIMIT', message, { luaCode: 'limit' }));
    }
    const claims = Buffer.from(memory.view(at, size));
    scheduler.guard.pay(UNITS_PER_TOKEN);
    return computeInPool<string>(
      script,
      L,
      signatureJobs,
      (done) => signToken(claims, key, alg, done),
      (T, token) => {
        state.pushString(T, token);
        return 1;
      },
    );
  }

  /** Pushes the claims as a table: integers stay integers. */
  function pushClaims(L: LuaThread, claims: Buffer): number {
    x.lua_settop(L, 0);
    state.pushBytes(L, claims);
    const decoder = new JsonDecoder(scheduler, L, 1, arrayMetatable);
    return workInSlices(
      scheduler,
      L,
      (T) => decoder.step(T),
      (T) => {
        const { failure } = decoder;
        if (failure === undefined) return 1;
        const message = `Cannot take the token: ${failure.message}`;
        return pushFailure(state, T, new GatewayError('LGW_JWT_INVALID', message, { luaCode: 'invalid' }));
      },
      () => decoder.cancel(),
    );
  }

  return {
    sign: returningFailures(state, (L) => {
      checkArgumentCount(state, L, 'sign', 3);
      x.luaL_checktype(L, 1, LUA_TYPE.table);
      x.luaL_checktype(L, 3, LUA_TYPE.table);
      const alg = readSignOptions(L);
      checkCanCompute(script, L);
      const key = takeKey(L, 'sign', [alg]);
      const encoder = new JsonEncoder(state, { pretty: false, sorted: undefined }, (T) =>
        script.lazyTables.touch(T, -1),
      );
      x.lua_settop(L, 1);
      x.lua_pushvalue(L, 1);
      return workInSlices(
        scheduler,
        L,
        (T) => encoder.step(T),
        (T) => signClaims(T, key, alg),
        () => encoder.cancel(),
      );
    }),

    verify: returningFailures(state, (L) => {
      checkArgumentCount(state, L, 'verify', 3);
      x.luaL_checktype(L, 3, LUA_TYPE.table);
      const checks = readChecks(L);
      checkCanCompute(script, L);
      const at = x.luaL_checklstring(L, 1, memory.sizeOut);
      const size = memory.lastSize;
      const key = takeKey(L, 'verify', checks.algorithms);
      if (size > TOKEN_BYTES_MAX) {
        const message = `Cannot take the token: it has ${size} bytes and the limit is ${TOKEN_BYTES_MAX}`;
        return pushFailure(state, L, new GatewayError('LGW_CRYPTO_LIMIT', message, { luaCode: 'limit' }));
      }
      const token = memory.readText(at, size);
      scheduler.guard.pay(UNITS_PER_TOKEN);
      return computeInPool<Buffer>(
        script,
        L,
        signatureJobs,
        (done) => verifyToken(token, key, checks, done),
        pushClaims,
      );
    }),
  };
}

/** Names as the texts that JSON has, of bytes that are UTF-8. */
function textsOf(names: readonly string[]): string[] {
  return names.map((name) => Buffer.from(name, 'latin1').toString('utf8'));
}
