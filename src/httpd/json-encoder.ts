/**
 * Writes a Lua value as JSON text (RFC 8259), step by step; raises for what JSON cannot hold.
 *
 * Long because its steps share one place in the value and one buffer, without a call between them for each character.
 */
import { LIGHT_USERDATA } from '../lua/light-userdata.ts';
import { LuaError } from '../lua/lua-error.ts';
import { LUA_TYPE, type LuaExports, type LuaThread, NULL } from '../lua/lua-exports.ts';
import type { Memory } from '../lua/memory.ts';
import type { State } from '../lua/state.ts';
import {
  characterStart,
  indexOf,
  JSON_DEPTH_MAX,
  JSON_NAME_BYTES_MAX,
  JSON_SORTED_BYTES_MAX,
  JSON_STEP_UNITS,
  JSON_TYPE_FIELD,
  JSON_UNIT_BYTES,
  JSON_UNIT_ROUNDS,
} from './json-limits.ts';
import { JsonWriter, PIECE_BYTES } from './json-writer.ts';
import { SlicedSort } from './sliced-sort.ts';

/** What names being sorted have outside the VM, in all encoders of a state. */
export interface SortedBytes {
  held: number;
}

export interface JsonOptions {
  /** One entry a line, two spaces for each level. */
  readonly pretty: boolean;
  /** Names in the order of their bytes, counted here while they are held; undefined: in any order. */
  readonly sorted: SortedBytes | undefined;
}

/** Levels for which Lua guarantees a C function enough stack. */
const FREE_LEVELS = 4;
/** Stack slots one level needs: its table, a key, a value, and two to work with. */
const LEVEL_SLOTS = 5;
/** Blanks for each level. */
const INDENT = 2;
/** Up to so many names of so many bytes in all are sorted at once. */
const FEW_NAMES = 64;
const FEW_NAMES_BYTES: number = 64 * 1024;
/** What a name in a list takes outside the VM beside its bytes. */
const NAME_OVERHEAD_BYTES = 40;
/** More of a name's metatable field need not be looked at. */
const KIND_BYTES_MAX = 8;

const LF = 0x0a;
const COMMA = 0x2c;
const COLON = 0x3a;
const SPACE = 0x20;
const QUOTE = 0x22;
const LEFT_BRACKET = 0x5b;
const RIGHT_BRACKET = 0x5d;
const LEFT_BRACE = 0x7b;
const RIGHT_BRACE = 0x7d;

/**
 * An open table. One that is looked at before it is written, as a list or for its names, and an object stand on the stack
 * below the last key; an array, and an object whose names are being sorted or are sorted, alone.
 */
interface Level {
  kind: 'list' | 'array' | 'object' | 'names' | 'sorting' | 'sorted';
  /** Where the table is, to recognise it again. */
  readonly pointer: number;
  /** Entries looked at, then written. */
  count: number;
  /** Of an array. */
  readonly length: number;
  /** An array that may have holes. */
  readonly isMarked: boolean;
  /** Of a sorted object, and what they count as in bytes. */
  names: readonly string[];
  held: number;
  sort: SlicedSort | undefined;
}

const NO_NAMES: readonly string[] = [];

/** One value being written: it stands on top of the stack at first and is popped at the end. */
export class JsonEncoder {
  readonly #writer: JsonWriter;
  readonly #x: LuaExports;
  readonly #memory: Memory;
  readonly #state: State;
  readonly #options: JsonOptions;
  /** Fills a table of the gateway's own that scripts have not looked at. */
  readonly #touch: (L: LuaThread) => void;
  readonly #levels: Level[] = [];
  #begun = false;
  #units = 0;
  /** The addresses of what is left of a long string, which is on top of the stack; none: 0. */
  #longAt = 0;
  #longEnd = 0;

  constructor(state: State, options: JsonOptions, touch: (L: LuaThread) => void) {
    this.#state = state;
    this.#x = state.exports;
    this.#memory = state.memory;
    this.#options = options;
    this.#touch = touch;
    this.#writer = new JsonWriter(state);
  }

