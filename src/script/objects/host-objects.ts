/**
 * Userdata that stand for something of the host's, by a number: the one way in which files, streams, dictionaries, tasks
 * and timers are known again. A value has to have the metatable of its kind, as in C's Lua; and because a script with
 * `debug` may give that to something else, also its mark, among the bytes that no script can write.
 */
import type { HostFunction } from '../../lua/host-functions.ts';
import type { Address, CString, LuaThread } from '../../lua/lua-exports.ts';
import type { State } from '../../lua/state.ts';

/**
 * The kinds, each with the mark that its userdata begin with. They are odd: userdata of Lua's own libraries begin with an
 * address.
 */
const MARKS = {
  'FILE*': 0x6c67_6601,
  'httpd.shared': 0x6c67_6603,
  'httpd.shared in a store': 0x6c67_660d,
  'httpd.stream': 0x6c67_6605,
  'httpd.task': 0x6c67_6607,
  'httpd.timer': 0x6c67_6609,
  // no script sees one
  'FILE* owner': 0x6c67_660b,
} as const;

/** Name of a kind, as `tostring` and messages call it: "FILE* expected, got nil". */
export type HostObjectKind = keyof typeof MARKS;

/** Three words: the mark, the number, and one for the use of the part that makes the object. */
const USERDATA_BYTES = 12;
const NUMBER_OFFSET = 4;
const NOTE_OFFSET = 8;

export class HostObjects {
  readonly #state: State;
  readonly #name: CString;
  readonly #mark: number;

  /** Makes the metatable of a kind: `methods` are found by their names, `metamethods` are its own entries. */
  constructor(
    state: State,
    kind: HostObjectKind,
    methods: Readonly<Record<string, HostFunction>> | undefined,
    metamethods: Readonly<Record<string, HostFunction>> = {},
  ) {
    this.#state = state;
    this.#name = state.memory.constant(kind);
    this.#mark = MARKS[kind];
    const { exports: x, memory, mainThread: L } = state;
    x.luaL_newmetatable(L, memory.constant(kind));
    state.setFunctions(L, -1, state.addFunctions(metamethods));
    if (methods !== undefined) {
      x.lua_createtable(L, 0, Object.keys(methods).length);
      state.setFunctions(L, -1, state.addFunctions(methods));
      x.lua_setfield(L, -2, memory.constant('__index'));
    }
    state.pop(L);
  }

  /** Hides the metatable: `getmetatable` gives `shown`. For kinds whose values all scripts of a state share. */
  protect(shown: string | false): this {
    const { exports: x, memory, mainThread: L } = this.#state;
    x.luaL_newmetatable(L, this.#name);
    if (shown === false) x.lua_pushboolean(L, 0);
    else this.#state.pushString(L, shown);
    x.lua_setfield(L, -2, memory.constant('__metatable'));
    this.#state.pop(L);
    return this;
  }

  /** Pushes a new value for `number`; `note` is kept beside it. May raise. */
  push(L: LuaThread, number: number, note = 0, userValues = 0): void {
    const { exports: x, memory } = this.#state;
    const at = x.lua_newuserdatauv(L, USERDATA_BYTES, userValues);
    memory.setWord(at, this.#mark);
    memory.setWord((at + NUMBER_OFFSET) as Address, number);
    memory.setWord((at + NOTE_OFFSET) as Address, note);
    x.luaL_setmetatable(L, this.#name);
  }

  /** The number of the value at `index`; undefined for anything of another kind. */
  find(L: LuaThread, index: number): number | undefined {
    const { exports: x, memory } = this.#state;
    const at = x.luaL_testudata(L, index, this.#name);
    // of a light userdata with this metatable nothing can be read, or what begins with an address
    if (at === 0 || memory.word(at) !== this.#mark) return undefined;
    return memory.word((at + NUMBER_OFFSET) as Address);
  }

  /** True for anything with the metatable of this kind. */
  resembles(L: LuaThread, index: number): boolean {
    return this.#state.exports.luaL_testudata(L, index, this.#name) !== 0;
  }

  /** The number of argument `n`; raises when it is of another kind. */
  check(L: LuaThread, n: number): number {
    const number = this.find(L, n);
    if (number === undefined) this.refuse(L, n);
    return number as number;
  }

  /** The note of a value that `check` or `find` has known. */
  note(L: LuaThread, index: number): number {
    const { exports: x, memory } = this.#state;
    return memory.word((x.lua_touserdata(L, index) + NOTE_OFFSET) as Address);
  }

  /** Raises `bad argument #n (KIND expected, got …)`. */
  refuse(L: LuaThread, n: number): void {
    this.#state.exports.luaL_typeerror(L, n, this.#name);
  }
}
