/**
 * Encodings of `httpd.encode`, `httpd.decode` and `httpd.query`, over bytes and in stretches: each first tells how long its
 * result is and then writes it, so that nothing of unbounded length is done at once or gathered outside the VM.
 */
import { writeLatin1 } from '../native/node-internals.ts';

/** How far a text has been read and written. */
export interface Cursor {
  /** Where the next byte is read. */
  at: number;
  /** Behind the last byte of the text. */
  readonly end: number;
  /** Bytes of the result so far: counted by `measure`, or where `write` goes on. */
  out: number;
  /** Bytes that stand for something, or have to change: what `measure` keeps from stretch to stretch. */
  seen: number;
  /** Of a decoder: bits that have been read and not written, and how many bytes they belong to. */
  bits: number;
  /** Of a decoder of base64: signs of padding. */
  pads: number;
}

export interface Codec {
  /** Counts into `out` what the bytes up to about `stop` become; false: they are not validly encoded. */
  measure(cursor: Cursor, text: Uint8Array, stop: number): boolean;
  /** What can be said at the end; undefined: any text that `measure` takes is valid. */
  readonly isComplete?: (cursor: Cursor) => boolean;
  /** Writes what the bytes up to about `stop` become, from `out` on. */
  write(cursor: Cursor, text: Uint8Array, stop: number, target: Buffer): void;
}

export function cursorOver(at: number, end: number, out = 0): Cursor {
  return { at, end, out, seen: 0, bits: 0, pads: 0 };
}

const PERCENT = 0x25;
const PLUS = 0x2b;
const SPACE = 0x20;
const PAD = 0x3d;
const LF = 10;
const CR = 13;
const HEX_DIGITS = Buffer.from('0123456789ABCDEF');
/** In tables of digits: the byte is none. */
const NONE = 255;

const HEX_VALUES = digitTable('0123456789abcdef', { ABCDEF: 10 });
const BASE64 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';
const BASE64_VALUES = digitTable(`${BASE64}+/`);
const BASE64URL_VALUES = digitTable(`${BASE64}-_`);

