/** Writes values of clients so that no value forges a line, a field or a colour: escapes for words, quoted texts and JSON. */

/** Texts that stand as they are, between blanks and between quotes. */
const WORD = /^[\x21\x23-\x5b\x5d-\x7e]*$/;
const QUOTED = /^[\x20\x21\x23-\x5b\x5d-\x7e]*$/;

/** One word: blanks, quotes, backslashes, control characters and bytes beyond ASCII become `\xHH`. `lengthMax`: the rest is cut. */
export function wordText(text: string, lengthMax: number): string {
  if (text.length <= lengthMax && WORD.test(text)) return text;
  return cut(text, lengthMax).replace(/[^\x21\x23-\x5b\x5d-\x7e\u2026]/g, escapeCharacter);
}

/** The same for a text between quotes, which may have blanks. */
export function quotedText(text: string, lengthMax: number): string {
  if (text.length <= lengthMax && QUOTED.test(text)) return text;
  return cut(text, lengthMax).replace(/[^\x20\x21\x23-\x5b\x5d-\x7e\u2026]/g, escapeCharacter);
}

/** A string of JSON in ASCII. Bytes that are UTF-8 are shown as what they mean, others as the characters of their numbers. */
export function jsonText(bytes: string, lengthMax: number): string {
  if (bytes.length <= lengthMax && QUOTED.test(bytes)) return `"${bytes}"`;
  const text = asUtf8(cut(bytes, lengthMax));
  return JSON.stringify(text).replace(/[^\x20-\x7e]/g, escapeUnit);
}

function cut(text: string, lengthMax: number): string {
  return text.length > lengthMax ? `${text.slice(0, lengthMax)}…` : text;
}

function asUtf8(bytes: string): string {
  if (!/^[\0-\xff]*$/.test(bytes)) return bytes;
  const text = Buffer.from(bytes, 'latin1').toString('utf8');
  return text.includes('\ufffd') ? bytes : text;
}

function escapeCharacter(character: string): string {
  return `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`;
}

function escapeUnit(unit: string): string {
  return `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

const THREE_DIGITS: readonly string[] = Array.from({ length: 1000 }, (_, i) => String(i).padStart(3, '0'));
const US_PER_MS = 1000;

/** Milliseconds with three decimals, as `toFixed(3)` writes them, at a fifth of its time. */
export function msText(ms: number): string {
  if (!(ms >= 0 && ms < 1e9)) return ms > 0 ? ms.toFixed(3) : '0.000';
  const us = Math.round(ms * US_PER_MS);
  const whole = Math.floor(us / US_PER_MS);
  return `${whole}.${THREE_DIGITS[us - whole * US_PER_MS] as string}`;
}

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];
const MS_PER_SECOND = 1000;

let second = Number.NaN;
let isoStart = '';
let isoAt = Number.NaN;
let iso = '';
let clf = '';

/** `2026-01-02T03:04:05.678Z`; the part before the point is made once a second. */
export function isoTime(time: number): string {
  const ms = Math.floor(time);
  if (ms === isoAt) return iso;
  const whole = Math.floor(ms / MS_PER_SECOND);
  if (whole !== second) startSecond(whole);
  isoAt = ms;
  iso = `${isoStart}${THREE_DIGITS[ms - whole * MS_PER_SECOND] as string}Z`;
  return iso;
}

/** `02/Jan/2026:03:04:05 +0000`, as the Common Log Format has it. */
export function clfTime(ms: number): string {
  const whole = Math.floor(ms / MS_PER_SECOND);
  if (whole !== second) startSecond(whole);
  return clf;
}

function startSecond(whole: number): void {
  second = whole;
  const text = new Date(whole * MS_PER_SECOND).toISOString();
  isoStart = text.slice(0, 20);
  const [year, month, day] = [text.slice(0, 4), MONTHS[Number(text.slice(5, 7)) - 1], text.slice(8, 10)];
  clf = `${day}/${month}/${year}:${text.slice(11, 19)} +0000`;
}
