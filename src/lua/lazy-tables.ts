/**
 * Tables that are filled when they are first looked at, and that no script can tell from ordinary ones: indexing,
 * `pairs`, `next`, `#`, `rawget`, `rawset`, `rawlen`, `getmetatable`, `setmetatable` and their twins in `debug` all see
 * the filled table. Host functions that look at a script's table by themselves call `touch` first.
 *
 * Which filler belongs to a table is known from its address, as long as the table is alive. A weak table knows that:
 * it has a slot for each of the last tables, and when a slot is needed again, the old table is filled if a script
 * still holds it and forgotten otherwise.
 */
import type { HostFunction } from './host-functions.ts';
import { type Address, LUA_TYPE, type LuaThread } from './lua-exports.ts';
import type { Reference, State } from './state.ts';

/** Unfilled tables that are remembered before the oldest has to be settled. */
const REMEMBERED_MAX = 1024;
/** Hash slots a lazy table is made with: room for the fields of an ordinary request. */
const TABLE_SLOTS = 16;

/** Fills the table on top of the stack of `L`, which has lost its lazy metatable, and leaves it there. */
export type Filler = (L: LuaThread) => void;

interface Remembered {
  readonly address: Address;
  readonly fill: Filler;
}

export class LazyTables {
  readonly #state: State;
  readonly #metatable: Reference;
  /** Weak values: slot (as light userdata) → table. */
  readonly #weak: Reference;
  readonly #fillers = new Map<Address, Filler>();
  readonly #remembered: (Remembered | undefined)[] = new Array<Remembered | undefined>(REMEMBERED_MAX);
  #nextSlot = 0;

  constructor(state: State) {
    this.#state = state;
    const { exports: x, memory, mainThread: L } = state;
    x.lua_createtable(L, 0, 1);
    x.lua_createtable(L, 0, 1);
    state.pushString(L, 'v');
    x.lua_setfield(L, -2, memory.constant('__mode'));
    x.lua_setmetatable(L, -2);
    this.#weak = state.keep(L);
    this.#metatable = this.#createMetatable();
    this.#shadowBasicFunctions();
  }

  /** Pushes a new table that `fill` fills at first touch. */
  push(L: LuaThread, fill: Filler): void {
    const { exports: x } = this.#state;
    x.lua_createtable(L, 0, TABLE_SLOTS);
    this.#state.pushReference(L, this.#metatable);
    x.lua_setmetatable(L, -2);
    const address = x.lua_topointer(L, -1);
    const slot = this.#nextSlot;
    this.#nextSlot = slot + 1 === REMEMBERED_MAX ? 0 : slot + 1;
    this.#state.pushReference(L, this.#weak);
    const old = this.#remembered[slot];
    if (old !== undefined) this.#settle(L, old, slot);
    x.lua_pushvalue(L, -2);
    x.lua_rawsetp(L, -2, slot + 1);
    this.#state.pop(L);
    this.#fillers.set(address, fill);
    this.#remembered[slot] = { address, fill };
  }

  /** Forgets a remembered table; one that is still alive is filled. The weak table is on top of the stack. */
  #settle(L: LuaThread, old: Remembered, slot: number): void {
    if (this.#fillers.get(old.address) !== old.fill) return;
    const { exports: x } = this.#state;
    if (x.lua_rawgetp(L, -1, slot + 1) === LUA_TYPE.table) {
      this.#fill(L, x.lua_absindex(L, -1), old.address, old.fill);
    } else this.#fillers.delete(old.address);
    this.#state.pop(L);
  }

  /** Fills the table at `index` if it is a lazy one that has not been filled. */
  touch(L: LuaThread, index: number): void {
    const address = this.#state.exports.lua_topointer(L, index);
    const fill = this.#fillers.get(address);
    if (fill === undefined || !this.#isLazy(L, index)) return;
    this.#fill(L, this.#state.exports.lua_absindex(L, index), address, fill);
  }

  #fill(L: LuaThread, index: number, address: Address, fill: Filler): void {
    const { exports: x } = this.#state;
    this.#fillers.delete(address);
    x.lua_pushnil(L);
    x.lua_setmetatable(L, index);
    x.lua_pushvalue(L, index);
    fill(L);
    this.#state.pop(L);
  }

  /** An address can have been taken over by another table since: only the metatable tells. */
  #isLazy(L: LuaThread, index: number): boolean {
    const { exports: x } = this.#state;
    if (x.lua_type(L, index) !== LUA_TYPE.table || x.lua_getmetatable(L, index) === 0) return false;
    this.#state.pushReference(L, this.#metatable);
    const lazy = x.lua_rawequal(L, -1, -2) !== 0;
    this.#state.pop(L, 2);
    return lazy;
  }

  #createMetatable(): Reference {
    const state = this.#state;
    const { exports: x, memory, mainThread: L } = state;
    x.lua_getglobal(L, memory.constant('next'));
    const next = state.keep(L);
    const functions = state.addFunctions({
      __index: (T) => {
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
    return state.keep(L);
  }

  /** Puts a check for lazy tables before the basic functions that go round metamethods. */
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
          if (this.#fillers.size > 0) this.touch(T, 1);
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
