/**
 * Tables that are filled when they are first looked at, and that no script can tell from ordinary ones: indexing,
 * `pairs`, `next`, `#`, `rawget`, `rawset`, `rawlen`, `getmetatable`, `setmetatable` and their twins in `debug` all see
 * the filled table. Host functions that look at a script's table by themselves call `touch` first.
 *
 * A call of a wrapped function gets two of them, made by Lua code with nothing in them but the facts they are filled
 * from, under keys no script can write: any one Lua value, and in the first table a number. Nothing outside the VM has to
 * be remembered for them, however long a script keeps them. Facts that serve many calls are a table, and prepared: they have
 * metatables of their own, so that making and reading the two tables costs less.
 *
 * Lua code of the gateway's own makes others by metatables that name a function to fill them with (`pushMeans`).
 */
import { parametersOf, pushLowestLocals } from './function-facts.ts';
import type { HostFunction } from './host-functions.ts';
import { LIGHT_USERDATA } from './light-userdata.ts';
import { type CFunction, LUA_TYPE, type LuaThread, NULL } from './lua-exports.ts';
import { readLuaSource } from './lua-source.ts';
import type { Reference, State } from './state.ts';

const { tableFacts: FACTS_KEY, tableNumber: NUMBER_KEY, tableFiller: FILLER_KEY } = LIGHT_USERDATA;

/**
 * Where prepared facts have two tables: the values that `Peek` has given for the first and the second argument, by name, and
 * false for nil. They have to hold for all tables of the same facts. Who adds to them bounds them.
 */
export const FOUND_KEYS: readonly [number, number] = [LIGHT_USERDATA.firstFound, LIGHT_USERDATA.secondFound];

/**
 * Fills the first (0) or second (1) argument: the table on top of the stack of `L`, with the facts below it, where it
 * leaves both. `number` is that of the call, 0 in the second table.
 */
export type Fill = (L: LuaThread, argument: 0 | 1, number: number) => void;

/** Who makes the calls. */
export interface Caller {
  /** The call that runs is over before its handler has been called: something before it has done what there was to do. */
  isOver(): boolean;
  /** Takes the two tables of the call that runs off the top of the stack. */
  keepTables(L: LuaThread): void;
}

/**
 * Pushes the one value the filled table would give for the string at index 2 (perhaps nil); false: the table has to be
 * filled. The facts are on top of the stack.
 */
export type Peek = (L: LuaThread, argument: 0 | 1, number: number) => boolean;

const PRELUDE = readLuaSource('lua/lazy-tables.lua');
/** Where Lua code of the gateway's own has the two tables of a call. */
const TABLE_VARIABLES = ['env', 'header'] as const;

export class LazyTables {
  readonly #state: State;
  readonly #fillTable: Fill;
  readonly #peekInto: Peek;
  readonly #wrap: Reference;
  readonly #wrapBare: Reference;
  readonly #make: Reference;
  readonly #prepare: Reference;
  readonly #precede: Reference;
  readonly #keepTables: Reference;
  /** The functions as they were before they were shadowed. */
  readonly #setMetatable: Reference;
  readonly #getMetatable: Reference;
  /** Where the metatables of the two arguments stand, those without prepared facts. */
  readonly #metatables: readonly [number, number];

