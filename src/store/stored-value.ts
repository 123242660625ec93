/**
 * How values of a dictionary are written in a store: integers as Redis counts them, in decimal, and everything else behind a letter:
 * `b0`, `b1`, `f` and a float, `s` and the bytes of a string.
 */

/** An integer of 64 bits is a BigInt, a number is a float, a text and a buffer are strings of bytes. */
export type StoredValue = boolean | bigint | number | string | Buffer;

const LETTER = { boolean: 'b', float: 'f', string: 's' } as const;
const FLOAT = /^-?\d+(?:\.\d+)?(?:e[+-]?\d+)?$/;
const INTEGER = /^-?(?:0|[1-9]\d{0,18})$/;

export function encodeBoolean(value: boolean): string {
  return value ? 'b1' : 'b0';
}

export function encodeInteger(value: bigint): string {
  return String(value);
}

/** Every float comes back as it was; a NaN as some NaN. */
export function encodeFloat(value: number): string {
  if (Object.is(value, -0)) return 'f-0';
  if (Number.isFinite(value)) return `f${value}`;
  return Number.isNaN(value) ? 'fnan' : value > 0 ? 'finf' : 'f-inf';
}

/** `text`: bytes, one character each. */
export function encodeString(text: string): string {
  return LETTER.string + text;
}

/** Undefined for what no dictionary has written. A long string is a view of `bytes`. */
export function decodeValue(bytes: Buffer): StoredValue | undefined {
  switch (bytes[0]) {
    case 0x73: // s
      return bytes.length > 4096 ? bytes.subarray(1) : bytes.toString('latin1', 1);
    case 0x66: // f
      return decodeFloat(bytes.toString('latin1', 1, 64));
    case 0x62: // b
      return bytes.length === 2 && (bytes[1] === 0x30 || bytes[1] === 0x31) ? bytes[1] === 0x31 : undefined;
    default: {
      const text = bytes.toString('latin1', 0, 32);
      if (bytes.length > 20 || !INTEGER.test(text)) return undefined;
      const value = BigInt(text);
      return BigInt.asIntN(64, value) === value ? value : undefined;
    }
  }
}

function decodeFloat(text: string): number | undefined {
  switch (text) {
    case 'inf':
      return Number.POSITIVE_INFINITY;
    case '-inf':
      return Number.NEGATIVE_INFINITY;
    case 'nan':
    case '-nan':
      return Number.NaN;
    default: {
      return FLOAT.test(text) ? Number(text) : undefined;
    }
  }
}
