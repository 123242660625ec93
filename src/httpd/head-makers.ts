/**
 * Lua functions that make the tables of heads which handlers give again and again: a call of one costs a part of what it costs to
 * hand over each name and value. A frozen list of fields stands for what it holds.
 */
import type { Fields } from '../http/semantics/fields.ts';
import { isFixed } from '../http/semantics/fixed-fields.ts';
import type { LuaThread } from '../lua/lua-exports.ts';
import type { Reference, State } from '../lua/state.ts';

/** Heads that have one; past that the script makes them up, and remembering starts over. */
const HEADS_MAX = 64;
/** Fields of a head worth one. */
const FIELDS_MAX = 16;
/** Share of unknown heads that get one, so that ever-changing ones cost little. */
const SAMPLED = 1 / 8;
/** Fields for which a table has room, in addition to its own: a hook adds some. */
const SPARE_FIELDS = 2;

interface Maker {
  readonly status: number;
  readonly reference: Reference;
}

export class HeadMakers {
  readonly #state: State;
  readonly #known = new Map<Fields, Maker>();

  constructor(state: State) {
    this.#state = state;
  }

  /** Pushes the function for this head. False: it has none, and nothing was pushed. */
  push(L: LuaThread, status: number, fields: Fields): boolean {
    const known = this.#known.get(fields);
    if (known?.status !== status) return false;
    this.#state.pushReference(L, known.reference);
    return true;
  }

  /**
   * Perhaps makes the function for the head whose table is on top of the stack, which stays there. No field may stand there twice. Raises
   * where there is no memory for it.
   */
  consider(L: LuaThread, status: number, fields: Fields): void {
    if (fields.length > FIELDS_MAX * 2 || !isFixed(fields) || Math.random() >= SAMPLED) return;
    const state = this.#state;
    const { exports: x } = state;
    if (this.#known.size === HEADS_MAX) this.#forget();
    const count = fields.length / 2 + 1;
    x.lua_checkstack(L, count * 2 + 4);
    const table = x.lua_gettop(L);
    state.load(L, sourceFor(count), '=lgateway');
    x.lua_pushnil(L);
    while (x.lua_next(L, table) !== 0) {
      // the value stays an argument, and so does the key, of which a copy finds the next one
      x.lua_pushvalue(L, -2);
    }
    state.call(L, count * 2, 1);
    const before = this.#known.get(fields);
    if (before !== undefined) state.release(before.reference);
    this.#known.set(fields, { status, reference: state.keep(L) });
  }

  #forget(): void {
    for (const { reference } of this.#known.values()) this.#state.release(reference);
    this.#known.clear();
  }
}

/** A chunk that takes keys and values in turns, and returns a function that makes a table of them. */
function sourceFor(count: number): Uint8Array {
  const numbers = Array.from({ length: count }, (_, i) => i);
  const names = numbers.flatMap((i) => [`k${i}`, `v${i}`]).join();
  // what stands there twice is stored twice, and counts twice for the room
  const entries = [...numbers, ...numbers.slice(0, SPARE_FIELDS)].map((i) => `[k${i}]=v${i}`).join();
  return Buffer.from(`local ${names} = ...\nreturn function() return {${entries}} end`, 'latin1');
}