  constructor(state: State, fill: Fill, peek: Peek, caller: Caller = NOBODY) {
    this.#state = state;
    this.#fillTable = fill;
    this.#peekInto = peek;
    const { exports: x, memory, mainThread: L } = state;
    state.load(L, PRELUDE, '=lgateway');
    const metamethods = this.#createMetamethods();
    this.#metatables = [this.#pushMetatable(L, metamethods), this.#pushMetatable(L, metamethods)];
    x.lua_pushlightuserdata(L, FACTS_KEY);
    x.lua_pushlightuserdata(L, NUMBER_KEY);
    x.lua_getglobal(L, memory.constant('setmetatable'));
    for (const key of FOUND_KEYS) x.lua_pushlightuserdata(L, key);
    for (const fn of this.#createQuestions(caller)) x.lua_pushcclosure(L, fn, 0);
    state.call(L, 9, 6);
    this.#keepTables = state.keep(L);
    this.#precede = state.keep(L);
    this.#prepare = state.keep(L);
    this.#make = state.keep(L);
    this.#wrapBare = state.keep(L);
    this.#wrap = state.keep(L);
    x.lua_getglobal(L, memory.constant('setmetatable'));
    this.#setMetatable = state.keep(L);
    x.lua_getglobal(L, memory.constant('getmetatable'));
    this.#getMetatable = state.keep(L);
    this.#shadowBasicFunctions();
  }

  /**
   * Pushes what Lua code needs to make lazy tables of its own: the key under which their metatable has the function that
   * fills one (and takes the metatable off it), and `setmetatable` and `getmetatable` as they are without this class.
   */
  pushMeans(L: LuaThread): number {
    this.#state.exports.lua_pushlightuserdata(L, FILLER_KEY);
    this.#state.pushReference(L, this.#setMetatable);
    this.#state.pushReference(L, this.#getMetatable);
    return 3;
  }

  /**
   * Replaces the function on top of the stack by one that takes the facts, a number of 32 bits (as `pushNumber` pushes it), true
   * where the facts are not prepared, and a table of parameters or nothing. It makes two tables, with which it calls what
   * `precede` was given and then the function, and returns them behind the function's first result.
   */
  wrap(L: LuaThread): void {
    this.#replace(L, this.#wrap);
  }

  /** The same for a function that takes nothing, where nothing before it takes the tables: it is called with nothing. */
  wrapBare(L: LuaThread): void {
    this.#replace(L, this.#wrapBare);
  }

  /** True when the function on top of the stack may take the two tables. */
  takesTables(L: LuaThread): boolean {
    const { count, isVariadic } = parametersOf(this.#state, L);
    return count > 0 || isVariadic;
  }

  /** From now on the function on top of the stack, which is popped, is called before every wrapped one, behind those of before. */
  precede(L: LuaThread): void {
    this.#state.pushReference(L, this.#precede);
    this.#state.exports.lua_rotate(L, -2, 1);
    this.#state.exports.lua_callk(L, 1, 0, 0, NULL);
  }

  /** From now on the caller gets the tables of each call, before anything else is called with them. */
  keepTables(L: LuaThread): void {
    this.#state.pushReference(L, this.#keepTables);
    this.#state.exports.lua_callk(L, 0, 0, 0, NULL);
  }

  /** Prepares the facts on top of the stack, a table, whose entries 1 and 2 are taken for it. May raise. */
  prepare(L: LuaThread): void {
    const { exports: x } = this.#state;
    this.#state.pushReference(L, this.#prepare);
    x.lua_pushvalue(L, -2);
    x.lua_callk(L, 1, 0, 0, NULL);
  }

  /** Makes the two tables of a call, of the `count` arguments on top of the stack that a wrapped function takes. May raise. */
  make(L: LuaThread, count: number): void {
    this.#state.pushReference(L, this.#make);
    this.#state.exports.lua_rotate(L, -count - 1, 1);
    this.#state.exports.lua_callk(L, count, 3, 0, NULL);
    this.#state.exports.lua_rotate(L, -3, -1);
    this.#state.pop(L);
  }

  /**
   * Pushes the two tables of the call that `thread` is in, where its lowest function is a wrapped one, or one of the
   * gateway's own that has them in variables of the same names. False: it is not, and nothing was pushed.
   */
  pushTablesOf(L: LuaThread, thread: LuaThread): boolean {
    return pushLowestLocals(this.#state, L, thread, TABLE_VARIABLES);
  }

  pushNumber(L: LuaThread, number: number): void {
    this.#state.exports.lua_pushlightuserdata(L, number);
  }

  /** Fills the table at `index` if it is a lazy one that has not been filled. */
  touch(L: LuaThread, index: number): void {
    const { exports: x } = this.#state;
    const table = x.lua_absindex(L, index);
    if (x.lua_getmetatable(L, table) === 0) return;
    const argument = this.#argumentOf(L, table);
    if (argument !== undefined) {
      this.#fill(L, table, argument);
      return;
    }
    if (x.lua_rawgetp(L, -1, FILLER_KEY) === LUA_TYPE.function) {
      x.lua_pushvalue(L, table);
      x.lua_callk(L, 1, 0, 0, NULL);
      this.#state.pop(L);
      return;
    }
    this.#state.pop(L, 2);
  }

  /** Answers the look-up of a string, index 2, in the table at index 1 without filling it. */
  #peek(L: LuaThread): boolean {
    const { exports: x } = this.#state;
    if (x.lua_getmetatable(L, 1) === 0) return false;
    const argument = this.#argumentOf(L, 1);
    if (argument !== undefined) return this.#peekInto(L, argument, this.#numberOf(L, 1));
    this.#state.pop(L);
    return false;
  }

  /**
   * Which argument the table at the absolute index `table` is, whose metatable is on top of the stack: the facts take the place of
   * the metatable. Undefined: it is no unfilled one, and the metatable stays.
   */
  #argumentOf(L: LuaThread, table: number): 0 | 1 | undefined {
    const { exports: x } = this.#state;
    let argument = this.#metatables.indexOf(x.lua_topointer(L, -1));
    if (argument !== -1) x.lua_rawgetp(L, table, FACTS_KEY);
    else if (x.lua_rawgetp(L, -1, FACTS_KEY) === LUA_TYPE.table) {
      argument = x.lua_rawgetp(L, -2, NUMBER_KEY) === LUA_TYPE.nil ? 0 : 1;
      this.#state.pop(L);
    } else {
      this.#state.pop(L);
      return undefined;
    }
    x.lua_rotate(L, -2, 1);
    this.#state.pop(L);
    return argument === 0 ? 0 : 1;
  }

  /** The facts are on top of the stack, and are popped. */
  #fill(L: LuaThread, index: number, argument: 0 | 1): void {
    const { exports: x } = this.#state;
    const number = this.#numberOf(L, index);
    for (const key of [FACTS_KEY, NUMBER_KEY]) {
      const isThere = x.lua_rawgetp(L, index, key) !== LUA_TYPE.nil;
      this.#state.pop(L);
      if (!isThere) continue;
      x.lua_pushnil(L);
      x.lua_rawsetp(L, index, key);
    }
    x.lua_pushnil(L);
    x.lua_setmetatable(L, index);
    x.lua_pushvalue(L, index);
    this.#fillTable(L, argument, number);
    x.lua_settop(L, -3);
  }

