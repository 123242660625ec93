/** Keys, values and limits as JavaScript gives them to a dictionary, wherever that lives: what may be stored, and as what. */
import { KEYS_MAX } from './dictionary.ts';

/** A whole number is an integer of 64 bits; one beyond 2^53 is read as a BigInt. A string holds bytes (latin1). */
export type SharedValue = boolean | number | bigint | string;

const MS_PER_SECOND = 1000;
/** Characters above the range of a byte. */
const NO_BYTES = /[^\0-\xff]/;

/** Throws TypeError for a key that is no byte string. */
export function checkKey(key: string): void {
  if (NO_BYTES.test(key))
    throw new TypeError('A key is a byte string: characters above 255 have to be encoded');
}

/** The same value, whole numbers as BigInt. Throws TypeError and RangeError for what cannot be stored. */
export function exactValue(value: SharedValue): SharedValue {
  switch (typeof value) {
    case 'boolean':
      return value;
    case 'bigint':
    case 'number':
      return exactNumber(value);
    case 'string':
      if (NO_BYTES.test(value))
        throw new TypeError('A string value holds bytes: characters above 255 have to be encoded');
      return value;
    default:
      throw new TypeError(`A value is a boolean, a number, a BigInt or a string, not ${typeof value}`);
  }
}

/** A whole number as BigInt; others, and -0, as they are. Throws RangeError for what is no integer of 64 bits. */
export function exactNumber(value: number | bigint): number | bigint {
  if (typeof value === 'bigint') {
    if (BigInt.asIntN(64, value) !== value) throw new RangeError(`${value} is no integer of 64 bits`);
    return value;
  }
  return Number.isSafeInteger(value) && !Object.is(value, -0) ? BigInt(value) : value;
}

/** An integer of 64 bits as it is read. */
export function readInteger(integer: bigint): number | bigint {
  const value = Number(integer);
  return Number.isSafeInteger(value) ? value : integer;
}

/** Throws RangeError for a limit of keys that cannot be. */
export function checkKeysLimit(limit: number): void {
  if (!Number.isInteger(limit) || limit < 1 || limit > KEYS_MAX)
    throw new RangeError(`The limit of keys is ${limit} (1 to ${KEYS_MAX} was expected)`);
}

/** Of a time to live. Throws RangeError for what is none. */
export function toMilliseconds(seconds: number): number {
  if (!(seconds >= 0 && seconds < Number.POSITIVE_INFINITY))
    throw new RangeError(`The time to live is ${seconds} (seconds, 0 or more, were expected)`);
  return seconds * MS_PER_SECOND;
}
