/**
 * Leaves of Lua's `debug` what a script may do to itself: nothing that reaches the registry or the guard's hooks, or
 * that lets it change what C code has on its stack or in its upvalues and takes for granted.
 */
import { LUA_TYPE, type LuaThread } from '../lua/lua-exports.ts';
import type { State } from '../lua/state.ts';

/** `debug.debug` would wait for a terminal, `setcstacklimit` does nothing any more. */
const REMOVED = ['debug', 'gethook', 'getregistry', 'setcstacklimit', 'sethook'] as const;

export function installDebugLibrary(state: State): void {
  const { exports: x, memory, mainThread: L } = state;

  x.lua_getglobal(L, memory.constant('debug'));
  const [getlocal, setlocal, getupvalue, setupvalue, upvalueid] = [
    'getlocal',
    'setlocal',
    'getupvalue',
    'setupvalue',
    'upvalueid',
  ].map((name) => {
    x.lua_getfield(L, -1, memory.constant(name));
    const native = state.nativeFunction(x.lua_tocfunction(L, -1));
    state.pop(L);
    return native;
  }) as [NativeFunction, NativeFunction, NativeFunction, NativeFunction, NativeFunction];

  /** True for a C function as first argument; its upvalues are its own. */
  function isNative(T: LuaThread): boolean {
    return x.lua_type(T, 1) === LUA_TYPE.function && x.lua_tocfunction(T, 1) !== 0;
  }

  /** The name debug.getlocal gives for the arguments of the call; leaves the stack as it is. */
  function localName(T: LuaThread): string | undefined {
    const top = x.lua_gettop(T);
    const count = getlocal(T);
    const found = x.lua_type(T, -count) === LUA_TYPE.string ? state.toString(T, -count) : undefined;
    x.lua_settop(T, top);
    return found;
  }

  const functions = state.addFunctions({
    getlocal: (T) => {
      const count = getlocal(T);
      if (count === 1 || state.toString(T, -2) !== '(C temporary)') return count;
      x.lua_pushnil(T);
      return 1;
    },
    setlocal: (T) => {
      const at = x.lua_type(T, 1) === LUA_TYPE.thread ? 1 : 0;
      if (x.lua_type(T, at + 1) === LUA_TYPE.function || x.lua_type(T, at + 3) === LUA_TYPE.none)
        return setlocal(T);
      // the VM trusts what it keeps beside named variables: the counter of a loop, a buffer of string.gsub
      const found = localName(T);
      if (found === undefined || found === '(vararg)' || !found.startsWith('(')) return setlocal(T);
      x.lua_pushnil(T);
      return 1;
    },
    getupvalue: (T) => {
      if (!isNative(T)) return getupvalue(T);
      state.checkInteger(T, 2);
      return 0;
    },
    setupvalue: (T) => {
      if (!isNative(T)) return setupvalue(T);
      x.luaL_checkany(T, 3);
      state.checkInteger(T, 2);
      return 0;
    },
    upvalueid: (T) => {
      if (!isNative(T)) return upvalueid(T);
      state.checkInteger(T, 2);
      x.lua_pushnil(T);
      return 1;
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
