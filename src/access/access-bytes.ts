/** Writes those values of a line that are other ones with each line, as bytes, without making a text of them. Each function returns where it ends. */
import { clfTime, isoTime } from './access-text.ts';

const ZERO = 48;
const POINT = 46;
/** From `a`, of the digits beyond 9. */
const LETTERS = 97 - 10;
const US_PER_MS = 1000;
const MS_PER_SECOND = 1000;
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
  bytes[point] = POINT;
  putDecimals(bytes, point + 1, us - whole * US_PER_MS);
  return point + 4;
}

/** Three digits. */
function putDecimals(bytes: Uint8Array, at: number, value: number): void {
  const hundreds = Math.floor(value / 100);
  const tens = Math.floor(value / 10);
  bytes[at] = ZERO + hundreds;
  bytes[at + 1] = ZERO + tens - hundreds * 10;
  bytes[at + 2] = ZERO + value - tens * 10;
}

type TimeForm = 'time' | 'clf' | 'unix';

/** A time of the day that was written. */
interface ShownTime {
  readonly text: (ms: number) => string;
  /** Where in the text its milliseconds stand, from the end; 0: it has none. */
  readonly msFromEnd: number;
  ms: number;
  second: number;
  bytes: Buffer;
}

const shownTime = (text: (ms: number) => string, msFromEnd: number): ShownTime => ({
  text,
  msFromEnd,
  ms: Number.NaN,
  second: Number.NaN,
  bytes: Buffer.alloc(0),
});

const times: Readonly<Record<TimeForm, ShownTime>> = {
  time: shownTime(isoTime, 'mmmZ'.length),
  clf: shownTime(clfTime, 0),
  unix: shownTime(String, 'mmm'.length),
};

/** A time of the day as RFC 3339, as the Common Log Format, or in milliseconds since 1970; made once a second, but for its milliseconds. */
export function putTime(bytes: Uint8Array, at: number, time: number, form: TimeForm): number {
  const ms = Math.floor(time);
  const shown = times[form];
  if (ms !== shown.ms) show(shown, ms);
  return putBytes(bytes, at, shown.bytes);
}

function show(shown: ShownTime, ms: number): void {
  const second = Math.floor(ms / MS_PER_SECOND);
  if (second !== shown.second) {
    shown.bytes = Buffer.from(shown.text(ms));
    shown.second = second;
  } else if (shown.msFromEnd > 0) {
    putDecimals(shown.bytes, shown.bytes.length - shown.msFromEnd, ms - second * MS_PER_SECOND);
  }
  shown.ms = ms;
}
