/** What JSON may look like in both directions: bounds, and the values Lua has no words for. */

/** Levels of arrays and objects inside each other: what lua-cjson allows. */
export const JSON_DEPTH_MAX = 1000;
/** Bytes of one text, read or written: a quarter of the memory a state has. */
export const JSON_BYTES_MAX: number = 64 * 1024 * 1024;
/** Units of work (a value, or as many bytes of a string as take its time) before the clock is looked at: about 0.2 ms. */
export const JSON_STEP_UNITS = 2000;
/** Bytes of a string that take as long as a small value. */
export const JSON_UNIT_BYTES = 64;

/** Field of a metatable that says what its tables are: "array" or "object" (as dkjson has it). */
export const JSON_TYPE_FIELD = '__jsontype';

const SMALL: readonly bigint[] = Array.from({ length: 1024 }, (_, i) => BigInt(i));

/** An index as the 64-bit integer it crosses to Lua as; small ones are made once. */
export function indexOf(n: number): bigint {
  return SMALL[n] ?? BigInt(n);
}
