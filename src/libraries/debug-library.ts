/**
 * Leaves of Lua's `debug` what a script may do to itself: nothing that reaches the registry or the guard's hooks, or
 * that lets it see or change what C code and Lua code of the gateway's own have on their stacks or in their upvalues and
 * take for granted.
 */
import { isOwnFunction, isOwnLevel } from '../lua/function-facts.ts';
import { LUA_TYPE, type LuaThread, NULL } from '../lua/lua-exports.ts';
import type { State } from '../lua/state.ts';

/** `debug.debug` would wait for a terminal, `setcstacklimit` does nothing any more. */
const REMOVED = ['debug', 'getregistry', 'setcstacklimit', 'sethook'] as const;

/** Of a name, what tells those that the VM gives (bytes). */
const NAME_BYTES_MAX = 32;

export function installDebugLibrary(state: State): void {
  const { exports: x, memory, mainThread: L } = state;

  x.lua_getglobal(L, memory.constant('debug'));
  const [getinfo, getlocal, setlocal, getupvalue, setupvalue, upvalueid, upvaluejoin] = [
    'getinfo',
    'getlocal',
    'setlocal',
    'getupvalue',
    'setupvalue',
    'upvalueid',
    'upvaluejoin',
  ].map((name) => {
    x.lua_getfield(L, -1, memory.constant(name));
    const native = state.nativeFunction(x.lua_tocfunction(L, -1));
    state.pop(L);
    return native;
  }) as [
    NativeFunction,
    NativeFunction,
    NativeFunction,
    NativeFunction,
    NativeFunction,
    NativeFunction,
    NativeFunction,
  ];

  /** True for a function as argument `n` that is none of the script's own: a C function, or Lua code of the gateway. */
  function isForeign(T: LuaThread, n: number): boolean {
    if (x.lua_type(T, n) !== LUA_TYPE.function) return false;
    return x.lua_tocfunction(T, n) !== 0 || isOwnFunction(state, T, n);
  }

  /**
   * True when the arguments, perhaps a thread and then a level, name a function of the gateway's. A finaliser may run
   * on top of one.
   */
  function isForeignLevel(T: LuaThread): boolean {
    const at = x.lua_type(T, 1) === LUA_TYPE.thread ? 1 : 0;
    if (x.lua_type(T, at + 1) === LUA_TYPE.function) return false;
    const level = Number(BigInt.asIntN(32, x.lua_tointegerx(T, at + 1, NULL)));
    return isOwnLevel(state, at === 1 ? x.lua_tothread(T, 1) : T, level);
  }

  /** The name debug.getlocal gives for the arguments of the call; leaves the stack as it is. */
  function localName(T: LuaThread): string | undefined {
    const top = x.lua_gettop(T);
    const count = getlocal(T);
    const found =
      x.lua_type(T, -count) === LUA_TYPE.string ? state.toString(T, -count, NAME_BYTES_MAX) : undefined;
    x.lua_settop(T, top);
    return found;
  }

  const functions = state.addFunctions({
    // the truth about a hook that no Lua code has set, as the guard's: libraries that save a hook and put it back leave it alone
    gethook: (T) => {
      state.pushString(T, 'external hook');
      state.pushString(T, '');
      state.pushInteger(T, 0);
      return 3;
    },
    // below every handler stands a function of the gateway's, which nobody else may call
    getinfo: (T) => {
      const count = getinfo(T);
      if (x.lua_type(T, -1) !== LUA_TYPE.table) return count;
      const type = x.lua_getfield(T, -1, memory.constant('func'));
      const isOwn = type === LUA_TYPE.function && isOwnFunction(state, T, -1);
      state.pop(T);
      if (isOwn) {
        x.lua_pushnil(T);
        x.lua_setfield(T, -2, memory.constant('func'));
      }
      return count;
    },
    getlocal: (T) => {
      if (isForeignLevel(T)) {
        x.lua_pushnil(T);
        return 1;
      }
      const count = getlocal(T);
      if (count === 1 || state.toString(T, -2, NAME_BYTES_MAX) !== '(C temporary)') return count;
      x.lua_pushnil(T);
      return 1;
    },
    setlocal: (T) => {
      const at = x.lua_type(T, 1) === LUA_TYPE.thread ? 1 : 0;
      if (x.lua_type(T, at + 1) === LUA_TYPE.function || x.lua_type(T, at + 3) === LUA_TYPE.none)
        return setlocal(T);
      // the VM trusts the unnamed values in stack slots: the counter of a loop, the buffer of string.gsub
      const found = localName(T);
      const isNamed = found === undefined || found === '(vararg)' || !found.startsWith('(');
      if (isNamed && !isForeignLevel(T)) return setlocal(T);
      x.lua_pushnil(T);
      return 1;
    },
    getupvalue: (T) => {
      if (!isForeign(T, 1)) return getupvalue(T);
      state.checkInteger(T, 2);
      return 0;
    },
    setupvalue: (T) => {
      if (!isForeign(T, 1)) return setupvalue(T);
      x.luaL_checkany(T, 3);
      state.checkInteger(T, 2);
      return 0;
    },
    upvalueid: (T) => {
      if (!isForeign(T, 1)) return upvalueid(T);
      state.checkInteger(T, 2);
      x.lua_pushnil(T);
      return 1;
    },
    upvaluejoin: (T) => {
      for (const n of [1, 3]) if (isForeign(T, n)) state.argumentError(T, n, 'Lua function expected');
      return upvaluejoin(T);
    },
  });
  state.setFunctions(L, -1, functions);
  for (const name of REMOVED) {
    x.lua_pushnil(L);
    x.lua_setfield(L, -2, memory.constant(name));
  }
  state.pop(L);
}

type NativeFunction = ReturnType<State['nativeFunction']>;
