/** Finds the numeral at the front of a byte queue as Lua's `read("n")` does (at most 200 characters of it). */
import type { ByteQueue } from '../base/byte-queue.ts';

/** The end of what has arrived was reached before the end of the numeral. */
export const NEEDS_MORE = 'needs more';
/** `L_MAXLENNUM`: longer numerals are invalid. */
const NUMERAL_LENGTH_MAX = 200;
/** White space is taken in pieces of this size (bytes). */
const BLANKS_PER_TAKE = 64;

export interface Numeral {
  /** What `lua_stringtonumber` has to convert; empty when it is none. */
  readonly text: string;
  /** Bytes to take out of the queue. */
  readonly consumed: number;
}

/** `queue` loses the white space at its front, as in C's Lua: there may be any number of it. */
export function scanNumeral(queue: ByteQueue, ended: boolean): Numeral | typeof NEEDS_MORE {
  skipBlanks(queue);
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

function skipBlanks(queue: ByteQueue): void {
  while (queue.length > 0) {
    let count = 0;
    while (count < BLANKS_PER_TAKE) {
      const byte = queue.peek(count);
      if (byte === undefined || !(byte === 0x20 || (byte >= 0x09 && byte <= 0x0d))) break;
      count += 1;
    }
    if (count > 0) queue.take(count);
    if (count < BLANKS_PER_TAKE) return;
  }
}
