/**
 * `require`, as loadlib.c has it, but a searcher and the body of a module may wait for the host: Lua's own is a C function
 * that no yield can cross.
 */
import { countLevels, hasLevels } from '../lua/function-facts.ts';
import type { Guard } from '../lua/guard.ts';
import { LuaError } from '../lua/lua-error.ts';
import { LUA_TYPE, type LuaThread, REGISTRY_INDEX } from '../lua/lua-exports.ts';
import type { State } from '../lua/state.ts';

/** Where things stand on the stack of a call. */
const NAME = 1;
const LOADED = 2;
const SEARCHERS = 3;
/** What the searchers asked so far said of their failure. */
const FAILURES = 4;
/** What a searcher returned: a loader and a value for it. */
const LOADER = 5;
const LOADER_DATA = 6;

/** Modules that are loaded inside each other: more are taken for a circle. Lua's own `require` ends at the limit of the C stack. */
const NESTED_MAX = 100;
/** Levels that so many take, when each requires the next in a `pcall`; and what to look at them costs (200 µs). */
const NESTED_LEVELS = 3 * NESTED_MAX;
const UNITS_PER_COUNT = 40_000;

/** Puts `require` in the place of Lua's. */
export function installRequire(state: State, guard: Guard): void {
  const { exports: x, memory, mainThread: L } = state;
  x.lua_getglobal(L, memory.constant('package'));
  const library = state.keep(L);

  const searched = state.addContinuation((T, _status, index) => judge(T, index));
  const loaded = state.addContinuation(finish);

  /** Asks the searcher with number `index`, and all behind it. */
  function search(T: LuaThread, index: number): number {
    x.lua_settop(T, FAILURES);
    if (x.lua_rawgeti(T, SEARCHERS, BigInt(index)) === LUA_TYPE.nil) {
      const name = state.toString(T, NAME);
      throw new LuaError(`module '${name}' not found:${state.toString(T, FAILURES)}`);
    }
    x.lua_pushvalue(T, NAME);
    x.lua_callk(T, 1, 2, index, searched);
    return judge(T, index);
  }

  /** The searcher has returned two values. */
  function judge(T: LuaThread, index: number): number {
    if (x.lua_type(T, LOADER) === LUA_TYPE.function) return load(T);
    // a number counts as a string, as in C
    const failure = x.lua_type(T, LOADER);
    if (failure === LUA_TYPE.string || failure === LUA_TYPE.number) {
      const failures = `${state.toString(T, FAILURES)}\n\t${state.toString(T, LOADER)}`;
      x.lua_settop(T, FAILURES - 1);
      state.pushString(T, failures);
    }
    return search(T, index + 1);
  }

  /** The stack of the coroutine tells, which an error, a kill or a wait leaves as true as before. */
  function refuseCircle(T: LuaThread): void {
    if (!hasLevels(state, T, NESTED_MAX)) return;
    guard.pay(UNITS_PER_COUNT);
    if (countLevels(state, T, require, NESTED_LEVELS) <= NESTED_MAX) return;
    const name = state.toString(T, NAME);
    throw new LuaError(
      `module '${name}' is required while ${NESTED_MAX} modules are being loaded inside each other: do they require each other in a circle?`,
    );
  }

  function load(T: LuaThread): number {
    x.lua_pushvalue(T, LOADER);
    x.lua_pushvalue(T, NAME);
    x.lua_pushvalue(T, LOADER_DATA);
    x.lua_callk(T, 2, 1, 0, loaded);
    return finish(T);
  }

  /** The loader has returned; what `package.loaded` holds then is the module. */
  function finish(T: LuaThread): number {
    if (x.lua_type(T, -1) !== LUA_TYPE.nil) setLoaded(T);
    x.lua_settop(T, LOADER_DATA);
    x.lua_pushvalue(T, NAME);
    if (x.lua_gettable(T, LOADED) === LUA_TYPE.nil) {
      x.lua_pushboolean(T, 1);
      x.lua_copy(T, -1, -2);
      setLoaded(T);
    }
    x.lua_pushvalue(T, LOADER_DATA);
    return 2;
  }

  /** `package.loaded[name]` becomes the value on top, which is popped. */
  function setLoaded(T: LuaThread): void {
    x.lua_pushvalue(T, NAME);
    x.lua_rotate(T, -2, 1);
    x.lua_settable(T, LOADED);
  }

  const { require } = state.addFunctions({
    require: (T) => {
      state.checkString(T, NAME);
      x.lua_settop(T, NAME);
      x.lua_getfield(T, REGISTRY_INDEX, memory.constant('_LOADED'));
      x.lua_pushvalue(T, NAME);
      x.lua_gettable(T, LOADED);
      if (x.lua_toboolean(T, -1) !== 0) return 1;
      x.lua_settop(T, LOADED);
      refuseCircle(T);
      state.pushReference(T, library);
      if (x.lua_getfield(T, -1, memory.constant('searchers')) !== LUA_TYPE.table)
        throw new LuaError("'package.searchers' must be a table");
      x.lua_copy(T, -1, SEARCHERS);
      x.lua_settop(T, SEARCHERS);
      state.pushString(T, '');
      return search(T, 1);
    },
  });
  x.lua_pushcclosure(L, require, 0);
  x.lua_setglobal(L, memory.constant('require'));
}
