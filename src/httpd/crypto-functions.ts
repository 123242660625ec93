/** `httpd.crypto`: random, equal, kdf, seal, open, sign and verify, beside hash and hmac. */

import { randomFillSync, timingSafeEqual } from 'node:crypto';
import { GatewayError } from '../base/errors.ts';
import {
  type AsymmetricKey,
  type KeyUse,
  knownKey,
  PEM_BYTES_MAX,
  parseKey,
} from '../crypto/asymmetric-keys.ts';
import {
  costFault,
  DERIVED_BYTES,
  DERIVED_BYTES_MAX,
  type DerivationCost,
  derivationJobs,
  deriveKey,
  PASSWORD_BYTES_MAX,
  PBKDF2_ITERATIONS,
  SALT_BYTES_MAX,
  SCRYPT_DEFAULTS,
} from '../crypto/key-derivation.ts';
import {
  openSeal,
  SEAL_KEY_BYTES,
  SEAL_OVERHEAD_BYTES,
  SEALED_BYTES_MAX,
  sealBytes,
} from '../crypto/seal.ts';
import {
  SIGNATURE_BYTES_MAX,
  SIGNED_BYTES_MAX,
  type SignatureOptions,
  signatureJobs,
  signBytes,
  verifyBytes,
} from '../crypto/signatures.ts';
import type { HostFunction } from '../lua/host-functions.ts';
import { LuaError } from '../lua/lua-error.ts';
import { LUA_TYPE, type LuaThread, NULL } from '../lua/lua-exports.ts';
import { pushFailure, returningFailures } from '../lua/push-failure.ts';
import type { ScriptContext } from '../script/context/script-context.ts';
import { checkArgumentCount } from '../script/run/argument-count.ts';
import { readOptionTable, stringOption, wrongType } from '../script/run/option-table.ts';
import { hashFunctions } from './hash-functions.ts';
import { checkCanCompute, computeInPool } from './pool-wait.ts';
import { shortWord } from './short-word.ts';

/** Bytes of one call of `random`. */
const RANDOM_BYTES_MAX: number = 64 * 1024;
/** Bytes of what `seal` binds to a text. */
const AAD_BYTES_MAX = 1024;
/** Bytes of a random number, or compared, for one unit of fuel. */
const BYTES_PER_UNIT = 4;
/** To set up a cipher (10 µs), and to ask for random bytes (4 µs). */
const UNITS_PER_SEAL = 2000;
const UNITS_PER_RANDOM = 800;
/** To hand work to the pool (10 µs), and to parse a key (0.4 ms). */
const UNITS_PER_JOB = 2000;
export const UNITS_PER_KEY = 80_000;
const HASHES: ReadonlySet<string> = new Set(['sha256', 'sha384', 'sha512']);

