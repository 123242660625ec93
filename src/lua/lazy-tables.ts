/**
 * Tables that are filled when they are first looked at, and that no script can tell from ordinary ones: indexing,
 * `pairs`, `next`, `#`, `rawget`, `rawset`, `rawlen`, `getmetatable`, `setmetatable` and their twins in `debug` all see
 * the filled table. Host functions that look at a script's table by themselves call `touch` first.
 *
 * A call of a wrapped function gets two of them, made by Lua code with nothing in them but a number under a key no
 * script can write. The number leads to who fills them. A weak table knows the last ones that are alive; before a
 * number is used again, a table that a script has kept is filled.
 */
import type { HostFunction } from './host-functions.ts';
import { LUA_STATUS, LUA_TYPE, type LuaThread, NULL } from './lua-exports.ts';
import { type Reference, ScriptError, type State } from './state.ts';

/** Calls that are remembered before the tables of the oldest are settled. */
const REMEMBERED_MAX = 1024;
/** Calls settled in one go. */
const BLOCK = 64;
/** Key of a table's number: a light userdata, which no script can make. */
const NUMBER_KEY = 0x6c67_7732;

/** Who fills the tables of one call. */
export interface TableSource {
  /** Fills the first (0) or second (1) argument: the table on top of the stack of `L`, which it leaves there. */
  fill(L: LuaThread, argument: 0 | 1): void;
  /** Pushes the one value the filled table would give for `name` (perhaps nil); false: the table has to be filled. */
  peek(L: LuaThread, argument: 0 | 1, name: string): boolean;
}

const PRELUDE = `
local weak, lazy, KEY, setmetatable, getmetatable, settle = ...
local function wrap(handler)
  return function(n)
    local first, second = setmetatable({ [KEY] = n }, lazy), setmetatable({ [KEY] = n + 1 }, lazy)
    weak[n], weak[n + 1] = first, second
    return handler(first, second)
  end
end
local function sweep(from, to)
  for n = from, to do
    local t = weak[n]
    if t and getmetatable(t) == lazy then settle(t) end
    weak[n] = nil
  end
end
return wrap, sweep`;

export class LazyTables {
  readonly #state: State;
  readonly #wrap: Reference;
  readonly #sweep: Reference;
  /** Where the metatable of unfilled tables stands. */
  #metatable = 0;
  readonly #sources: (TableSource | undefined)[] = new Array<TableSource | undefined>(REMEMBERED_MAX);
  #next = 0;

  constructor(state: State) {
    this.#state = state;
    const { exports: x, memory, mainThread: L } = state;
    state.load(L, Buffer.from(PRELUDE), '=lgateway');
    x.lua_createtable(L, REMEMBERED_MAX * 2, 0);
    x.lua_createtable(L, 0, 1);
    state.pushString(L, 'v');
    x.lua_setfield(L, -2, memory.constant('__mode'));
    x.lua_setmetatable(L, -2);
    this.#pushMetatable(L);
    x.lua_pushlightuserdata(L, NUMBER_KEY);
    x.lua_getglobal(L, memory.constant('setmetatable'));
    x.lua_getglobal(L, memory.constant('getmetatable'));
    const { settle } = state.addFunctions({
      settle: (T) => {
        this.touch(T, 1);
        return 0;
      },
    });
    x.lua_pushcclosure(L, settle, 0);
    state.call(L, 6, 2);
    this.#sweep = state.keep(L);
    this.#wrap = state.keep(L);
    this.#shadowBasicFunctions();
  }

  /** Replaces the function on top of the stack by one that takes what `reserve` returns and calls it with two tables. */
  wrap(L: LuaThread): void {
    const { exports: x } = this.#state;
    this.#state.pushReference(L, this.#wrap);
    x.lua_rotate(L, -2, 1);
    this.#state.call(L, 1, 1);
  }

  /** Takes a number for the tables of the next call; throws ScriptError when an older table cannot be filled. */
  reserve(L: LuaThread, source: TableSource): number {
    const slot = this.#next;
    if (slot % BLOCK === 0) this.#settleBlock(L, slot);
    this.#sources[slot] = source;
    this.#next = slot + 1 === REMEMBERED_MAX ? 0 : slot + 1;
    return slot * 2 + 1;
  }

