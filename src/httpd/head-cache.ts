/**
 * Reads the tables of `httpd.header`, and remembers heads that come again and again: by the addresses of the Lua
 * strings they are made of, which are kept alive for it. The same head is then the same frozen list of fields, which
 * others can recognise too.
 */
import type { Protocol } from '../http/exchange/exchange.ts';
import { LUA_TYPE, type LuaThread, NULL } from '../lua/lua-exports.ts';
import type { Reference, State } from '../lua/state.ts';
import { type HeadTable, readHeadTable } from './response-head.ts';

/** Heads remembered; past that the script makes them up, and remembering starts over. */
const HEADS_MAX = 256;
/** Entries of a head worth remembering. */
const ENTRIES_MAX = 16;
/** Share of unknown heads that is looked at more closely, so that ever-changing ones cost little. */
const SAMPLED = 1 / 8;
/** Heads seen once that wait to be seen again. */
const CANDIDATES_MAX = 64;

interface Node {
  readonly next: Map<number, Node>;
  head: HeadTable | undefined;
}

export class HeadCache {
  readonly #state: State;
  /** Keeps the strings: a table with them as keys. */
  #anchors: Reference;
  #root: Node = createNode();
  #heads = 0;
  /** The head that was remembered last, and its path. */
  #last: readonly number[] = NO_PATH;
  #lastHead: HeadTable | undefined;
  readonly #candidates = new Set<string>();

  constructor(state: State) {
    this.#state = state;
    this.#anchors = this.#createAnchors();
  }

  /** Reads the table at index 1; raises on anything that is neither a field nor a status. */
  read(L: LuaThread, protocol: Protocol): HeadTable {
    const { exports: x } = this.#state;
    // most scripts give one head again and again: it is compared first, without looking anything up (16 ns of the
    // 3.8 µs of hello-h2-20, measured alone)
    const last = this.#last;
    let at = 0;
    let node: Node | undefined;
    x.lua_pushnil(L);
    while (x.lua_next(L, 1) !== 0) {
      const key: number = x.lua_topointer(L, -2);
      // a number stands for itself
      const value: number = x.lua_topointer(L, -1) || -x.lua_tonumberx(L, -1, NULL);
      if (node === undefined && last[at] === key && last[at + 1] === value) at += 2;
      else {
        node = (node ?? this.#nodeOf(last, at))?.next.get(key)?.next.get(value);
        if (node === undefined) return this.#readUnknown(L, protocol);
      }
      x.lua_settop(L, -2);
    }
    if (node === undefined && at === last.length && this.#lastHead !== undefined) return this.#lastHead;
    return (node ?? this.#nodeOf(last, at))?.head ?? this.#readUnknown(L, protocol);
  }

  /** The node that the first `length` steps of a path lead to. */
  #nodeOf(path: readonly number[], length: number): Node | undefined {
    let node: Node | undefined = this.#root;
    for (let i = 0; i < length; i++) node = node?.next.get(path[i] as number);
    return node;
  }

  #readUnknown(L: LuaThread, protocol: Protocol): HeadTable {
    this.#state.exports.lua_settop(L, 1);
    const head = readHeadTable(this.#state, L, protocol);
    // by chance: heads come in turns, and one that is always skipped would never be remembered
    if (Math.random() < SAMPLED) this.#consider(L, head);
    return head;
  }

  /** Remembers the head if it was seen before and is made of strings (and a status). */
  #consider(L: LuaThread, head: HeadTable): void {
    const path = this.#pathOf(L);
    if (path === undefined) return;
    const name = path.join();
    if (!this.#candidates.delete(name)) {
      if (this.#candidates.size === CANDIDATES_MAX) this.#candidates.clear();
      this.#candidates.add(name);
      return;
    }
    if (this.#heads === HEADS_MAX) this.#startOver();
    this.#anchor(L);
    let node = this.#root;
    for (const step of path) {
      let next = node.next.get(step);
      if (next === undefined) {
        next = createNode();
        node.next.set(step, next);
      }
      node = next;
    }
    Object.freeze(head.fields);
    node.head = head;
    this.#heads += 1;
    this.#last = path;
    this.#lastHead = head;
  }

  /** Addresses of keys and values in the order of the table; undefined when it is no head to remember. */
  #pathOf(L: LuaThread): number[] | undefined {
    const state = this.#state;
    const { exports: x } = state;
    const path: number[] = [];
    let statuses = 0;
    x.lua_pushnil(L);
    while (x.lua_next(L, 1) !== 0) {
      const name = state.toString(L, -2);
      const isStatus = name === 'status' || name === ':status';
      const type = x.lua_type(L, -1);
      if (isStatus) statuses += 1;
      if (
        path.length === ENTRIES_MAX * 2 ||
        statuses > 1 ||
        !(type === LUA_TYPE.string || (isStatus && type === LUA_TYPE.number))
      ) {
        x.lua_settop(L, 1);
        return undefined;
      }
      path.push(x.lua_topointer(L, -2), x.lua_topointer(L, -1) || -x.lua_tonumberx(L, -1, NULL));
      state.pop(L);
    }
    return path;
  }

  #anchor(L: LuaThread): void {
    const { exports: x } = this.#state;
    this.#state.pushReference(L, this.#anchors);
    x.lua_pushnil(L);
    while (x.lua_next(L, 1) !== 0) {
      // anchors, key, value
      for (const index of [3, 4]) {
        x.lua_pushvalue(L, index);
        x.lua_pushboolean(L, 1);
        x.lua_rawset(L, 2);
      }
      this.#state.pop(L);
    }
    this.#state.pop(L);
  }

  #startOver(): void {
    this.#state.release(this.#anchors);
    this.#anchors = this.#createAnchors();
    this.#root = createNode();
    this.#heads = 0;
    this.#last = NO_PATH;
    this.#lastHead = undefined;
  }

  #createAnchors(): Reference {
    const L = this.#state.mainThread;
    this.#state.exports.lua_createtable(L, 0, 0);
    return this.#state.keep(L);
  }
}

function createNode(): Node {
  return { next: new Map(), head: undefined };
}

const NO_PATH: readonly number[] = [];
