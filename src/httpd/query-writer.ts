/** Writes a table of names and values as a query string, in slices; a list repeats its name. */
import type { CoroutineScheduler } from '../lua/coroutine-scheduler.ts';
import { LuaError } from '../lua/lua-error.ts';
import { LUA_TYPE, type LuaThread } from '../lua/lua-exports.ts';
import type { State } from '../lua/state.ts';
import { ByteBuilder } from './byte-builder.ts';
import { type Codec, cursorOver, ENCODERS } from './text-codecs.ts';

/** Bytes of a query string that is made of a table. */
const QUERY_BYTES_MAX = 16 * 1024 * 1024;
/** Bytes of a text encoded in one go, each of which may become three. */
const PIECE_BYTES = 32 * 1024;
/** Entries written in one step, and what an entry costs in units of fuel. */
const ENTRIES_PER_STEP = 200;
const UNITS_PER_ENTRY = 200;
/** Bytes of a text for one unit of fuel. */
const BYTES_PER_UNIT = 2;
/** A name in a message is cut (bytes). */
const SHOWN_BYTES_MAX = 200;

const AMPERSAND = 0x26;
const EQUALS = 0x3d;

/** What is written next: the string at an index of the stack, from an address on. */
interface Text {
  at: number;
  readonly end: number;
}

/**
 * The table stands at index 2. Above it, while an entry is written: its key, its value, and of a list the member that is
 * written.
 */
export class QueryWriter {
  readonly #scheduler: CoroutineScheduler;
  readonly #state: State;
  readonly #result: ByteBuilder = new ByteBuilder(QUERY_BYTES_MAX, refuse);
  readonly #texts: Text[] = [];
  #phase: 'start' | 'entries' | 'result' = 'start';
  /** Of a list: its length, and how many members have been written. */
  #length = 0;
  #members = 0;
  #isListed = false;
  #hasEntries = false;

  constructor(scheduler: CoroutineScheduler) {
    this.#scheduler = scheduler;
    this.#state = scheduler.state;
  }

  /** To be called where it does not come to its end. */
  cancel(): void {
    this.#result.cancel();
  }

  /** Writes on; true when the string stands on top of the stack. */
  step(L: LuaThread): boolean {
    if (this.#phase === 'start') {
      this.#state.exports.lua_pushnil(L);
      this.#phase = 'entries';
    }
    for (let n = 0; n < ENTRIES_PER_STEP && this.#phase === 'entries'; n++) {
      const text = this.#texts[0];
      if (text === undefined) {
        this.#scheduler.guard.pay(UNITS_PER_ENTRY);
        if (!this.#nextEntry(L)) this.#phase = 'result';
      } else if (!this.#writeText(text)) return false;
      else {
        this.#texts.shift();
        if (this.#texts.length > 0) this.#byte(EQUALS);
      }
    }
    return this.#phase === 'result' && this.#result.push(this.#scheduler, L);
  }

  /** Finds what is written next; false at the end. */
  #nextEntry(L: LuaThread): boolean {
    const { exports: x } = this.#state;
    if (this.#isListed) {
      if (this.#members > 0) this.#state.pop(L);
      if (this.#members < this.#length) {
        this.#members += 1;
        x.lua_rawgeti(L, -1, BigInt(this.#members));
        this.#begin(L, -3);
        return true;
      }
      this.#isListed = false;
      this.#state.pop(L);
    } else if (x.lua_gettop(L) > 3) this.#state.pop(L);
    if (x.lua_next(L, 2) === 0) return false;
    if (x.lua_type(L, -2) !== LUA_TYPE.string) throw new LuaError('names of a query have to be strings');
    if (x.lua_type(L, -1) === LUA_TYPE.table) {
      this.#isListed = true;
      this.#length = Number(x.lua_rawlen(L, -1));
      this.#members = 0;
    } else this.#begin(L, -2);
    return true;
  }

  /** The value on top of the stack is written under the name at index `name`. */
  #begin(L: LuaThread, name: number): void {
    const { exports: x } = this.#state;
    if (this.#hasEntries) this.#byte(AMPERSAND);
    this.#hasEntries = true;
    this.#texts.push(this.#textAt(L, name));
    const type = x.lua_type(L, -1);
    if (type === LUA_TYPE.boolean && x.lua_toboolean(L, -1) !== 0) return;
    if (type !== LUA_TYPE.string && type !== LUA_TYPE.number) {
      const shown = this.#state.toString(L, name, SHOWN_BYTES_MAX);
      throw new LuaError(`value of "${shown}" is a ${this.#state.typeName(L, -1)}`);
    }
    this.#texts.push(this.#textAt(L, -1));
  }

  #textAt(L: LuaThread, index: number): Text {
    const { memory, exports: x } = this.#state;
    const at = x.lua_tolstring(L, index, memory.sizeOut);
    return { at, end: at + memory.lastSize };
  }

  /** False when some of it is left. */
  #writeText(text: Text): boolean {
    const { heap } = this.#state.memory;
    const encoder = ENCODERS.get('query') as Codec;
    const stop = Math.min(text.end, text.at + PIECE_BYTES);
    this.#scheduler.guard.pay((stop - text.at) / BYTES_PER_UNIT);
    this.#result.reserve(3 * (stop - text.at));
    const cursor = cursorOver(text.at, text.end, this.#result.size);
    encoder.write(cursor, heap, stop, this.#result.bytes);
    this.#result.size = cursor.out;
    text.at = stop;
    return stop === text.end;
  }

  #byte(byte: number): void {
    this.#result.reserve(1);
    this.#result.bytes[this.#result.size++] = byte;
  }
}

function refuse(): never {
  throw new LuaError(
    `cannot encode a table as query: it has more bytes than the limit of ${QUERY_BYTES_MAX}`,
  );
}
