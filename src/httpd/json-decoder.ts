/** Reads one JSON text (RFC 8259) out of the VM's memory, step by step. Long because a step may stop amid any value. */
import { isUtf8 } from 'node:buffer';
import { GatewayError } from '../base/errors.ts';
import type { CoroutineScheduler } from '../lua/coroutine-scheduler.ts';
import { LIGHT_USERDATA } from '../lua/light-userdata.ts';
import type { CString, LuaExports, LuaThread } from '../lua/lua-exports.ts';
import type { Memory } from '../lua/memory.ts';
import type { Reference, State } from '../lua/state.ts';
import { readLatin1 } from '../native/node-internals.ts';
import {
  indexOf,
  JSON_BYTES_MAX,
  JSON_DEPTH_MAX,
  JSON_NAME_BYTES_MAX,
  JSON_NUMBER_BYTES_MAX,
  JSON_STEP_UNITS,
  JSON_UNIT_BYTES,
  JSON_UNIT_ROUNDS,
} from './json-limits.ts';
import { escapedAt, escapeFault, escapeSize, JsonStringCodec, writeUtf8 } from './json-string.ts';
import { Transcoding } from './transcoding.ts';

/** Digits of whole numbers that a JavaScript number holds exactly. */
const EXACT_DIGITS_MAX = 15;
const INTEGER_MIN = -(2n ** 63n);
const INTEGER_MAX = 2n ** 63n - 1n;
/** Levels for which Lua guarantees a C function enough stack. */
const FREE_LEVELS = 6;
/** Stack slots one level needs: its table, a key, a value, and two to work with. */
const LEVEL_SLOTS = 5;
/** Blanks that are skipped, or bytes of a string in which its end is looked for, between two looks at the units. */
const SEARCH_BYTES: number = 64 * 1024;
/** Strings up to so many bytes, as they stand in the text, are read at once. */
const SHORT_BYTES_MAX: number = 8 * 1024;
/** In place of the last index: the level is an object. */
const OBJECT = -1;

const TAB = 0x09;
const LF = 0x0a;
const CR = 0x0d;
const SPACE = 0x20;
const QUOTE = 0x22;
const PLUS = 0x2b;
const COMMA = 0x2c;
const MINUS = 0x2d;
const POINT = 0x2e;
const ZERO = 0x30;
const NINE = 0x39;
const COLON = 0x3a;
const LEFT_BRACKET = 0x5b;
const BACKSLASH = 0x5c;
const RIGHT_BRACKET = 0x5d;
const LETTER_E = 0x65;
const LEFT_BRACE = 0x7b;
const RIGHT_BRACE = 0x7d;

/** What the reader looks for next. */
type Expected = 'value' | 'element' | 'first' | 'key' | 'colon' | 'after' | 'end';

/** One text being read. It stands as a string at an index of the stack, where it has to stay until the end. */
export class JsonDecoder {
  /** Set when the text is no JSON, or passes a limit; what had been built is left on the stack. */
  failure: GatewayError | undefined;
  readonly #scheduler: CoroutineScheduler;
  readonly #x: LuaExports;
  readonly #memory: Memory;
  readonly #state: State;
  readonly #arrayMetatable: Reference;
  /** Addresses: of the text, of the next byte, and behind the last. */
  readonly #start: number;
  #at: number;
  readonly #end: number;
  #expected: Expected = 'value';
  /** For each open level the last index of an array, or OBJECT. */
  readonly #levels: number[] = [];
  #units = 0;
  /** A long string: where it begins, 0 for none; where its end is looked for; then its text, on the way. */
  #longStart = 0;
  #longAt = 0;
  #longCodec: JsonStringCodec | undefined;
  #longText: Transcoding | undefined;

  /** Arrays get the metatable that `arrayMetatable` keeps. */
  constructor(scheduler: CoroutineScheduler, L: LuaThread, index: number, arrayMetatable: Reference) {
    const { state } = scheduler;
    this.#scheduler = scheduler;
    this.#state = state;
    this.#x = state.exports;
    this.#memory = state.memory;
    this.#arrayMetatable = arrayMetatable;
    this.#start = this.#x.lua_tolstring(L, index, this.#memory.sizeOut);
    this.#at = this.#start;
    this.#end = this.#start + this.#memory.lastSize;
    const size = this.#memory.lastSize;
    if (size > JSON_BYTES_MAX) {
      this.failure = new GatewayError(
        'LGW_JSON_LIMIT',
        `Cannot decode JSON: it has ${size} bytes and the limit is ${JSON_BYTES_MAX}`,
        { luaCode: 'limit' },
      );
    }
  }

