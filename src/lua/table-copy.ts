/**
 * Makes an empty table a copy of another by copying the block of memory that holds its entries, instead of entry by
 * entry: a node of Lua's hash part (ltable.c, lobject.h) names its neighbours by distance, not by address.
 *
 * That is laid out by the one build of Lua which this gateway runs. A copy made at the start is compared entry by entry;
 * where it differs, tables are copied the slow way.
 */
import type { Address, LuaThread } from './lua-exports.ts';
import type { State } from './state.ts';

/** Where a `Table` has its parts. */
const MARKED = 5;
const FLAGS = 6;
const LOG_NODES = 7;
const ARRAY_LIMIT = 8;
const NODES = 16;
const LAST_FREE = 20;
/** Bytes of a node: value, types, distance to the next, key. */
const NODE_BYTES = 24;
/** The collector has seen the table and all that is in it (lgc.h): from then on it has to be told of what is added. */
const BLACK = 1 << 5;
/** More are not worth the room they would take. */
const LOG_NODES_MAX = 8;

export class TableCopier {
  readonly #state: State;
  /** False: this Lua lays tables out otherwise, and entries are copied one by one. */
  readonly fits: boolean;

  constructor(state: State) {
    this.#state = state;
    this.fits = this.#copiesRight();
  }

  /** Makes the empty table on top of the stack a copy of the one below it, which has names only; metatables stay. */
  copy(L: LuaThread): void {
    if (!this.fits || !this.#copyNodes(L)) this.#copyEntries(L);
  }

  #copyNodes(L: LuaThread): boolean {
    const { exports: x, memory } = this.#state;
    const from = x.lua_topointer(L, -2);
    const to = x.lua_topointer(L, -1);
    const logNodes = memory.heap[from + LOG_NODES] as number;
    // an empty table shares its one node with all others
    const hasNodes = memory.word((from + LAST_FREE) as Address) !== 0;
    const hasArray = memory.word((from + ARRAY_LIMIT) as Address) !== 0;
    if (!hasNodes || hasArray || logNodes > LOG_NODES_MAX) return false;
    // its nodes are what the copy gets; it takes those of the copy and is collected with them
    x.lua_createtable(L, 0, 1 << logNodes);
    const spare = x.lua_topointer(L, -1);
    this.#state.pop(L);
    const { heap } = memory;
    // nothing is allocated from here on, so the collector cannot come in between
    if (((heap[to + MARKED] as number) & BLACK) !== 0 || heap[spare + LOG_NODES] !== logNodes) return false;
    const source = memory.word((from + NODES) as Address);
    const target = memory.word((spare + NODES) as Address);
    heap.copyWithin(target, source, source + (NODE_BYTES << logNodes));
    memory.setWord((spare + NODES) as Address, memory.word((to + NODES) as Address));
    memory.setWord((spare + LAST_FREE) as Address, memory.word((to + LAST_FREE) as Address));
    heap[spare + LOG_NODES] = heap[to + LOG_NODES] as number;
    memory.setWord((to + NODES) as Address, target);
    memory.setWord((to + LAST_FREE) as Address, target + memory.word((from + LAST_FREE) as Address) - source);
    heap[to + LOG_NODES] = logNodes;
    // metamethods that are known to be absent
    heap[to + FLAGS] = 0;
    return true;
  }

  #copyEntries(L: LuaThread): void {
    const { exports: x } = this.#state;
    x.lua_pushnil(L);
    while (x.lua_next(L, -3) !== 0) {
      // from, to, key, value
      x.lua_pushvalue(L, -2);
      x.lua_rotate(L, -2, 1);
      x.lua_rawset(L, -4);
    }
  }

  /** Copies a table both ways and compares. */
  #copiesRight(): boolean {
    const { exports: x, mainThread: L } = this.#state;
    const sample = Array.from({ length: 11 }, (_, i) => `name ${i}`);
    x.lua_createtable(L, 0, sample.length);
    for (const name of sample) {
      this.#state.pushString(L, name);
      this.#state.pushString(L, `${name} has this as its value`);
      x.lua_rawset(L, -3);
    }
    x.lua_createtable(L, 0, 2);
    const copied = this.#looksRight(x.lua_topointer(L, -2)) && this.#copyNodes(L);
    let right = copied;
    for (const name of copied ? [...sample, 'another'] : []) {
      this.#state.pushString(L, name);
      if (name === 'another') {
        // there has to be room, and a way to it
        x.lua_pushvalue(L, -1);
        x.lua_rawset(L, -3);
        this.#state.pushString(L, name);
      }
      x.lua_rawget(L, -2);
      right &&= this.#state.toString(L, -1) === (name === 'another' ? name : `${name} has this as its value`);
      this.#state.pop(L);
    }
    this.#state.pop(L, 2);
    return right;
  }

  /** True when a table of 16 nodes stands there, as far as can be seen without trusting it. */
  #looksRight(table: number): boolean {
    const { memory } = this.#state;
    const nodes = memory.word((table + NODES) as Address);
    const lastFree = memory.word((table + LAST_FREE) as Address);
    const end = nodes + 16 * NODE_BYTES;
    return (
      memory.heap[table + LOG_NODES] === 4 &&
      memory.word((table + ARRAY_LIMIT) as Address) === 0 &&
      nodes > 0 &&
      end < memory.size &&
      lastFree >= nodes &&
      lastFree <= end &&
      (lastFree - nodes) % NODE_BYTES === 0
    );
  }
}