/** Encoders by kind. */
export const ENCODERS: ReadonlyMap<string, Codec> = new Map([
  ['base64', nativeEncoder('base64')],
  ['base64url', nativeEncoder('base64url')],
  ['hex', nativeEncoder('hex')],
  // RFC 3986 §2.3: everything but unreserved characters
  ['url', replacingEncoder(percentTable(undefined))],
  // application/x-www-form-urlencoded: a blank is "+"
  ['query', replacingEncoder(percentTable('+'))],
  [
    'html',
    replacingEncoder(
      replacementTable({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' }),
    ),
  ],
]);

/** Decoders by kind. */
export const DECODERS: ReadonlyMap<string, Codec> = new Map([
  ['base64', base64Decoder(BASE64_VALUES, true)],
  ['base64url', base64Decoder(BASE64URL_VALUES, false)],
  ['hex', hexDecoder()],
  ['url', percentDecoder(false)],
  ['query', percentDecoder(true)],
]);

/** Bytes that `replacements` names become something else; the others stay. */
function replacingEncoder(replacements: readonly (Buffer | undefined)[]): Codec {
  const sizes = Uint8Array.from(replacements, (replacement) => replacement?.length ?? 1);
  const changes = Uint8Array.from(replacements, (replacement) => (replacement === undefined ? 0 : 1));
  return {
    measure(cursor, text, stop) {
      let size = 0;
      let changed = 0;
      for (let at = cursor.at; at < stop; at++) {
        const byte = text[at] as number;
        size += sizes[byte] as number;
        changed += changes[byte] as number;
      }
      cursor.at = stop;
      cursor.out += size;
      cursor.seen += changed;
      return true;
    },
    write(cursor, text, stop, target) {
      let { out } = cursor;
      for (let at = cursor.at; at < stop; at++) {
        const byte = text[at] as number;
        const replacement = replacements[byte];
        if (replacement === undefined) target[out++] = byte;
        else for (let i = 0; i < replacement.length; i++) target[out++] = replacement[i] as number;
      }
      cursor.at = stop;
      cursor.out = out;
    },
  };
}

/** Platform encodings; stretches are whole groups of three bytes but for the last. */
function nativeEncoder(kind: 'base64' | 'base64url' | 'hex'): Codec {
  const sizeOf = (bytes: number): number =>
    kind === 'hex' ? 2 * bytes : kind === 'base64' ? 4 * Math.ceil(bytes / 3) : Math.ceil((4 * bytes) / 3);
  return {
    measure(cursor) {
      cursor.out += sizeOf(cursor.end - cursor.at);
      cursor.seen += cursor.end - cursor.at;
      cursor.at = cursor.end;
      return true;
    },
    write(cursor, text, stop, target) {
      const to = stop === cursor.end ? stop : cursor.at + Math.max(3, 3 * Math.floor((stop - cursor.at) / 3));
      const piece = Buffer.from(
        text.buffer,
        text.byteOffset + cursor.at,
        Math.min(to, cursor.end) - cursor.at,
      );
      const encoded = piece.toString(kind);
      cursor.out += writeLatin1(target, encoded, cursor.out, encoded.length);
      cursor.at += piece.length;
    },
  };
}

/** `%41` becomes `A`; with `plus`, `+` a blank. */
function percentDecoder(plus: boolean): Codec {
  return {
    measure(cursor, text, stop) {
      let { at, out, seen } = cursor;
      for (; at < stop; at++, out++) {
        const byte = text[at] as number;
        if (byte === PERCENT) {
          if (at + 2 >= cursor.end || hexByte(text, at + 1) < 0) return false;
          at += 2;
          seen += 1;
        } else if (plus && byte === PLUS) seen += 1;
      }
      cursor.at = at;
      cursor.out = out;
      cursor.seen = seen;
      return true;
    },
    write(cursor, text, stop, target) {
      let { at, out } = cursor;
      for (; at < stop; at++) {
        const byte = text[at] as number;
        if (byte === PERCENT) {
          target[out++] = hexByte(text, at + 1);
          at += 2;
        } else target[out++] = plus && byte === PLUS ? SPACE : byte;
      }
      cursor.at = at;
      cursor.out = out;
    },
  };
}

function hexDecoder(): Codec {
  return {
    measure(cursor, text, stop) {
      for (let at = cursor.at; at < stop; at++) if (HEX_VALUES[text[at] as number] === NONE) return false;
      cursor.seen += stop - cursor.at;
      cursor.out = cursor.seen >> 1;
      cursor.at = stop;
      return true;
    },
    isComplete: ({ seen }) => seen % 2 === 0,
    write(cursor, text, stop, target) {
      const to = stop === cursor.end ? stop : stop - ((stop - cursor.at) & 1);
      let { out } = cursor;
      for (let at = cursor.at; at < to; at += 2) target[out++] = hexByte(text, at);
      cursor.at = to;
      cursor.out = out;
    },
  };
}

/** RFC 4648 §4 and §5. `isLoose`: line ends between, padding at the end. */
function base64Decoder(values: Uint8Array, isLoose: boolean): Codec {
  return {
    measure(cursor, text, stop) {
      let { seen, pads } = cursor;
      for (let at = cursor.at; at < stop; at++) {
        const byte = text[at] as number;
        if (values[byte] !== NONE) {
          if (pads > 0) return false;
          seen += 1;
        } else if (isLoose && byte === PAD) pads += 1;
        else if (!isLoose || (byte !== LF && byte !== CR)) return false;
      }
      cursor.seen = seen;
      cursor.pads = pads;
      cursor.out = Math.floor((seen * 3) / 4);
      cursor.at = stop;
      return true;
    },
    isComplete({ seen, pads }) {
      const rest = seen % 4;
      return pads === 0 ? rest !== 1 : (rest === 2 && pads === 2) || (rest === 3 && pads === 1);
    },
    write(cursor, text, stop, target) {
      let { out, bits, seen } = cursor;
      for (let at = cursor.at; at < stop; at++) {
        const value = values[text[at] as number] as number;
        if (value === NONE) continue;
        bits = ((bits << 6) | value) & 0xffff;
        seen = (seen + 1) & 3;
        // the first of four brings six bits, each other completes a byte
        if (seen !== 1) target[out++] = bits >> (seen === 2 ? 4 : seen === 3 ? 2 : 0);
      }
      cursor.at = stop;
      cursor.out = out;
      cursor.bits = bits;
      cursor.seen = seen;
    },
  };
}

/** The byte that two hex digits stand for; negative: they are none. */
function hexByte(text: Uint8Array, at: number): number {
  const high = HEX_VALUES[text[at] as number] as number;
  const low = HEX_VALUES[text[at + 1] as number] as number;
  return high === NONE || low === NONE ? -1 : (high << 4) | low;
}

/** The value of each digit; `more` names other digits and the value of their first. */
function digitTable(digits: string, more: Readonly<Record<string, number>> = {}): Uint8Array {
  const table = new Uint8Array(256).fill(NONE);
  for (const [text, first] of [[digits, 0], ...Object.entries(more)] as const)
    for (let i = 0; i < text.length; i++) table[text.charCodeAt(i)] = first + i;
  return table;
}

function replacementTable(replacements: Readonly<Record<string, string>>): (Buffer | undefined)[] {
  const table: (Buffer | undefined)[] = new Array(256).fill(undefined);
  for (const [character, text] of Object.entries(replacements))
    table[character.charCodeAt(0)] = Buffer.from(text);
  return table;
}

/** `blank`: what a blank becomes; undefined: as any other. */
function percentTable(blank: string | undefined): (Buffer | undefined)[] {
  const table: (Buffer | undefined)[] = [];
  for (let byte = 0; byte < 256; byte++) {
    const isUnreserved = /^[A-Za-z0-9\-._~]$/.test(String.fromCharCode(byte));
    table.push(
      isUnreserved
        ? undefined
        : Buffer.from([PERCENT, HEX_DIGITS[byte >> 4] as number, HEX_DIGITS[byte & 15] as number]),
    );
  }
  if (blank !== undefined) table[SPACE] = Buffer.from(blank);
  return table;
}