/** The functions of `httpd.crypto`. */
export function cryptoFunctions(script: ScriptContext): Record<string, HostFunction> {
  const { state, scheduler } = script;
  const { exports: x, memory } = state;

  /** Bytes of the string argument `n`, where they lie. Valid until the next call into the VM that allocates. */
  function viewArgument(L: LuaThread, n: number): Uint8Array {
    const at = x.luaL_checklstring(L, n, memory.sizeOut);
    return memory.view(at, memory.lastSize);
  }

  /** A copy of the string argument `n`, or how long it is when that is above `bytesMax`. */
  function copyArgument(L: LuaThread, n: number, bytesMax: number): Buffer | number {
    const view = viewArgument(L, n);
    if (view.length > bytesMax) return view.length;
    scheduler.guard.pay(view.length / BYTES_PER_UNIT);
    return Buffer.from(view);
  }

  function pushTooLong(L: LuaThread, action: string, what: string, bytes: number, limit: number): number {
    const message = `Cannot ${action}: ${what} has ${bytes} bytes and the limit is ${limit}`;
    return pushFailure(state, L, new GatewayError('LGW_CRYPTO_LIMIT', message, { luaCode: 'limit' }));
  }

  function checkSealKey(L: LuaThread): void {
    const { length } = viewArgument(L, 1);
    if (length !== SEAL_KEY_BYTES)
      state.argumentError(L, 1, `key of ${length} bytes, and ${SEAL_KEY_BYTES} were expected`);
  }

  /** What is bound to the text, at index 3, if anything. */
  function viewBound(L: LuaThread): Uint8Array | undefined {
    if (x.lua_type(L, 3) <= LUA_TYPE.nil) return undefined;
    const view = viewArgument(L, 3);
    if (view.length > AAD_BYTES_MAX)
      state.argumentError(
        L,
        3,
        `string of ${view.length} bytes is longer than the limit of ${AAD_BYTES_MAX}`,
      );
    return view;
  }

  /** All strings are looked at before the first view: a number that becomes a string may move the heap. */
  function checkStrings(L: LuaThread, count: number): void {
    for (let n = 1; n <= count; n++)
      if (x.lua_type(L, n) > LUA_TYPE.nil || n <= 2) x.luaL_checklstring(L, n, memory.sizeOut);
  }

  function readDerivation(L: LuaThread): { cost: DerivationCost; length: number } {
    let kind = 'scrypt';
    let length = DERIVED_BYTES;
    let iterations: number | undefined;
    let hash: string | undefined;
    const scrypt: { n?: number; r?: number; p?: number } = {};
    const scryptOption = (name: string): void => {
      scrypt[name as 'n' | 'r' | 'p'] = wholeOption(L, name);
    };
    readOptionTable(state, L, 3, 'kdf', {
      kind: (name) => {
        kind = stringOption(state, L, name);
      },
      length: (name) => {
        length = wholeOption(L, name);
      },
      iterations: (name) => {
        iterations = wholeOption(L, name);
      },
      hash: (name) => {
        hash = stringOption(state, L, name).toLowerCase();
      },
      n: scryptOption,
      r: scryptOption,
      p: scryptOption,
    });
    if (length > DERIVED_BYTES_MAX)
      throw new LuaError(`option "length" is ${length} and the limit is ${DERIVED_BYTES_MAX}`);
    if (kind !== 'scrypt' && kind !== 'pbkdf2')
      throw new LuaError(`option "kind" is "${shortWord(kind)}" ("scrypt" or "pbkdf2" was expected)`);
    if (kind === 'scrypt' && (iterations !== undefined || hash !== undefined))
      throw new LuaError('scrypt has the options "n", "r" and "p", not "iterations" or "hash"');
    if (kind === 'pbkdf2' && Object.keys(scrypt).length > 0)
      throw new LuaError('pbkdf2 has the options "iterations" and "hash", not "n", "r" or "p"');
    const cost: DerivationCost =
      kind === 'scrypt'
        ? { kind, ...SCRYPT_DEFAULTS, ...scrypt }
        : { kind, iterations: iterations ?? PBKDF2_ITERATIONS, hash: shortWord(hash ?? 'sha256') };
    const fault = costFault(cost, length);
    if (fault !== undefined) throw new LuaError(fault);
    return { cost, length };
  }

  /** The value on top of the stack: 1 to 2^31. */
  function wholeOption(L: LuaThread, name: string): number {
    if (x.lua_isinteger(L, -1) === 0) throw wrongType(state, L, name, 'an integer');
    const value = x.lua_tonumberx(L, -1, NULL);
    if (value < 1 || value > 2 ** 31)
      throw new LuaError(`option "${name}" is ${value} (1 or more was expected)`);
    return value;
  }

  /** Pays for the parsing of a key that is new. Throws a GatewayError for one that cannot be used. */
  function takeKey(L: LuaThread, use: KeyUse): AsymmetricKey {
    const { length } = viewArgument(L, 1);
    if (length > PEM_BYTES_MAX)
      throw new GatewayError(
        'LGW_CRYPTO_LIMIT',
        `Cannot ${use}: the key has ${length} bytes and the limit is ${PEM_BYTES_MAX}`,
        { luaCode: 'limit' },
      );
    const pem = state.checkString(L, 1);
    const known = knownKey(use, pem);
    if (known !== undefined) return known;
    scheduler.guard.pay(UNITS_PER_KEY);
    return parseKey(use, pem);
  }

  function readSignatureOptions(
    L: LuaThread,
    n: number,
    use: KeyUse,
    { kind }: AsymmetricKey,
  ): SignatureOptions {
    let hash: SignatureOptions['hash'] = 'sha256';
    let padding: SignatureOptions['padding'] = 'pkcs1';
    let encoding: SignatureOptions['encoding'] = 'der';
    const checkFits = (name: string, fits: boolean): void => {
      if (!fits) throw new LuaError(`option "${name}" is none for a key of the kind ${kind}`);
    };
    readOptionTable(state, L, n, use, {
      hash: (name) => {
        checkFits(name, kind !== 'ed25519');
        hash = choiceOption(L, name, HASHES) as SignatureOptions['hash'];
      },
      padding: (name) => {
        checkFits(name, kind === 'rsa');
        padding = choiceOption(L, name, new Set(['pkcs1', 'pss'])) as SignatureOptions['padding'];
      },
      encoding: (name) => {
        checkFits(name, kind === 'ec');
        encoding = choiceOption(L, name, new Set(['der', 'raw'])) as SignatureOptions['encoding'];
      },
    });
    return { hash, padding, encoding };
  }

  function choiceOption(L: LuaThread, name: string, choices: ReadonlySet<string>): string {
    const value = stringOption(state, L, name);
    if (choices.has(value)) return value;
    const expected = [...choices].map((choice) => `"${choice}"`).join(' or ');
    throw new LuaError(`option "${name}" is "${shortWord(value)}" (${expected} was expected)`);
  }

  function pushBytes(L: LuaThread, bytes: Buffer): number {
    state.pushBytes(L, bytes);
    return 1;
  }

  return {
    ...hashFunctions(script),

    random: (L) => {
      checkArgumentCount(state, L, 'random', 1);
      const size = state.checkInteger(L, 1);
      if (size < 0 || size > RANDOM_BYTES_MAX)
        return state.argumentError(L, 1, `0 to ${RANDOM_BYTES_MAX} expected`);
      scheduler.guard.pay(size / BYTES_PER_UNIT + UNITS_PER_RANDOM);
      return pushBytes(L, randomFillSync(Buffer.allocUnsafe(size)));
    },

    /** In a time that depends on the lengths alone. */
    equal: (L) => {
      checkArgumentCount(state, L, 'equal', 2);
      checkStrings(L, 2);
      const a = viewArgument(L, 1);
      const b = viewArgument(L, 2);
      let isEqual = a.length === b.length;
      if (isEqual) {
        scheduler.guard.pay(a.length / BYTES_PER_UNIT);
        isEqual = timingSafeEqual(a, b);
      }
      x.lua_pushboolean(L, isEqual ? 1 : 0);
      return 1;
    },

    kdf: (L) => {
      checkArgumentCount(state, L, 'kdf', 2, 3);
      const { cost, length } = readDerivation(L);
      checkCanCompute(script, L);
      const password = copyArgument(L, 1, PASSWORD_BYTES_MAX);
      if (typeof password === 'number')
        return pushTooLong(L, 'derive a key', 'the password', password, PASSWORD_BYTES_MAX);
      const salt = copyArgument(L, 2, SALT_BYTES_MAX);
      if (typeof salt === 'number') return pushTooLong(L, 'derive a key', 'the salt', salt, SALT_BYTES_MAX);
      scheduler.guard.pay(UNITS_PER_JOB);
      return computeInPool(
        script,
        L,
        derivationJobs,
        (done) => deriveKey(password, salt, length, cost, done),
        pushBytes,
      );
    },

    seal: (L) => {
      checkArgumentCount(state, L, 'seal', 2, 3);
      checkStrings(L, 3);
      checkSealKey(L);
      const bound = viewBound(L);
      const text = viewArgument(L, 2);
      if (text.length > SEALED_BYTES_MAX)
        return pushTooLong(L, 'seal', 'the text', text.length, SEALED_BYTES_MAX);
      scheduler.guard.pay(text.length / BYTES_PER_UNIT + UNITS_PER_SEAL);
      return pushBytes(L, sealBytes(viewArgument(L, 1), text, bound));
    },

    open: (L) => {
      checkArgumentCount(state, L, 'open', 2, 3);
      checkStrings(L, 3);
      checkSealKey(L);
      const bound = viewBound(L);
      const sealed = viewArgument(L, 2);
      const limit = SEALED_BYTES_MAX + SEAL_OVERHEAD_BYTES;
      if (sealed.length > limit) return pushTooLong(L, 'open', 'the seal', sealed.length, limit);
      scheduler.guard.pay(sealed.length / BYTES_PER_UNIT + UNITS_PER_SEAL);
      const text = openSeal(viewArgument(L, 1), sealed, bound);
      if (text !== undefined) return pushBytes(L, text);
      const message = 'Cannot open the seal: it has been changed, or was made with another key';
      return pushFailure(state, L, new GatewayError('LGW_CRYPTO_INVALID', message, { luaCode: 'invalid' }));
    },

    sign: returningFailures(state, (L) => {
      checkArgumentCount(state, L, 'sign', 2, 3);
      checkStrings(L, 2);
      checkCanCompute(script, L);
      const key = takeKey(L, 'sign');
      const options = readSignatureOptions(L, 3, 'sign', key);
      const text = copyArgument(L, 2, SIGNED_BYTES_MAX);
      if (typeof text === 'number') return pushTooLong(L, 'sign', 'the text', text, SIGNED_BYTES_MAX);
      scheduler.guard.pay(UNITS_PER_JOB);
      return computeInPool(
        script,
        L,
        signatureJobs,
        (done) => signBytes(key, text, options, done),
        pushBytes,
      );
    }),

    verify: returningFailures(state, (L) => {
      checkArgumentCount(state, L, 'verify', 3, 4);
      checkStrings(L, 3);
      checkCanCompute(script, L);
      const key = takeKey(L, 'verify');
      const options = readSignatureOptions(L, 4, 'verify', key);
      const text = copyArgument(L, 2, SIGNED_BYTES_MAX);
      if (typeof text === 'number') return pushTooLong(L, 'verify', 'the text', text, SIGNED_BYTES_MAX);
      const signature = copyArgument(L, 3, SIGNATURE_BYTES_MAX);
      if (typeof signature === 'number')
        return pushTooLong(L, 'verify', 'the signature', signature, SIGNATURE_BYTES_MAX);
      scheduler.guard.pay(UNITS_PER_JOB);
      return computeInPool<boolean>(
        script,
        L,
        signatureJobs,
        (done) => verifyBytes(key, text, signature, options, done),
        (T, isValid) => {
          x.lua_pushboolean(T, isValid ? 1 : 0);
          return 1;
        },
      );
    }),
  };
}
