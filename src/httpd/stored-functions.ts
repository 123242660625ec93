/** The methods of a dictionary of `httpd.shared` that lives in a store: each suspends its coroutine until the store has answered. */
import { GatewayError } from '../base/errors.ts';
import type { HostFunction } from '../lua/host-functions.ts';
import { LUA_TYPE, type LuaThread, NULL } from '../lua/lua-exports.ts';
import { pushFailure } from '../lua/push-failure.ts';
import type { ScriptContext } from '../script/context/script-context.ts';
import { cannotWait } from '../script/objects/cannot-wait.ts';
import { HostObjects } from '../script/objects/host-objects.ts';
import { waitInScope } from '../script/run/scoped-wait.ts';
import { KEY_BYTES_MAX, KEYS_DEFAULT, KEYS_MAX } from '../shared/dictionary.ts';
import { VALUE_BYTES_MAX } from '../store/store-limits.ts';
import {
  type CallSettings,
  type Done,
  type FoundValue,
  type StoredDictionary,
  tooLarge,
} from '../store/stored-dictionary.ts';
import {
  encodeBoolean,
  encodeFloat,
  encodeInteger,
  encodeString,
  type StoredValue,
} from '../store/stored-value.ts';
import { pushKeys, takeTtl } from './dictionary-arguments.ts';

/** What a command, its reply and the suspension take outside the VM (5 µs). */
const UNITS_PER_CALL = 1000;
/** What work outside the VM costs there, so that the guard looks at the clock in time: as much as inside (wasm-rewriter.ts). */
const BYTES_PER_FUEL = 16;
/** To make the string of a key. */
const FUEL_PER_KEY = 32;
/** Bits of the note of a dictionary: its settings. The time of a call, in milliseconds, is below them. */
const NEAR_BIT = 1 << 29;
const STALE_BIT = 1 << 30;
const TIMEOUT_MASK: number = NEAR_BIT - 1;

/** Pushes a dictionary with its settings. */
export type PushStored = (L: LuaThread, dictionary: StoredDictionary, settings: CallSettings) => void;

