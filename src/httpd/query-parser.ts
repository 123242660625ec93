/** Reads `a=1&b&c=2` into a table, part by part and in slices. */
import type { CoroutineScheduler } from '../lua/coroutine-scheduler.ts';
import type { LuaThread } from '../lua/lua-exports.ts';
import type { State } from '../lua/state.ts';
import { setOrAppend } from './set-or-append.ts';
import { type Codec, DECODERS } from './text-codecs.ts';
import { Transcoding } from './transcoding.ts';

/** Parts of one query string, empty ones too; a longer one is an attack on hash tables, not a form. */
export const QUERY_PARTS_MAX = 1000;
/** Bytes searched for a separator in one step, and for one unit of fuel. */
const SEARCH_BYTES = 256 * 1024;
const SEARCH_BYTES_PER_UNIT = 64;
/** Short parts read in one step. */
const PARTS_PER_STEP = 32;

const AMPERSAND = 0x26;
const EQUALS = 0x3d;

type Phase = 'search' | 'split' | 'name' | 'value' | 'done' | 'invalid' | 'limit';

/** The string stands on the stack below the table, which stays on top between steps of different parts. */
export class QueryParser {
  readonly #scheduler: CoroutineScheduler;
  readonly #state: State;
  readonly #end: number;
  /** Where the part begins, and where its separator is looked for. */
  #at: number;
  #search: number;
  /** Behind the part, and where its "=" is: -1 for none. */
  #partEnd = 0;
  #equals = -1;
  #phase: Phase = 'search';
  #parts = 0;
  #text: Transcoding | undefined;

  constructor(scheduler: CoroutineScheduler, at: number, size: number) {
    this.#scheduler = scheduler;
    this.#state = scheduler.state;
    this.#at = at;
    this.#search = at;
    this.#end = at + size;
  }

  /** What is wrong, when it has ended without a table. */
  get failure(): 'invalid' | 'limit' | undefined {
    return this.#phase === 'invalid' || this.#phase === 'limit' ? this.#phase : undefined;
  }

  /** To be called where it does not come to its end. */
  cancel(): void {
    this.#text?.cancel();
  }

  /** Reads on; true at the end: the table is complete, or there is a `failure`. */
  step(L: LuaThread): boolean {
    for (let parts = this.#parts; this.#parts - parts < PARTS_PER_STEP; ) {
      if (this.#phase === 'search') {
        if (!this.#findEnd()) return this.#isOver();
      } else if (this.#phase === 'split') {
        if (!this.#findEquals()) return false;
      } else if (!this.#decode(L)) return this.#isOver();
    }
    return this.#isOver();
  }

  #isOver(): boolean {
    return this.#phase === 'done' || this.failure !== undefined;
  }

  /** Looks for the separator behind the part; false: later, or there is no part any more. */
  #findEnd(): boolean {
    if (this.#at >= this.#end) {
      this.#phase = 'done';
      return false;
    }
    const found = this.#find(AMPERSAND, this.#end);
    if (found === 'later') return false;
    this.#parts += 1;
    if (this.#parts > QUERY_PARTS_MAX) {
      this.#phase = 'limit';
      return false;
    }
    this.#partEnd = found === -1 ? this.#end : found;
    this.#search = this.#at;
    if (this.#partEnd === this.#at) this.#next();
    else this.#phase = 'split';
    return true;
  }

  /** Looks for the end of the part's name; false: later. */
  #findEquals(): boolean {
    const found = this.#find(EQUALS, this.#partEnd);
    if (found === 'later') return false;
    this.#equals = found;
    this.#phase = 'name';
    this.#text = this.#transcode(this.#at, found === -1 ? this.#partEnd : found);
    return true;
  }

  /** Where `byte` is between `#search` and `end`; -1: nowhere. */
  #find(byte: number, end: number): number | 'later' {
    const stop = Math.min(end, this.#search + SEARCH_BYTES);
    this.#scheduler.guard.pay((stop - this.#search) / SEARCH_BYTES_PER_UNIT);
    const found = this.#state.memory.heap.subarray(this.#search, stop).indexOf(byte);
    if (found !== -1) return this.#search + found;
    this.#search = stop;
    return stop === end ? -1 : 'later';
  }

  /** Reads name and value; false: later, or they are invalid. */
  #decode(L: LuaThread): boolean {
    const text = this.#text as Transcoding;
    if (!text.step(L)) return false;
    if (text.isInvalid) {
      this.#phase = 'invalid';
      return false;
    }
    if (this.#phase === 'name' && this.#equals !== -1) {
      this.#phase = 'value';
      this.#text = this.#transcode(this.#equals + 1, this.#partEnd);
      return true;
    }
    if (this.#phase === 'name') this.#state.exports.lua_pushboolean(L, 1);
    setOrAppend(this.#state, L);
    this.#next();
    return true;
  }

  #transcode(at: number, end: number): Transcoding {
    return new Transcoding(this.#scheduler, DECODERS.get('query') as Codec, at, end);
  }

  #next(): void {
    this.#at = this.#partEnd + 1;
    this.#search = this.#at;
    this.#phase = 'search';
  }
}