  /** Writes on; true when the text is on top of the stack. */
  step(L: LuaThread): boolean {
    this.#units = 1;
    let isDone = false;
    try {
      isDone = this.#work(L);
    } catch (error) {
      this.cancel();
      throw error;
    }
    this.#x.pay(this.#units * JSON_UNIT_ROUNDS);
    return isDone;
  }

  /** To be called where it does not come to its end. */
  cancel(): void {
    this.#writer.cancel();
    for (const level of this.#levels) this.#release(level);
  }

  #work(L: LuaThread): boolean {
    if (!this.#begun) {
      this.#begun = true;
      this.#writeValue(L);
    }
    while (this.#units < JSON_STEP_UNITS) {
      this.#units += 1;
      const level = this.#levels.at(-1);
      if (this.#longEnd !== 0) this.#writePiece(L);
      else if (level !== undefined) this.#writeEntry(L, level);
      else return this.#writer.push(L);
    }
    return false;
  }

  /** Writes the next entry of the innermost level, or its end; or gets on with what comes before. */
  #writeEntry(L: LuaThread, level: Level): void {
    const x = this.#x;
    switch (level.kind) {
      case 'list':
        this.#checkList(L, level);
        return;
      case 'names':
        this.#gatherNames(L, level);
        return;
      case 'sorting':
        this.#sortNames(level);
        return;
      case 'array':
        if (level.count === level.length) {
          this.#closeLevel(L, level);
          return;
        }
        this.#separate(level);
        x.lua_rawgeti(L, -1, indexOf(level.count));
        break;
      case 'object':
        if (x.lua_next(L, -2) === 0) {
          this.#closeLevel(L, level);
          return;
        }
        this.#separate(level);
        this.#writeName(L, -2);
        break;
      case 'sorted': {
        const name = level.names[level.count];
        if (name === undefined) {
          this.#closeLevel(L, level);
          return;
        }
        this.#separate(level);
        this.#state.pushString(L, name);
        this.#writeName(L, -1);
        x.lua_rawget(L, -2);
      }
    }
    this.#writeValue(L);
  }

  /** Writes the value on top of the stack and pops it, or opens the level of a table, which stays. */
  #writeValue(L: LuaThread): void {
    const x = this.#x;
    const type = x.lua_type(L, -1);
    switch (type) {
      case LUA_TYPE.string:
        if (this.#beginLong(L)) return;
        break;
      case LUA_TYPE.number:
        this.#writer.ascii(this.#numeral(L));
        break;
      case LUA_TYPE.boolean:
        this.#writer.ascii(x.lua_toboolean(L, -1) === 0 ? 'false' : 'true');
        break;
      case LUA_TYPE.table:
        this.#openLevel(L);
        return;
      case LUA_TYPE.nil:
        this.#writer.ascii('null');
        break;
      default:
        if (type !== LUA_TYPE.lightUserdata || x.lua_touserdata(L, -1) !== LIGHT_USERDATA.jsonNull)
          throw new LuaError(`cannot encode a ${this.#state.typeName(L, -1)} as JSON`);
        this.#writer.ascii('null');
    }
    x.lua_settop(L, -2);
  }

