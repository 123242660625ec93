/** What JSON may look like in both directions: bounds, and the values Lua has no words for. */

/** Levels of arrays and objects inside each other: what lua-cjson allows. */
export const JSON_DEPTH_MAX = 1000;
/** Bytes of one text, read or written: a quarter of the memory a state has. */
export const JSON_BYTES_MAX: number = 64 * 1024 * 1024;
/** Bytes of one name: the VM looks at all of them at once when it hashes it. */
export const JSON_NAME_BYTES_MAX: number = 256 * 1024;
/** Characters of one number: it is converted at once. No double needs more than 1100. */
export const JSON_NUMBER_BYTES_MAX = 4096;
/** Bytes that names have outside the VM while they are sorted, in all calls of a state at a time. */
export const JSON_SORTED_BYTES_MAX: number = 16 * 1024 * 1024;
/** Units of work (a value, or as many bytes of a string as take its time) before the clock is looked at: about 0.2 ms. */
export const JSON_STEP_UNITS = 2000;
/** Bytes of a string that take as long as a small value. */
export const JSON_UNIT_BYTES = 64;
/** Fuel for a unit: loop rounds of 5 ns. */
export const JSON_UNIT_ROUNDS = 20;

/** Field of a metatable that says what its tables are: "array" or "object" (as dkjson has it). */
export const JSON_TYPE_FIELD = '__jsontype';

const SMALL: readonly bigint[] = Array.from({ length: 1024 }, (_, i) => BigInt(i));

/** An index as the 64-bit integer it crosses to Lua as; small ones are made once. */
export function indexOf(n: number): bigint {
  return SMALL[n] ?? BigInt(n);
}

/** `at`, or the start of the UTF-8 character that it is inside of: where a text may be cut to be checked in pieces. */
export function characterStart(text: Uint8Array, at: number): number {
  let start = at;
  while (start > at - 3 && ((text[start] as number) & 0xc0) === 0x80) start -= 1;
  return start;
}
