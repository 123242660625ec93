/**
 * Userdata that stand for something of the host's, known by number. What a value is filed under is looked up by its
 * identity, so that nothing a script does to metatables makes one of something else; nothing is kept for values that
 * the script has dropped.
 */
import type { HostFunction } from '../lua/host-functions.ts';
import { LUA_TYPE, type LuaThread, NULL } from '../lua/lua-exports.ts';
import type { Reference, State } from '../lua/state.ts';

/** Two words: 0, which is no open file should a script make it look like one, and the owner's number. */
const USERDATA_BYTES = 8;
const OWNER_OFFSET = 4;

export class Handles {
  readonly #state: State;
  readonly #typeName: string;
  /** Weak keys: userdata → its number, or the table filed for it. */
  readonly #entries: Reference;
  /** Weak values: number → userdata. */
  readonly #values: Reference;

  /** `typeName` is what messages and `tostring` call them. */
  constructor(state: State, typeName: string, methods: Readonly<Record<string, HostFunction>>) {
    this.#state = state;
    this.#typeName = typeName;
    this.#entries = createWeakTable(state, 'k');
    this.#values = createWeakTable(state, 'v');
    const { exports: x, memory, mainThread: L } = state;
    x.luaL_newmetatable(L, memory.constant(typeName));
    x.lua_createtable(L, 0, 1);
    state.setFunctions(L, -1, state.addFunctions(methods));
    x.lua_setfield(L, -2, memory.constant('__index'));
    state.pushString(L, typeName);
    x.lua_setfield(L, -2, memory.constant('__metatable'));
    state.pop(L);
  }

  /** Pushes a new value for `number`. May raise. */
  push(L: LuaThread, number: number, owner: number): void {
    const state = this.#state;
    const { exports: x, memory } = state;
    const address = x.lua_newuserdatauv(L, USERDATA_BYTES, 0);
    memory.setWord(address, 0);
    memory.setWord((address + OWNER_OFFSET) as typeof address, owner);
    x.luaL_setmetatable(L, memory.constant(this.#typeName));
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
    const type = this.pushEntry(L, n);
    const number = type === LUA_TYPE.number ? x.lua_tonumberx(L, -1, NULL) : undefined;
    this.#state.pop(L);
    if (type === LUA_TYPE.nil) x.luaL_typeerror(L, n, this.#state.memory.constant(this.#typeName));
    return number;
  }

  /** Whose it is, of an argument that has passed `check`. */
  owner(L: LuaThread, n: number): number {
    const { exports: x, memory } = this.#state;
    return memory.word((x.lua_touserdata(L, n) + OWNER_OFFSET) as ReturnType<typeof x.lua_touserdata>);
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

function createWeakTable(state: State, mode: 'k' | 'v'): Reference {
  const { exports: x, memory, mainThread: L } = state;
  x.lua_createtable(L, 0, 0);
  x.lua_createtable(L, 0, 1);
  state.pushString(L, mode);
  x.lua_setfield(L, -2, memory.constant('__mode'));
  x.lua_setmetatable(L, -2);
  return state.keep(L);
}