  #numberOf(L: LuaThread, index: number): number {
    const { exports: x } = this.#state;
    x.lua_rawgetp(L, index, NUMBER_KEY);
    const number = x.lua_touserdata(L, -1) >>> 0;
    this.#state.pop(L);
    return number;
  }

  /** Pushes a metatable of unfilled tables; the result is where it stands. */
  #pushMetatable(L: LuaThread, metamethods: Readonly<Record<string, CFunction>>): number {
    const { exports: x } = this.#state;
    x.lua_createtable(L, 0, 4);
    this.#state.setFunctions(L, -1, metamethods);
    return x.lua_topointer(L, -1);
  }

  /** Replaces the function on top of the stack by what `by` makes of it. */
  #replace(L: LuaThread, by: Reference): void {
    this.#state.pushReference(L, by);
    this.#state.exports.lua_rotate(L, -2, 1);
    this.#state.call(L, 1, 1);
  }

  #createQuestions(caller: Caller): CFunction[] {
    const { exports: x } = this.#state;
    const { isOver, keep } = this.#state.addFunctions({
      isOver: (T) => {
        if (!caller.isOver()) return 0;
        x.lua_pushboolean(T, 1);
        return 1;
      },
      keep: (T) => {
        caller.keepTables(T);
        return 0;
      },
    });
    return [isOver, keep];
  }

  #createMetamethods(): Record<string, CFunction> {
    const state = this.#state;
    const { exports: x, memory, mainThread: L } = state;
    x.lua_getglobal(L, memory.constant('next'));
    const next = state.keep(L);
    return state.addFunctions({
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

const NOBODY: Caller = {
  isOver: () => false,
  keepTables: () => undefined,
};
