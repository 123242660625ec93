/** Writes those values of a line that are other ones with each line, as bytes, without making a text of them. Each function returns where it ends. */
import { clfTime, isoTime } from './access-text.ts';

const ZERO = 48;
const POINT = 46;
/** From `a`, of the digits beyond 9. */
const LETTERS = 97 - 10;
const US_PER_MS = 1000;
/** Longer times are written by `toFixed`: a number of so many microseconds still is a small integer. */
const MS_MAX = 1e6;
/** For fewer bytes a call of `set` costs more than a loop. */
const SHORT_COPY_BYTES = 16;

export function putBytes(bytes: Uint8Array, at: number, source: Uint8Array): number {
  const { length } = source;
  if (length > SHORT_COPY_BYTES) bytes.set(source, at);
  else for (let i = 0; i < length; i++) bytes[at + i] = source[i] as number;
  return at + length;
}

/** ASCII. */
export function putText(bytes: Uint8Array, at: number, text: string): number {
  for (let i = 0; i < text.length; i++) bytes[at + i] = text.charCodeAt(i);
  return at + text.length;
}

/** A whole number that is not negative, in a radix up to 36. */
export function putNumber(bytes: Uint8Array, at: number, value: number, radix: number): number {
  let digits = 1;
  for (let rest = Math.floor(value / radix); rest > 0; rest = Math.floor(rest / radix)) digits += 1;
  let left = value;
  for (let place = at + digits - 1; place >= at; place--) {
    const rest = Math.floor(left / radix);
    const digit = left - rest * radix;
    bytes[place] = digit < 10 ? ZERO + digit : LETTERS + digit;
    left = rest;
  }
  return at + digits;
}

/** Digits of all numbers of two places in radix 36, one pair after the other. */
const PAIRS: Uint8Array = Uint8Array.from(
  Array.from({ length: 36 ** 2 }, (_, i) => i.toString(36).padStart(2, '0')).join(''),
  (digit) => digit.charCodeAt(0),
);
const PAIR_COUNT = 36 ** 2;
/** Integers that the machine divides as such. */
const INT32_MAX = 2 ** 31 - 1;

/** Writes a whole number in radix 36 over one of so many digits. False: it has another count of digits, or is too large for the quick way. */
export function replaceBase36(bytes: Uint8Array, at: number, digits: number, value: number): boolean {
  if (value > INT32_MAX) return false;
  let left = value | 0;
  let end = at + digits;
  while (end - at >= 2) {
    const rest = (left / PAIR_COUNT) | 0;
    const pair = (left - rest * PAIR_COUNT) * 2;
    bytes[end - 1] = PAIRS[pair + 1] as number;
    bytes[end - 2] = PAIRS[pair] as number;
    left = rest;
    end -= 2;
  }
  if (end > at) {
    const rest = (left / 36) | 0;
    bytes[at] = PAIRS[(left - rest * 36) * 2 + 1] as number;
    left = rest;
  }
  return left === 0 && (bytes[at] !== ZERO || digits === 1);
}

/** Milliseconds with three decimals, as `msText` writes them. */
export function putMs(bytes: Uint8Array, at: number, ms: number): number {
  if (!(ms >= 0 && ms < MS_MAX)) return putText(bytes, at, ms > 0 ? ms.toFixed(3) : '0.000');
  const us = Math.round(ms * US_PER_MS);
  const whole = Math.floor(us / US_PER_MS);
  const point = putNumber(bytes, at, whole, 10);
  const decimals = us - whole * US_PER_MS;
  const hundreds = Math.floor(decimals / 100);
  const tens = Math.floor(decimals / 10);
  bytes[point] = POINT;
  bytes[point + 1] = ZERO + hundreds;
  bytes[point + 2] = ZERO + tens - hundreds * 10;
  bytes[point + 3] = ZERO + decimals - tens * 10;
  return point + 4;
}

let shownMs = Number.NaN;
const times: Record<'time' | 'clf' | 'unix', Buffer> = {
  time: Buffer.alloc(0),
  clf: Buffer.alloc(0),
  unix: Buffer.alloc(0),
};

/** A time of the day as RFC 3339, as the Common Log Format, or in milliseconds since 1970; made once a millisecond. */
export function putTime(bytes: Uint8Array, at: number, time: number, form: 'time' | 'clf' | 'unix'): number {
  const ms = Math.floor(time);
  if (ms !== shownMs) {
    shownMs = ms;
    times.time = Buffer.from(isoTime(ms));
    times.clf = Buffer.from(clfTime(ms));
    times.unix = Buffer.from(String(ms));
  }
  return putBytes(bytes, at, times[form]);
}