  /** Writes the string on top of the stack, or the quote of one that will follow in pieces: true. */
  #beginLong(L: LuaThread): boolean {
    const at = this.#x.lua_tolstring(L, -1, this.#memory.sizeOut);
    const size = this.#memory.lastSize;
    if (size <= PIECE_BYTES) {
      this.#units += (size / JSON_UNIT_BYTES) | 0;
      this.#writer.string(at, at + size);
      return false;
    }
    this.#writer.expect(size);
    this.#writer.byte(QUOTE);
    this.#longAt = at;
    this.#longEnd = at + size;
    return true;
  }

  /** The next piece of a long string, which is popped behind the last. */
  #writePiece(L: LuaThread): void {
    const end = this.#writePieceOf(this.#longAt, this.#longEnd);
    this.#longAt = end;
    if (end < this.#longEnd) return;
    this.#longEnd = 0;
    this.#writer.byte(QUOTE);
    this.#x.lua_settop(L, -2);
  }

  /** Where the piece that begins at `at` ends. */
  #writePieceOf(at: number, end: number): number {
    const stop = at + PIECE_BYTES < end ? characterStart(this.#memory.heap, at + PIECE_BYTES) : end;
    this.#units += ((stop - at) / JSON_UNIT_BYTES) | 0;
    this.#writer.piece(at, stop);
    return stop;
  }

  #writeName(L: LuaThread, index: number): void {
    this.#checkName(L, index);
    const at = this.#x.lua_tolstring(L, index, this.#memory.sizeOut);
    const size = this.#memory.lastSize;
    if (size <= PIECE_BYTES) {
      this.#units += (size / JSON_UNIT_BYTES) | 0;
      this.#writer.string(at, at + size);
    } else {
      if (size > JSON_NAME_BYTES_MAX) refuseName(size);
      this.#writer.byte(QUOTE);
      for (let next: number = at; next < at + size; ) next = this.#writePieceOf(next, at + size);
      this.#writer.byte(QUOTE);
    }
    this.#writer.byte(COLON);
    if (this.#options.pretty) this.#writer.byte(SPACE);
  }

  #checkName(L: LuaThread, index: number): void {
    if (this.#x.lua_type(L, index) === LUA_TYPE.string) return;
    throw new LuaError(
      `cannot encode a table with a ${this.#state.typeName(L, index)} as key as JSON: names are strings, and a list has every index from 1`,
    );
  }

  /** Floats keep a point or an exponent, so that they are floats when they are read again. */
  #numeral(L: LuaThread): string {
    const x = this.#x;
    const value = x.lua_tonumberx(L, -1, NULL);
    if (x.lua_isinteger(L, -1) !== 0)
      return String(Number.isSafeInteger(value) ? value : x.lua_tointegerx(L, -1, NULL));
    if (!Number.isFinite(value))
      throw new LuaError(`cannot encode ${Number.isNaN(value) ? 'nan' : 'inf'} as JSON`);
    if (value === 0) return Object.is(value, -0) ? '-0.0' : '0.0';
    const text = String(value);
    return Number.isInteger(value) && !text.includes('e') ? `${text}.0` : text;
  }

  #openLevel(L: LuaThread): void {
    const x = this.#x;
    const depth = this.#levels.length;
    if (depth >= JSON_DEPTH_MAX) this.#refuseDepth(L);
    if (depth >= FREE_LEVELS && x.lua_checkstack(L, LEVEL_SLOTS) === 0)
      throw new RangeError('not enough memory');
    this.#touch(L);
    const marked = this.#markedKind(L);
    const length = marked === 'object' ? 0 : Number(x.lua_rawlen(L, -1));
    const isArray = marked === 'array' || length > 0;
    const level: Level = {
      kind: isArray ? 'list' : this.#options.sorted === undefined ? 'object' : 'names',
      pointer: x.lua_topointer(L, -1),
      count: 0,
      length,
      isMarked: marked === 'array',
      names: NO_NAMES,
      held: 0,
      sort: undefined,
    };
    this.#levels.push(level);
    this.#writer.byte(isArray ? LEFT_BRACKET : LEFT_BRACE);
    x.lua_pushnil(L);
    if (isArray) this.#checkList(L, level);
  }

  /** The table below has no entries beside 1 to its length; holes are left only to one that is marked. */
  #checkList(L: LuaThread, level: Level): void {
    const x = this.#x;
    const { length } = level;
    let { count } = level;
    const stop = count + JSON_STEP_UNITS - this.#units;
    while (x.lua_next(L, -2) !== 0) {
      x.lua_settop(L, -2);
      const index = x.lua_isinteger(L, -1) === 0 ? 0 : x.lua_tonumberx(L, -1, NULL);
      if (index < 1 || index > length) this.#refuseIndex(L, length);
      count += 1;
      if (count >= stop) {
        level.count = count;
        this.#units = JSON_STEP_UNITS;
        return;
      }
    }
    if (count < length && !level.isMarked)
      throw new LuaError(`cannot encode a list of ${length} values with holes as JSON`);
    this.#units += count - level.count;
    level.kind = 'array';
    level.count = 0;
  }

  #refuseIndex(L: LuaThread, length: number): never {
    throw new LuaError(
      `cannot encode a table with ${this.#state.toDisplayString(L, -1)} as key beside a list of ${length} values as JSON`,
    );
  }

  #markedKind(L: LuaThread): 'array' | 'object' | undefined {
    const x = this.#x;
    if (x.lua_getmetatable(L, -1) === 0) return undefined;
    this.#state.pushInterned(L, JSON_TYPE_FIELD);
    x.lua_rawget(L, -2);
    const kind =
      x.lua_type(L, -1) === LUA_TYPE.string ? this.#state.toString(L, -1, KIND_BYTES_MAX) : undefined;
    this.#state.pop(L, 2);
    return kind === 'array' || kind === 'object' ? kind : undefined;
  }

  /** Takes the names of the table below out of the VM. */
  #gatherNames(L: LuaThread, level: Level): void {
    const x = this.#x;
    const names = level.names === NO_NAMES ? [] : (level.names as string[]);
    level.names = names;
    while (x.lua_next(L, -2) !== 0) {
      x.lua_settop(L, -2);
      this.#checkName(L, -1);
      const at = x.lua_tolstring(L, -1, this.#memory.sizeOut);
      const size = this.#memory.lastSize;
      this.#hold(level, size);
      names.push(this.#memory.readString(at, size));
      this.#units += 1 + ((size / JSON_UNIT_BYTES) | 0);
      if (this.#units >= JSON_STEP_UNITS) return;
    }
    if (names.length <= FEW_NAMES && level.held <= FEW_NAMES_BYTES) {
      // one character is one byte
      names.sort();
      level.kind = 'sorted';
    } else {
      level.sort = new SlicedSort(names);
      level.kind = 'sorting';
    }
  }

  #sortNames(level: Level): void {
    const sort = level.sort as SlicedSort;
    const rest = sort.step(JSON_STEP_UNITS - this.#units);
    this.#units = JSON_STEP_UNITS - rest;
    if (rest <= 0) return;
    level.names = sort.sorted;
    level.sort = undefined;
    level.kind = 'sorted';
  }

  #hold(level: Level, size: number): void {
    if (size > JSON_NAME_BYTES_MAX) refuseName(size);
    const all = this.#options.sorted as SortedBytes;
    const bytes = size + NAME_OVERHEAD_BYTES;
    if (all.held + bytes > JSON_SORTED_BYTES_MAX)
      throw new LuaError(
        `cannot encode as JSON: the names being sorted have more bytes than the limit of ${JSON_SORTED_BYTES_MAX}`,
      );
    all.held += bytes;
    level.held += bytes;
  }

  #release(level: Level): void {
    if (level.held === 0) return;
    (this.#options.sorted as SortedBytes).held -= level.held;
    level.held = 0;
  }

  #separate(level: Level): void {
    if (level.count > 0) this.#writer.byte(COMMA);
    level.count += 1;
    if (this.#options.pretty) this.#breakLine();
  }

  #breakLine(): void {
    const blanks = INDENT * this.#levels.length;
    this.#writer.byte(LF);
    this.#writer.blanks(blanks);
    this.#units += (blanks / JSON_UNIT_BYTES) | 0;
  }

  /** The table is on top of the stack. */
  #closeLevel(L: LuaThread, level: Level): void {
    this.#levels.pop();
    this.#release(level);
    if (this.#options.pretty && level.count > 0) this.#breakLine();
    this.#writer.byte(level.kind === 'array' ? RIGHT_BRACKET : RIGHT_BRACE);
    this.#x.lua_settop(L, -2);
  }

  #refuseDepth(L: LuaThread): never {
    const pointers = new Set(this.#levels.map(({ pointer }) => pointer));
    const isCycle = pointers.size < this.#levels.length || pointers.has(this.#x.lua_topointer(L, -1));
    throw new LuaError(
      isCycle
        ? 'cannot encode a table that contains itself as JSON'
        : `cannot encode as JSON: tables are nested deeper than the limit of ${JSON_DEPTH_MAX} levels`,
    );
  }
}

function refuseName(size: number): never {
  throw new LuaError(
    `cannot encode as JSON: a name has ${size} bytes and the limit is ${JSON_NAME_BYTES_MAX}`,
  );
}