  /** Reads on; true when the value stands on top of the stack, or `failure` says why there is none. */
  step(L: LuaThread): boolean {
    if (this.#longText !== undefined) {
      this.#readLong(L, this.#longText);
      return this.failure !== undefined;
    }
    this.#units = 1;
    const isDone = this.#work(L);
    this.#x.pay(this.#units * JSON_UNIT_ROUNDS);
    return isDone;
  }

  /** To be called where it does not come to its end. */
  cancel(): void {
    this.#longText?.cancel();
  }

  #work(L: LuaThread): boolean {
    while (this.failure === undefined && this.#units < JSON_STEP_UNITS) {
      this.#units += 1;
      const heap = this.#memory.heap;
      if (this.#longStart !== 0) {
        if (this.#findEnd(heap)) return false;
        continue;
      }
      if (!this.#skipSpace(heap)) continue;
      switch (this.#expected) {
        case 'value':
          this.#readValue(L, heap);
          break;
        case 'element':
          if (this.#peek(heap) === RIGHT_BRACKET) this.#closeLevel();
          else this.#readValue(L, heap);
          break;
        case 'first':
          if (this.#peek(heap) === RIGHT_BRACE) this.#closeLevel();
          else this.#readKey(L, heap);
          break;
        case 'key':
          this.#readKey(L, heap);
          break;
        case 'colon':
          this.#readColon(heap);
          break;
        case 'after':
          this.#readAfter(L, heap);
          break;
        case 'end':
          if (this.#at < this.#end) this.#fail('the end', heap);
          return true;
      }
    }
    return this.failure !== undefined;
  }

  #peek(heap: Buffer): number {
    return this.#at < this.#end ? (heap[this.#at] as number) : -1;
  }

  /** False: there may be more blanks. */
  #skipSpace(heap: Buffer): boolean {
    const start = this.#at;
    const stop = Math.min(this.#end, start + SEARCH_BYTES);
    let at = start;
    while (at < stop) {
      const byte = heap[at];
      if (byte !== SPACE && byte !== LF && byte !== CR && byte !== TAB) break;
      at += 1;
    }
    this.#units += ((at - start) / JSON_UNIT_BYTES) | 0;
    this.#at = at;
    return at < stop || stop === this.#end;
  }

  #readValue(L: LuaThread, heap: Buffer): void {
    const x = this.#x;
    const byte = this.#peek(heap);
    this.#expected = this.#levels.length === 0 ? 'end' : 'after';
    switch (byte) {
      case QUOTE:
        this.#readString(L, heap);
        break;
      case LEFT_BRACE:
        if (!this.#openLevel(L, OBJECT)) return;
        x.lua_createtable(L, 0, 4);
        this.#at += 1;
        this.#expected = 'first';
        break;
      case LEFT_BRACKET:
        if (!this.#openLevel(L, 0)) return;
        x.lua_createtable(L, 4, 0);
        this.#state.pushReference(L, this.#arrayMetatable);
        x.lua_setmetatable(L, -2);
        this.#at += 1;
        this.#expected = 'element';
        break;
      case 0x74:
        if (this.#readWord(heap, 'true')) x.lua_pushboolean(L, 1);
        break;
      case 0x66:
        if (this.#readWord(heap, 'false')) x.lua_pushboolean(L, 0);
        break;
      case 0x6e:
        if (this.#readWord(heap, 'null')) x.lua_pushlightuserdata(L, LIGHT_USERDATA.jsonNull);
        break;
      default:
        if (byte === MINUS || (byte >= ZERO && byte <= NINE)) this.#readNumber(L, heap);
        else this.#fail('a value', heap);
    }
  }

  #readKey(L: LuaThread, heap: Buffer): void {
    if (this.#peek(heap) !== QUOTE) {
      this.#fail('a string as name', heap);
      return;
    }
    this.#expected = 'colon';
    this.#readString(L, heap);
    if (this.failure !== undefined || this.#longStart !== 0) return;
    // the memory may have moved
    const now = this.#memory.heap;
    if (this.#peek(now) === COLON) this.#readColon(now);
  }

  #readColon(heap: Buffer): void {
    if (this.#peek(heap) !== COLON) {
      this.#fail('":"', heap);
      return;
    }
    this.#at += 1;
    this.#expected = 'value';
  }

  /** A value of the innermost level is complete and stands on top of the stack. */
  #readAfter(L: LuaThread, heap: Buffer): void {
    const level = this.#levels.length - 1;
    const index = this.#levels[level] as number;
    const byte = this.#peek(heap);
    if (index === OBJECT) {
      if (byte !== COMMA && byte !== RIGHT_BRACE) {
        this.#fail('"," or "}"', heap);
        return;
      }
      this.#x.lua_rawset(L, -3);
      if (byte === COMMA) {
        this.#at += 1;
        this.#expected = 'key';
      } else this.#closeLevel();
      return;
    }
    if (byte !== COMMA && byte !== RIGHT_BRACKET) {
      this.#fail('"," or "]"', heap);
      return;
    }
    this.#levels[level] = index + 1;
    this.#x.lua_rawseti(L, -2, indexOf(index + 1));
    if (byte === COMMA) {
      this.#at += 1;
      this.#expected = 'value';
    } else this.#closeLevel();
  }

  #openLevel(L: LuaThread, index: number): boolean {
    const depth = this.#levels.length;
    if (depth >= JSON_DEPTH_MAX) {
      this.#failWith(`it is nested deeper than the limit of ${JSON_DEPTH_MAX} levels`, this.#at, 'limit');
      return false;
    }
    if (depth >= FREE_LEVELS && this.#x.lua_checkstack(L, LEVEL_SLOTS) === 0)
      throw new RangeError('not enough memory');
    this.#levels.push(index);
    return true;
  }

  /** Behind the closing bracket the level's table is itself a value of the level around it. */
  #closeLevel(): void {
    this.#at += 1;
    this.#levels.pop();
    this.#expected = this.#levels.length === 0 ? 'end' : 'after';
  }

  #readWord(heap: Buffer, word: string): boolean {
    const end = this.#at + word.length;
    if (end > this.#end || readLatin1(heap, this.#at, end) !== word) {
      this.#fail('a value', heap);
      return false;
    }
    this.#at = end;
    return true;
  }

  #readNumber(L: LuaThread, heap: Buffer): void {
    const start = this.#at;
    let at = start;
    const end = Math.min(this.#end, start + JSON_NUMBER_BYTES_MAX + 1);
    const isNegative = heap[at] === MINUS;
    if (isNegative) at += 1;
    const firstDigit = at;
    let value = 0;
    for (; at < end; at++) {
      const digit = (heap[at] as number) - ZERO;
      if (digit < 0 || digit > 9) break;
      value = value * 10 + digit;
    }
    const digits = at - firstDigit;
    if (digits === 0 || (digits > 1 && heap[firstDigit] === ZERO)) {
      this.#at = digits === 0 ? at : firstDigit + 1;
      this.#fail(digits === 0 ? 'a digit' : 'no digit after a leading zero', heap);
      return;
    }
    let isFloat = false;
    if (at < end && heap[at] === POINT) {
      isFloat = true;
      at = this.#skipDigits(heap, at + 1, end);
    }
    if (at !== -1 && at < end && ((heap[at] as number) | 0x20) === LETTER_E) {
      isFloat = true;
      at += 1;
      if (at < end && (heap[at] === PLUS || heap[at] === MINUS)) at += 1;
      at = this.#skipDigits(heap, at, end);
    }
    if (at === -1) return;
    if (at - start > JSON_NUMBER_BYTES_MAX) {
      this.#failNumber(start);
      return;
    }
    this.#at = at;
    this.#units += ((at - start) / JSON_UNIT_BYTES) | 0;
    if (!isFloat && digits <= EXACT_DIGITS_MAX) {
      // an integer has no negative zero
      if (isNegative && value === 0) this.#x.lua_pushnumber(L, -0);
      else this.#state.pushInteger(L, isNegative ? -value : value);
      return;
    }
    const text = readLatin1(heap, start, at);
    // more digits than 64 bits can have are not worth a conversion
    if (!isFloat && digits <= 19) {
      const integer = BigInt(text);
      if (integer >= INTEGER_MIN && integer <= INTEGER_MAX) {
        this.#x.lua_pushinteger(L, integer);
        return;
      }
    }
    this.#x.lua_pushnumber(L, Number(text));
  }

  /** The address behind the digits at `from`; -1: there is none before `end`, and the text has failed. */
  #skipDigits(heap: Buffer, from: number, end: number): number {
    let at = from;
    while (at < end && (heap[at] as number) >= ZERO && (heap[at] as number) <= NINE) at += 1;
    if (at > from) return at;
    if (at >= end && at < this.#end) {
      this.#failNumber(this.#at);
      return -1;
    }
    this.#at = at;
    this.#fail('a digit', heap);
    return -1;
  }

  #failNumber(at: number): void {
    this.#failWith(`a number has more characters than the limit of ${JSON_NUMBER_BYTES_MAX}`, at, 'limit');
  }

  /** Pushes the string whose opening quote is next, or leaves a long one to the next steps. */
  #readString(L: LuaThread, heap: Buffer): void {
    const start = this.#at + 1;
    const end = Math.min(this.#end, start + SHORT_BYTES_MAX);
    let at = start;
    let seen = 0;
    let byte = QUOTE;
    for (; at < end; at++) {
      byte = heap[at] as number;
      if (byte === QUOTE || byte === BACKSLASH || byte < SPACE) break;
      seen |= byte;
    }
    if (at < end && byte === QUOTE) {
      if (!this.#finishString(heap, start, at, seen)) return;
      this.#x.lua_pushlstring(L, start as CString, at - start);
      return;
    }
    this.#readEscaped(L, heap, start, at, end);
  }

  #finishString(heap: Buffer, start: number, end: number, seen: number): boolean {
    if (seen >= 0x80 && !isUtf8(heap.subarray(start, end))) {
      this.#failWith('a string is not valid UTF-8', start - 1, 'invalid');
      return false;
    }
    this.#units += ((end - start) / JSON_UNIT_BYTES) | 0;
    this.#at = end + 1;
    return true;
  }

  /** The same for a string with escapes, from `from` on: its bytes are gathered first, never more than it has now. */
  #readEscaped(L: LuaThread, heap: Buffer, start: number, from: number, stop: number): void {
    const end = this.#closingQuote(heap, from, stop);
    if (this.failure !== undefined) return;
    if (end >= stop) {
      this.#longStart = start;
      this.#longAt = end;
      return;
    }
    const bytes = Buffer.allocUnsafe(end - start);
    let size = 0;
    let seen = 0;
    for (let at = start; at < end; ) {
      const byte = heap[at] as number;
      if (byte !== BACKSLASH) {
        seen |= byte;
        bytes[size++] = byte;
        at += 1;
        continue;
      }
      const code = escapedAt(heap, at, end);
      if (code < 0) {
        this.#failWith(escapeFault(code), at, 'invalid');
        return;
      }
      at += escapeSize(heap, at, code);
      size = writeUtf8(bytes, size, code);
    }
    if (!this.#finishString(heap, start, end, seen)) return;
    this.#state.pushBytes(L, bytes.subarray(0, size));
  }

  /**
   * Where the string ends whose bytes before `from` are known; `stop` or a little more: not before `stop`. It fails where the
   * text ends first, or has a control character.
   */
  #closingQuote(heap: Buffer, from: number, stop: number): number {
    let at = from;
    for (; at < stop; at++) {
      const byte = heap[at] as number;
      if (byte === QUOTE) return at;
      if (byte < SPACE) {
        this.#failWith('a string holds a control character', at, 'invalid');
        return at;
      }
      if (byte === BACKSLASH) at += 1;
    }
    if (at >= this.#end) this.#failWith('a string does not end', this.#at, 'invalid');
    return at;
  }

  /** Looks for the end of a long string; true when that is known, and the string comes next. */
  #findEnd(heap: Buffer): boolean {
    const from = this.#longAt;
    const start = this.#longStart;
    const stop = Math.min(this.#end, from + SEARCH_BYTES);
    const at = this.#closingQuote(heap, from, stop);
    this.#units += ((at - from) / JSON_UNIT_BYTES) | 0;
    this.#longAt = at;
    if (this.failure !== undefined) return false;
    if (this.#expected === 'colon' && at - start > JSON_NAME_BYTES_MAX) {
      this.#failWith(`a name has more bytes than the limit of ${JSON_NAME_BYTES_MAX}`, this.#at, 'limit');
      return false;
    }
    if (at >= stop) return false;
    this.#longCodec = new JsonStringCodec();
    this.#longText = new Transcoding(this.#scheduler, this.#longCodec, start, at);
    return true;
  }

  /** One step with a long string. */
  #readLong(L: LuaThread, text: Transcoding): void {
    if (!text.step(L)) return;
    if (text.isInvalid) {
      const { fault, faultAt } = this.#longCodec as JsonStringCodec;
      this.#failWith(fault, faultAt === -1 ? this.#at : faultAt, 'invalid');
      return;
    }
    this.#at = this.#longAt + 1;
    this.#longStart = 0;
    this.#longText = undefined;
  }

  #fail(expected: string, heap: Buffer): void {
    const byte = this.#peek(heap);
    const found =
      byte === -1
        ? 'the text ends'
        : byte > SPACE && byte < 0x7f
          ? `got ${JSON.stringify(String.fromCharCode(byte))}`
          : `got byte 0x${byte.toString(16).padStart(2, '0')}`;
    this.#failWith(`${expected} expected, ${found}`, this.#at, 'invalid');
  }

  #failWith(reason: string, at: number, luaCode: 'invalid' | 'limit'): void {
    const place = at - this.#start + 1;
    this.failure = new GatewayError(
      luaCode === 'limit' ? 'LGW_JSON_LIMIT' : 'LGW_JSON_INVALID',
      `Cannot decode JSON: ${reason} at byte ${place}`,
      { luaCode },
    );
  }
}
