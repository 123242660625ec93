/** `httpd.shared(name [, options])` and the methods of what it returns; keys and values go from the VM's memory to the shared one. */

import type { HostFunction } from '../lua/host-functions.ts';
import { type CString, LUA_TYPE, type LuaThread, NULL } from '../lua/lua-exports.ts';
import { pushFailure, returningFailures } from '../lua/push-failure.ts';
import type { ScriptContext } from '../script/context/script-context.ts';
import { HostObjects } from '../script/objects/host-objects.ts';
import {
  type Dictionary,
  KEY_BYTES_MAX,
  KEYS_DEFAULT,
  KEYS_MAX,
  type StoreMode,
} from '../shared/dictionary.ts';
import { existsError, incrementError, limitError, missingError } from '../shared/failures.ts';
import { VALUE_TYPE, Value } from '../shared/value.ts';
import { pushKeys, takeName, takeSettings, takeTtl } from './dictionary-arguments.ts';
import { type PushStored, storedDictionaries } from './stored-functions.ts';

const MS_PER_SECOND = 1000;
/** Strings up to this length are put where the VM can take them from at once. */
const DIRECT_BYTES_MAX = 64 * 1024;
/** What work outside the VM costs there, so that the guard looks at the clock in time: as much as inside (wasm-rewriter.ts). */
const BYTES_PER_FUEL = 16;
/** Smaller copies cost less than to say so. */
const COUNTED_BYTES_MIN = 4096;
/** To make the string of a key. */
const FUEL_PER_KEY = 32;
const FUEL_PER_FLUSH = 10_000;

