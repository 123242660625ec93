/**
 * Host objects that the script can drop: nothing is kept for values that it has dropped, and results can be filed for those
 * that it still has.
 */
import type { HostFunction } from '../../lua/host-functions.ts';
import { LUA_TYPE, type LuaThread, NULL } from '../../lua/lua-exports.ts';
import type { Reference, State } from '../../lua/state.ts';
import { type HostObjectKind, HostObjects } from './host-objects.ts';

export class Handles {
  readonly #state: State;
  readonly #objects: HostObjects;
  /** Weak keys: userdata → its number, or the table filed for it. */
  readonly #entries: Reference;
  /** Weak values: number → userdata. */
  readonly #values: Reference;

  constructor(state: State, kind: HostObjectKind, methods: Readonly<Record<string, HostFunction>>) {
    this.#state = state;
    this.#entries = createWeakTable(state, 'k');
    this.#values = createWeakTable(state, 'v');
    this.#objects = new HostObjects(state, kind, methods).protect(kind);
  }

  /** Pushes a new value for `number`. May raise. */
  push(L: LuaThread, number: number, owner: number): void {
    const state = this.#state;
    const { exports: x } = state;
    this.#objects.push(L, number, owner);
    state.pushReference(L, this.#entries);
    x.lua_pushvalue(L, -2);
    state.pushInteger(L, number);
    x.lua_rawset(L, -3);
    state.pop(L);
    state.pushReference(L, this.#values);
    x.lua_pushvalue(L, -2);
    x.lua_rawseti(L, -2, BigInt(number));
    state.pop(L);
  }

  /** The number of argument `n`; undefined when a table has been filed for it; raises when it is no such value. */
  check(L: LuaThread, n: number): number | undefined {
    const { exports: x } = this.#state;
    this.#objects.check(L, n);
    const type = this.pushEntry(L, n);
    const number = type === LUA_TYPE.number ? x.lua_tonumberx(L, -1, NULL) : undefined;
    this.#state.pop(L);
    return number;
  }

  /** Whose it is, of an argument that has passed `check`. */
  owner(L: LuaThread, n: number): number {
    return this.#objects.note(L, n);
  }

  /** Pushes number or table of the value at index `n`, nil for anything else; returns its type. */
  pushEntry(L: LuaThread, n: number): number {
    const { exports: x } = this.#state;
    if (x.lua_type(L, n) !== LUA_TYPE.userdata) {
      x.lua_pushnil(L);
      return LUA_TYPE.nil;
    }
    this.#state.pushReference(L, this.#entries);
    x.lua_pushvalue(L, n);
    const type = x.lua_rawget(L, -2);
    x.lua_copy(L, -1, -2);
    this.#state.pop(L);
    return type;
  }

  /** Files the table on top of the stack for value `number`, if the script still has it, and pops it. May raise. */
  file(L: LuaThread, number: number): void {
    const state = this.#state;
    const { exports: x } = state;
    state.pushReference(L, this.#entries);
    if (this.#pushValue(L, number)) {
      x.lua_pushvalue(L, -3);
      x.lua_rawset(L, -3);
    } else state.pop(L);
    state.pop(L, 2);
  }

  /** True when the script still has value `number`. */
  has(L: LuaThread, number: number): boolean {
    const found = this.#pushValue(L, number);
    this.#state.pop(L);
    return found;
  }

  #pushValue(L: LuaThread, number: number): boolean {
    const { exports: x } = this.#state;
    this.#state.pushReference(L, this.#values);
    const type = x.lua_rawgeti(L, -1, BigInt(number));
    x.lua_copy(L, -1, -2);
    this.#state.pop(L);
    return type !== LUA_TYPE.nil;
  }
}

/** A table of the host's own with weak keys or values. */
export function createWeakTable(state: State, mode: 'k' | 'v'): Reference {
  const { exports: x, memory, mainThread: L } = state;
  x.lua_createtable(L, 0, 0);
  x.lua_createtable(L, 0, 1);
  state.pushString(L, mode);
  x.lua_setfield(L, -2, memory.constant('__mode'));
  x.lua_setmetatable(L, -2);
  return state.keep(L);
}
