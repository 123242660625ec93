/** Writes a Lua value as JSON text (RFC 8259), step by step; raises for what JSON cannot hold. */
import { LIGHT_USERDATA } from '../lua/light-userdata.ts';
import { LuaError } from '../lua/lua-error.ts';
import { LUA_TYPE, type LuaExports, type LuaThread, NULL } from '../lua/lua-exports.ts';
import type { Memory } from '../lua/memory.ts';
import type { State } from '../lua/state.ts';
import { indexOf, JSON_DEPTH_MAX, JSON_STEP_UNITS, JSON_TYPE_FIELD, JSON_UNIT_BYTES } from './json-limits.ts';
import { JsonWriter } from './json-writer.ts';

export interface JsonOptions {
  /** One entry a line, two spaces for each level. */
  readonly pretty: boolean;
  /** Names in the order of their bytes. */
  readonly sorted: boolean;
}

/** Levels for which Lua guarantees a C function enough stack. */
const FREE_LEVELS = 4;
/** Stack slots one level needs: its table, a key, a value, and two to work with. */
const LEVEL_SLOTS = 5;
const INDENT = '  ';

const LF = 0x0a;
const COMMA = 0x2c;
const COLON = 0x3a;
const SPACE = 0x20;
const LEFT_BRACKET = 0x5b;
const RIGHT_BRACKET = 0x5d;
const LEFT_BRACE = 0x7b;
const RIGHT_BRACE = 0x7d;

/** An open table. An array stands on the stack alone, an object below the last key, a sorted object alone. */
interface Level {
  readonly kind: 'array' | 'object' | 'sorted';
  /** Where the table is, to recognise it again. */
  readonly pointer: number;
  /** Entries written. */
  count: number;
  /** Of an array. */
  readonly length: number;
  /** Of a sorted object. */
  readonly names: readonly string[];
}

/** One value being written: it stands on top of the stack at first and is popped at the end. */
export class JsonEncoder {
  readonly #writer: JsonWriter = new JsonWriter();
  readonly #x: LuaExports;
  readonly #memory: Memory;
  readonly #state: State;
  readonly #options: JsonOptions;
  /** Fills a table of the gateway's own that scripts have not looked at. */
  readonly #touch: (L: LuaThread) => void;
  readonly #levels: Level[] = [];
  #begun = false;
  #units = 0;

  constructor(state: State, options: JsonOptions, touch: (L: LuaThread) => void) {
    this.#state = state;
    this.#x = state.exports;
    this.#memory = state.memory;
    this.#options = options;
    this.#touch = touch;
  }

  /** The text, when `step` has said true. */
  get bytes(): Uint8Array {
    return this.#writer.bytes;
  }

  /** Writes on; true when all has been written. */
  step(L: LuaThread): boolean {
    this.#units = 0;
    if (!this.#begun) {
      this.#begun = true;
      this.#writeValue(L);
    }
    while (this.#levels.length > 0) {
      if (this.#units >= JSON_STEP_UNITS) return false;
      this.#units += 1;
      this.#writeEntry(L, this.#levels.at(-1) as Level);
    }
    return true;
  }

  /** Writes the next entry of the innermost level, or its end. */
  #writeEntry(L: LuaThread, level: Level): void {
    const x = this.#x;
    switch (level.kind) {
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
        this.#writeString(L, -1);
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

  #writeString(L: LuaThread, index: number): void {
    const at = this.#x.lua_tolstring(L, index, this.#memory.sizeOut);
    const size = this.#memory.lastSize;
    this.#units += (size / JSON_UNIT_BYTES) | 0;
    this.#writer.string(this.#memory.heap, at, at + size);
  }

  #writeName(L: LuaThread, index: number): void {
    this.#checkName(L, index);
    this.#writeString(L, index);
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
    if (isArray) this.#checkList(L, length, marked === 'array');
    const isSorted = !isArray && this.#options.sorted;
    const level: Level = {
      kind: isArray ? 'array' : isSorted ? 'sorted' : 'object',
      pointer: x.lua_topointer(L, -1),
      count: 0,
      length,
      names: isSorted ? this.#sortedNames(L) : [],
    };
    this.#levels.push(level);
    this.#writer.byte(isArray ? LEFT_BRACKET : LEFT_BRACE);
    if (level.kind === 'object') x.lua_pushnil(L);
  }

  /** The table on top has no entries beside 1 to `length`; holes are left only to one that is marked. */
  #checkList(L: LuaThread, length: number, marked: boolean): void {
    const x = this.#x;
    let count = 0;
    x.lua_pushnil(L);
    while (x.lua_next(L, -2) !== 0) {
      count += 1;
      x.lua_settop(L, -2);
      const index = x.lua_isinteger(L, -1) === 0 ? 0 : x.lua_tonumberx(L, -1, NULL);
      if (index < 1 || index > length) this.#refuseIndex(L, length);
    }
    if (count < length && !marked)
      throw new LuaError(`cannot encode a list of ${length} values with holes as JSON`);
    this.#units += count;
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
    const kind = x.lua_type(L, -1) === LUA_TYPE.string ? this.#state.toString(L, -1) : undefined;
    this.#state.pop(L, 2);
    return kind === 'array' || kind === 'object' ? kind : undefined;
  }

  #sortedNames(L: LuaThread): string[] {
    const x = this.#x;
    const names: string[] = [];
    x.lua_pushnil(L);
    while (x.lua_next(L, -2) !== 0) {
      this.#checkName(L, -2);
      names.push(this.#state.toString(L, -2, Number.POSITIVE_INFINITY) as string);
      x.lua_settop(L, -2);
    }
    this.#units += names.length;
    // one character is one byte
    return names.sort();
  }

  #separate(level: Level): void {
    if (level.count > 0) this.#writer.byte(COMMA);
    level.count += 1;
    if (this.#options.pretty) this.#breakLine();
  }

  #breakLine(): void {
    this.#writer.byte(LF);
    for (let i = 0; i < this.#levels.length; i++) this.#writer.ascii(INDENT);
  }

  /** The table is on top of the stack. */
  #closeLevel(L: LuaThread, level: Level): void {
    this.#levels.pop();
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
