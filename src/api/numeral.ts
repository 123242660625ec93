/** Finds the numeral at the front of a byte queue as Lua's `read("n")` does (at most 200 characters of it). */
import type { ByteQueue } from '../base/byte-queue.ts';

/** The end of what has arrived was reached before the end of the numeral. */
export const NEEDS_MORE = 'needs more';
/** `L_MAXLENNUM`: longer numerals are invalid. */
const NUMERAL_LENGTH_MAX = 200;

export interface Numeral {
  /** What `lua_stringtonumber` has to convert; empty when it is none. */
  readonly text: string;
  /** Bytes to take out of the queue, white space before it included. */
  readonly consumed: number;
}

export function scanNumeral(queue: ByteQueue, ended: boolean): Numeral | typeof NEEDS_MORE {
  let at = 0;
  let missing = false;
  let text = '';
  let overflow = false;
  const current = (): string => {
    const byte = queue.peek(at);
    if (byte === undefined) {
      missing = true;
      return '';
    }
    return String.fromCharCode(byte);
  };
  const advance = (): boolean => {
    if (text.length >= NUMERAL_LENGTH_MAX) {
      overflow = true;
      return false;
    }
    text += current();
    at += 1;
    return true;
  };
  const accept = (set: string): boolean => {
    const character = current();
    return character !== '' && set.includes(character) && advance();
  };
  const digits = (hex: boolean): number => {
    let count = 0;
    while (accept(hex ? '0123456789abcdefABCDEF' : '0123456789')) count += 1;
    return count;
  };

  while (accept(' \t\n\v\f\r')) text = '';
  accept('+-');
  let hex = false;
  let count = 0;
  if (accept('0')) {
    if (accept('xX')) hex = true;
    else count = 1;
  }
  count += digits(hex);
  if (accept('.')) count += digits(hex);
  if (count > 0 && accept(hex ? 'pP' : 'eE')) {
    accept('+-');
    digits(false);
  }
  if (missing && !ended) return NEEDS_MORE;
  return { text: overflow ? '' : text, consumed: at };
}