  /** Fills the table at `index` if it is a lazy one that has not been filled. */
  touch(L: LuaThread, index: number): void {
    const { exports: x } = this.#state;
    if (x.lua_getmetatable(L, index) === 0) return;
    const metatable = x.lua_topointer(L, -1);
    this.#state.pop(L);
    if (metatable === this.#metatable) this.#fill(L, x.lua_absindex(L, index));
  }

  /** Forgets a block of numbers; tables of theirs that are alive and unfilled are filled. */
  #settleBlock(L: LuaThread, first: number): void {
    const { exports: x } = this.#state;
    if (this.#sources[first] !== undefined) {
      this.#state.pushReference(L, this.#sweep);
      x.lua_pushnumber(L, first * 2 + 1);
      x.lua_pushnumber(L, (first + BLOCK) * 2);
      if (x.lua_pcallk(L, 2, 0, 0, 0, NULL) !== LUA_STATUS.ok) {
        this.#state.pop(L);
        throw new ScriptError('not enough memory');
      }
    }
    this.#sources.fill(undefined, first, first + BLOCK);
  }

  #fill(L: LuaThread, index: number): void {
    const { exports: x } = this.#state;
    x.lua_rawgetp(L, index, NUMBER_KEY);
    const number = x.lua_tonumberx(L, -1, NULL);
    this.#state.pop(L);
    x.lua_pushnil(L);
    x.lua_rawsetp(L, index, NUMBER_KEY);
    x.lua_pushnil(L);
    x.lua_setmetatable(L, index);
    const source = this.#sources[(number - 1) >> 1];
    x.lua_pushvalue(L, index);
    source?.fill(L, number % 2 === 1 ? 0 : 1);
    this.#state.pop(L);
  }

  /** Answers the look-up of a string, index 2, in the table at index 1 without filling it. */
  #peek(L: LuaThread): boolean {
    const { exports: x } = this.#state;
    if (x.lua_type(L, 1) !== LUA_TYPE.table) return false;
    x.lua_rawgetp(L, 1, NUMBER_KEY);
    const number = x.lua_tonumberx(L, -1, NULL);
    this.#state.pop(L);
    const source = this.#sources[(number - 1) >> 1];
    return source?.peek(L, number % 2 === 1 ? 0 : 1, this.#state.toString(L, 2) as string) ?? false;
  }

  /** Pushes the metatable of unfilled tables and notes where it stands. */
  #pushMetatable(L: LuaThread): void {
    const state = this.#state;
    const { exports: x, memory } = state;
    x.lua_getglobal(L, memory.constant('next'));
    const next = state.keep(L);
    const functions = state.addFunctions({
      __index: (T) => {
        if (x.lua_type(T, 2) === LUA_TYPE.string && this.#peek(T)) return 1;
        this.touch(T, 1);
        x.lua_settop(T, 2);
        x.lua_gettable(T, 1);
        return 1;
      },
      __newindex: (T) => {
        this.touch(T, 1);
        x.lua_settop(T, 3);
        x.lua_settable(T, 1);
        return 0;
      },
      __len: (T) => {
        this.touch(T, 1);
        x.lua_pushinteger(T, x.lua_rawlen(T, 1));
        return 1;
      },
      __pairs: (T) => {
        this.touch(T, 1);
        state.pushReference(T, next);
        x.lua_pushvalue(T, 1);
        x.lua_pushnil(T);
        return 3;
      },
    });
    x.lua_createtable(L, 0, 4);
    state.setFunctions(L, -1, functions);
    this.#metatable = x.lua_topointer(L, -1);
  }

  /** Puts a check for lazy tables before the functions that go round metamethods. */
  #shadowBasicFunctions(): void {
    const state = this.#state;
    const { exports: x, memory, mainThread: L } = state;
    const shadow = (library: string, names: readonly string[]): void => {
      const shadowed: Record<string, HostFunction> = {};
      x.lua_getglobal(L, memory.constant(library));
      for (const name of names) {
        x.lua_getfield(L, -1, memory.constant(name));
        const native = state.nativeFunction(x.lua_tocfunction(L, -1));
        state.pop(L);
        shadowed[name] = (T) => {
          if (x.lua_type(T, 1) === LUA_TYPE.table) this.touch(T, 1);
          return native(T);
        };
      }
      state.setFunctions(L, -1, state.addFunctions(shadowed));
      state.pop(L);
    };
    shadow('_G', ['next', 'rawget', 'rawset', 'rawlen', 'getmetatable', 'setmetatable']);
    shadow('debug', ['getmetatable', 'setmetatable']);
  }
}