/** Makes the metatable. */
export function storedDictionaries(script: ScriptContext): PushStored {
  const { state, scheduler, share } = script;
  const { exports: x, memory } = state;
  const opened: StoredDictionary[] = [];

  function takeSelf(T: LuaThread): {
    readonly dictionary: StoredDictionary;
    readonly settings: CallSettings;
  } {
    const dictionary = opened[objects.check(T, 1)] as StoredDictionary;
    const note = objects.note(T, 1);
    const settings = {
      near: (note & NEAR_BIT) !== 0,
      stale: (note & STALE_BIT) !== 0,
      timeoutMs: note & TIMEOUT_MASK,
    };
    return { dictionary, settings };
  }

  /** A longer key than any is is as good as the first bytes of it. */
  function takeKey(T: LuaThread): string {
    const at = x.luaL_checklstring(T, 2, memory.sizeOut);
    return memory.readString(at, Math.min(memory.lastSize, KEY_BYTES_MAX + 1));
  }

  function takeNumber(T: LuaThread, index: number): bigint | number {
    if (x.lua_type(T, index) !== LUA_TYPE.number) x.luaL_typeerror(T, index, memory.constant('number'));
    if (x.lua_isinteger(T, index) !== 0) return x.lua_tointegerx(T, index, NULL);
    return x.lua_tonumberx(T, index, NULL);
  }

  /** The third argument as a store keeps it; a number: it would have so many bytes there, which are too many. */
  function takeValue(T: LuaThread): string | number {
    switch (x.lua_type(T, 3)) {
      case LUA_TYPE.boolean:
        return encodeBoolean(x.lua_toboolean(T, 3) !== 0);
      case LUA_TYPE.number: {
        const value = takeNumber(T, 3);
        return typeof value === 'bigint' ? encodeInteger(value) : encodeFloat(value);
      }
      case LUA_TYPE.string: {
        const at = x.lua_tolstring(T, 3, memory.sizeOut);
        const size = memory.lastSize;
        // the mark of a string goes before it
        if (size >= VALUE_BYTES_MAX) return size + 1;
        x.fuel.value -= size / BYTES_PER_FUEL;
        return encodeString(memory.readString(at, size));
      }
      default:
        x.luaL_typeerror(T, 3, memory.constant('boolean, number or string'));
        return '';
    }
  }

  function pushValue(T: LuaThread, value: StoredValue | undefined): number {
    switch (typeof value) {
      case 'undefined':
        x.lua_pushnil(T);
        break;
      case 'boolean':
        x.lua_pushboolean(T, value ? 1 : 0);
        break;
      case 'bigint':
        x.lua_pushinteger(T, value);
        break;
      case 'number':
        x.lua_pushnumber(T, value);
        break;
      case 'string':
        x.fuel.value -= value.length / BYTES_PER_FUEL;
        state.pushString(T, value);
        break;
      default:
        x.fuel.value -= value.length / BYTES_PER_FUEL;
        state.pushBytes(T, value);
    }
    return 1;
  }

  function pushBoolean(T: LuaThread, value: boolean): number {
    x.lua_pushboolean(T, value ? 1 : 0);
    return 1;
  }

  /** Suspends the caller until `begin` has called back; `isWanted` is false as soon as the caller has ended. */
  function ask<T>(
    L: LuaThread,
    begin: (done: Done<T>, isWanted: () => boolean) => void,
    push: (T: LuaThread, result: T) => number,
  ): number {
    if (!scheduler.canWait(L)) throw cannotWait('wait for a store');
    const refusal = share.take('storeCalls');
    if (refusal !== undefined)
      return pushFailure(state, L, { message: `Cannot ask the store: ${refusal}`, luaCode: 'limit' });
    scheduler.guard.pay(UNITS_PER_CALL);
    const coroutine = scheduler.running;
    let result: T | GatewayError | undefined;
    let isAnswered = false;
    let isWanted = true;
    let isAsleep = false;
    const take = (L: LuaThread): number =>
      result instanceof GatewayError ? pushFailure(state, L, result) : push(L, result as T);
    begin(
      (answer) => {
        share.give('storeCalls');
        result = answer;
        isAnswered = true;
        if (isAsleep && isWanted) coroutine.wake();
      },
      () => isWanted,
    );
    if (isAnswered) return take(L);
    isAsleep = true;
    return waitInScope(
      scheduler,
      L,
      (T) => {
        isWanted = false;
        return take(T);
      },
      () => {
        isWanted = false;
      },
    );
  }

  function storeFunction(mode: 'set' | 'add' | 'replace'): HostFunction {
    return (L) => {
      const { dictionary, settings } = takeSelf(L);
      const key = takeKey(L);
      const ttlMs = takeTtl(state, L, 4);
      if (mode === 'set' && x.lua_type(L, 3) === LUA_TYPE.nil)
        return ask<boolean>(
          L,
          (done) => dictionary.delete(key, settings, done),
          (T) => pushBoolean(T, true),
        );
      const value = takeValue(L);
      if (typeof value === 'number') return pushFailure(state, L, tooLarge(key, value));
      return ask<true>(L, (done) => dictionary.store(mode, key, value, ttlMs, settings, done), pushBoolean);
    };
  }

  const methods: Record<string, HostFunction> = {
    get: (L) => {
      const { dictionary, settings } = takeSelf(L);
      const key = takeKey(L);
      const near = settings.near ? dictionary.peek(key) : undefined;
      if (near !== undefined) return pushValue(L, near);
      return ask<FoundValue>(
        L,
        (done) => dictionary.get(key, settings, done),
        (T, { value, isStale }) => {
          pushValue(T, value);
          if (!isStale) return 1;
          state.pushString(T, 'stale');
          return 2;
        },
      );
    },
    set: storeFunction('set'),
    add: storeFunction('add'),
    replace: storeFunction('replace'),
    delete: (L) => {
      const { dictionary, settings } = takeSelf(L);
      const key = takeKey(L);
      return ask<boolean>(L, (done) => dictionary.delete(key, settings, done), pushBoolean);
    },
    incr: (L) => {
      const { dictionary, settings } = takeSelf(L);
      const key = takeKey(L);
      const by = x.lua_type(L, 3) <= LUA_TYPE.nil ? 1n : takeNumber(L, 3);
      const begin = x.lua_type(L, 4) > LUA_TYPE.nil ? takeNumber(L, 4) : undefined;
      const ttlMs = takeTtl(state, L, 5);
      const floor = x.lua_type(L, 6) > LUA_TYPE.nil ? takeNumber(L, 6) : undefined;
      return ask<StoredValue>(
        L,
        (done) => dictionary.increment(key, { by, begin, floor, ttlMs }, settings, done),
        pushValue,
      );
    },
    ttl: (L) => {
      const { dictionary, settings } = takeSelf(L);
      const key = takeKey(L);
      return ask<number>(
        L,
        (done) => dictionary.ttl(key, settings, done),
        (T, ms) => {
          x.lua_pushnumber(T, ms / 1000);
          return 1;
        },
      );
    },
    expire: (L) => {
      const { dictionary, settings } = takeSelf(L);
      const key = takeKey(L);
      x.luaL_checknumber(L, 3);
      const ttlMs = takeTtl(state, L, 3);
      return ask<true>(L, (done) => dictionary.expire(key, ttlMs, settings, done), pushBoolean);
    },
    keys: (L) => {
      const { dictionary, settings } = takeSelf(L);
      const limit = x.lua_type(L, 2) <= LUA_TYPE.nil ? KEYS_DEFAULT : state.checkInteger(L, 2);
      if (limit < 1 || limit > KEYS_MAX) state.argumentError(L, 2, `1 to ${KEYS_MAX} expected`);
      return ask<readonly string[]>(
        L,
        (done, isWanted) => dictionary.keys(limit, settings, isWanted, done),
        (T, keys) => {
          x.fuel.value -= keys.length * FUEL_PER_KEY;
          return pushKeys(state, T, keys);
        },
      );
    },
    flush: (L) => {
      const { dictionary, settings } = takeSelf(L);
      return ask<true>(L, (done, isWanted) => dictionary.flush(settings, isWanted, done), pushBoolean);
    },
  };

  // each value is the number under which this script has opened a dictionary
  const objects = new HostObjects(state, 'httpd.shared in a store', methods).protect(false);

  return (L, dictionary, { near, stale, timeoutMs }) => {
    const known = opened.indexOf(dictionary);
    const index = known === -1 ? opened.push(dictionary) - 1 : known;
    const note = Math.ceil(timeoutMs) | (near ? NEAR_BIT : 0) | (stale ? STALE_BIT : 0);
    objects.push(L, index, note);
  };
}