/** `httpd.shared`; makes the metatable. */
export function sharedFunction(script: ScriptContext): HostFunction {
  const { state } = script;
  const { exports: x, memory } = state;
  const opened: Dictionary[] = [];
  /** The metatable of those in a store is made where there are some. */
  let pushStored: PushStored | undefined;
  const indexByName = new Map<string, number>();
  // of the call under way; none runs inside another
  const value = new Value();
  const initial = new Value();
  const floor = new Value();
  const out = new Value((target) => {
    const scratch = target.size <= DIRECT_BYTES_MAX ? memory.scratch(target.size) : undefined;
    target.bytes = scratch === undefined ? Buffer.allocUnsafe(target.size) : memory.heap;
    target.at = scratch ?? 0;
  });
  let keyAt = NULL as CString;
  let keySize = 0;

  function takeSelf(T: LuaThread): Dictionary {
    return opened[objects.check(T, 1)] as Dictionary;
  }

  /** The key is the second argument; its bytes stay where they are as long as it is on the stack. */
  function takeKey(T: LuaThread): void {
    keyAt = x.luaL_checklstring(T, 2, memory.sizeOut);
    keySize = memory.lastSize;
  }

  function keyText(): string {
    return memory.readString(keyAt, Math.min(keySize, KEY_BYTES_MAX + 1));
  }

  function spend(fuel: number): void {
    x.fuel.value -= fuel;
  }

  function spendBytes(bytes: number): void {
    if (bytes >= COUNTED_BYTES_MIN) spend(bytes / BYTES_PER_FUEL);
  }

  function takeNumber(T: LuaThread, index: number, target: Value): void {
    if (x.lua_type(T, index) !== LUA_TYPE.number) x.luaL_typeerror(T, index, memory.constant('number'));
    if (x.lua_isinteger(T, index) !== 0) target.setInteger(x.lua_tointegerx(T, index, NULL));
    else target.setFloat(x.lua_tonumberx(T, index, NULL));
  }

  /** The third argument. The string of a value stays in the VM until it is copied; nothing may call the VM until then. */
  function takeValue(T: LuaThread): void {
    switch (x.lua_type(T, 3)) {
      case LUA_TYPE.boolean:
        value.setBoolean(x.lua_toboolean(T, 3) !== 0);
        return;
      case LUA_TYPE.number:
        takeNumber(T, 3, value);
        return;
      case LUA_TYPE.string: {
        const at = x.lua_tolstring(T, 3, memory.sizeOut);
        value.setString(memory.heap, at, memory.lastSize);
        return;
      }
      default:
        x.luaL_typeerror(T, 3, memory.constant('boolean, number or string'));
    }
  }

  function pushOut(T: LuaThread): number {
    switch (out.type) {
      case VALUE_TYPE.integer:
        x.lua_pushinteger(T, out.integer);
        break;
      case VALUE_TYPE.float:
        x.lua_pushnumber(T, out.float);
        break;
      case VALUE_TYPE.string:
        spendBytes(out.size);
        if (out.size <= DIRECT_BYTES_MAX) x.lua_pushlstring(T, out.at as CString, out.size);
        else {
          const { bytes } = out;
          out.clear();
          state.pushBytes(T, bytes);
        }
        break;
      default:
        x.lua_pushboolean(T, out.type === VALUE_TYPE.yes ? 1 : 0);
    }
    return 1;
  }

  function pushTrue(T: LuaThread): number {
    x.lua_pushboolean(T, 1);
    return 1;
  }

  function storeFunction(mode: StoreMode): HostFunction {
    return (T) => {
      const dictionary = takeSelf(T);
      takeKey(T);
      const ttlMs = takeTtl(state, T, 4);
      if (mode === 'set' && x.lua_type(T, 3) === LUA_TYPE.nil) {
        dictionary.delete(memory.heap, keyAt, keySize);
        return pushTrue(T);
      }
      takeValue(T);
      const outcome = dictionary.store(mode, memory.heap, keyAt, keySize, value, ttlMs);
      const { size } = value;
      value.clear();
      spendBytes(size);
      switch (outcome) {
        case 'stored':
          return pushTrue(T);
        case 'exists':
          return pushFailure(script.state, T, existsError(keyText()));
        case 'missing':
          return pushFailure(script.state, T, missingError(keyText()));
        case 'limit':
          return pushFailure(script.state, T, limitError(keyText(), keySize, size));
      }
    };
  }

  const methods: Record<string, HostFunction> = {
    get: (T) => {
      const dictionary = takeSelf(T);
      takeKey(T);
      if (dictionary.get(memory.heap, keyAt, keySize, out)) return pushOut(T);
      x.lua_pushnil(T);
      return 1;
    },
    set: storeFunction('set'),
    add: storeFunction('add'),
    replace: storeFunction('replace'),
    delete: (T) => {
      const dictionary = takeSelf(T);
      takeKey(T);
      x.lua_pushboolean(T, dictionary.delete(memory.heap, keyAt, keySize) ? 1 : 0);
      return 1;
    },
    incr: (T) => {
      const dictionary = takeSelf(T);
      takeKey(T);
      if (x.lua_type(T, 3) <= LUA_TYPE.nil) value.setInteger(1n);
      else takeNumber(T, 3, value);
      const hasInitial = x.lua_type(T, 4) > LUA_TYPE.nil;
      if (hasInitial) takeNumber(T, 4, initial);
      const ttlMs = takeTtl(state, T, 5);
      const hasFloor = x.lua_type(T, 6) > LUA_TYPE.nil;
      if (hasFloor) takeNumber(T, 6, floor);
      const outcome = dictionary.increment(
        memory.heap,
        keyAt,
        keySize,
        value,
        hasInitial ? initial : undefined,
        ttlMs,
        out,
        hasFloor ? floor : undefined,
      );
      if (outcome === 'stored') return pushOut(T);
      return pushFailure(script.state, T, incrementError(outcome, keyText(), keySize));
    },
    ttl: (T) => {
      const dictionary = takeSelf(T);
      takeKey(T);
      const ms = dictionary.ttl(memory.heap, keyAt, keySize);
      if (ms === undefined) return pushFailure(script.state, T, missingError(keyText()));
      x.lua_pushnumber(T, ms / MS_PER_SECOND);
      return 1;
    },
    expire: (T) => {
      const dictionary = takeSelf(T);
      takeKey(T);
      x.luaL_checknumber(T, 3);
      const ttlMs = takeTtl(state, T, 3);
      if (dictionary.expire(memory.heap, keyAt, keySize, ttlMs)) return pushTrue(T);
      return pushFailure(script.state, T, missingError(keyText()));
    },
    keys: (T) => {
      const dictionary = takeSelf(T);
      const limit = x.lua_type(T, 2) <= LUA_TYPE.nil ? KEYS_DEFAULT : state.checkInteger(T, 2);
      if (limit < 1 || limit > KEYS_MAX) state.argumentError(T, 2, `1 to ${KEYS_MAX} expected`);
      const keys = dictionary.keys(limit);
      spend(keys.length * FUEL_PER_KEY);
      return pushKeys(state, T, keys);
    },
    flush: (T) => {
      takeSelf(T).flush();
      spend(FUEL_PER_FLUSH);
      return pushTrue(T);
    },
  };

  // each value is the number under which this script has opened a dictionary
  const objects = new HostObjects(
    state,
    'httpd.shared',
    Object.fromEntries(Object.entries(methods).map(([name, run]) => [name, returningFailures(state, run)])),
  ).protect(false);

  return returningFailures(state, (T) => {
    const name = takeName(state, T);
    const settings = takeSettings(state, T);
    const stored = script.stored?.find(name);
    if (stored !== undefined) {
      pushStored ??= storedDictionaries(script);
      pushStored(T, stored, settings);
      return 1;
    }
    let index = indexByName.get(name);
    if (index === undefined) {
      const dictionary = script.shared.open(name);
      index = opened.push(dictionary) - 1;
      indexByName.set(name, index);
    }
    objects.push(T, index);
    return 1;
  });
}
