/** The inside of a JSON string (RFC 8259 §7): its escapes, and a codec that reads one of any length in slices. */
import { isUtf8 } from 'node:buffer';
import { characterStart } from './json-limits.ts';
import type { Codec, Cursor } from './text-codecs.ts';

const ZERO = 0x30;
const NINE = 0x39;
const BACKSLASH = 0x5c;
const LETTER_U = 0x75;

const INVALID_ESCAPE = -1;
const LONE_SURROGATE = -2;

/** What a letter after a backslash stands for. */
const ESCAPES: ReadonlyMap<number, number> = new Map(
  [...'"\\/bfnrt'].map((letter, i) => [letter.charCodeAt(0), '"\\/\b\f\n\r\t'.charCodeAt(i)]),
);

/** The character that the escape at `at` stands for; negative: it is invalid, see `escapeFault`. */
export function escapedAt(text: Uint8Array, at: number, end: number): number {
  const letter = text[at + 1] as number;
  return ESCAPES.get(letter) ?? (letter === LETTER_U ? codePointAt(text, at + 2, end) : INVALID_ESCAPE);
}

/** What is wrong where `escapedAt` gives `code`. */
export function escapeFault(code: number): string {
  return code === LONE_SURROGATE ? 'an escape is half of a surrogate pair' : 'an escape is invalid';
}

/** Bytes of the escape at `at`, which stands for `code`. */
export function escapeSize(text: Uint8Array, at: number, code: number): number {
  return text[at + 1] !== LETTER_U ? 2 : code > 0xffff ? 12 : 6;
}

/** The character that `\u` and four hex digits at `at` stand for, two such escapes for one beyond U+FFFF. */
function codePointAt(text: Uint8Array, at: number, end: number): number {
  const unit = hexAt(text, at, end);
  if (unit < 0xd800 || unit > 0xdfff) return unit;
  if (unit > 0xdbff || text[at + 4] !== BACKSLASH || text[at + 5] !== LETTER_U) return LONE_SURROGATE;
  const low = hexAt(text, at + 6, end);
  if (low < 0xdc00 || low > 0xdfff) return LONE_SURROGATE;
  return 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
}

function hexAt(text: Uint8Array, at: number, end: number): number {
  if (at + 4 > end) return INVALID_ESCAPE;
  let value = 0;
  for (let i = at; i < at + 4; i++) {
    const byte = text[i] as number;
    const digit =
      byte >= ZERO && byte <= NINE
        ? byte - ZERO
        : (byte | 0x20) >= 0x61 && (byte | 0x20) <= 0x66
          ? (byte | 0x20) - 0x57
          : -1;
    if (digit === -1) return INVALID_ESCAPE;
    value = value * 16 + digit;
  }
  return value;
}

function utf8Size(code: number): number {
  return code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
}

/** Writes a character at `at`; the result is where the next one goes. */
export function writeUtf8(bytes: Uint8Array, at: number, code: number): number {
  let next = at;
  if (code < 0x80) bytes[next++] = code;
  else if (code < 0x800) {
    bytes[next++] = 0xc0 | (code >> 6);
    bytes[next++] = 0x80 | (code & 0x3f);
  } else {
    if (code < 0x10000) bytes[next++] = 0xe0 | (code >> 12);
    else {
      bytes[next++] = 0xf0 | (code >> 18);
      bytes[next++] = 0x80 | ((code >> 12) & 0x3f);
    }
    bytes[next++] = 0x80 | ((code >> 6) & 0x3f);
    bytes[next++] = 0x80 | (code & 0x3f);
  }
  return next;
}

/** For one string between its quotes, which holds no control characters. */
export class JsonStringCodec implements Codec {
  /** What is wrong, when `measure` has said false, and at which escape; -1: not at one. */
  fault = '';
  faultAt = -1;
  #hasEscapes = false;

  measure(cursor: Cursor, text: Uint8Array, stop: number): boolean {
    const start = cursor.at;
    const to = stop < cursor.end ? characterStart(text, stop) : stop;
    let { out } = cursor;
    let seen = 0;
    let at = start;
    while (at < to) {
      const byte = text[at] as number;
      if (byte !== BACKSLASH) {
        seen |= byte;
        at += 1;
        out += 1;
        continue;
      }
      const code = escapedAt(text, at, cursor.end);
      if (code < 0) {
        this.fault = escapeFault(code);
        this.faultAt = at;
        return false;
      }
      this.#hasEscapes = true;
      at += escapeSize(text, at, code);
      out += utf8Size(code);
    }
    if (seen >= 0x80 && !isUtf8(text.subarray(start, at))) {
      this.fault = 'a string is not valid UTF-8';
      return false;
    }
    cursor.at = at;
    cursor.out = out;
    // what it becomes is never the text itself, which has quotes
    cursor.seen = 1;
    return true;
  }

  write(cursor: Cursor, text: Uint8Array, stop: number, target: Buffer): void {
    let { at, out } = cursor;
    if (!this.#hasEscapes) {
      target.set(text.subarray(at, stop), out);
      out += stop - at;
      at = stop;
    }
    while (at < stop) {
      const byte = text[at] as number;
      if (byte !== BACKSLASH) {
        target[out++] = byte;
        at += 1;
        continue;
      }
      const code = escapedAt(text, at, cursor.end);
      at += escapeSize(text, at, code);
      out = writeUtf8(target, out, code);
    }
    cursor.at = at;
    cursor.out = out;
  }
}
