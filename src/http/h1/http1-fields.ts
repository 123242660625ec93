/** Takes the field lines of a request head apart (RFC 9112 §5), strictly: one reading of each line, or none. */
import { type Fields, isBlank } from '../semantics/fields.ts';

/**
 * The fields of a head from `start` on, up to the blank line at its end. `text`: the whole head, of which each line ends with
 * CR LF, as a byte string. Undefined: a line is not well-formed. The names and values are slices of `text`.
 */
export function parseFieldLines(text: string, start: number): Fields | undefined {
  const fields: string[] = [];
  const end = text.length - BLANK_LINE_BYTES;
  let at = start;
  while (at < end) {
    const nameStart = at;
    while (isKind(text, at, NAME)) at += 1;
    // a blank before the colon makes two servers see two names (RFC 9112 §5.1)
    if (at === nameStart || text.charCodeAt(at) !== COLON) return undefined;
    const name = text.slice(nameStart, at);
    do at += 1;
    while (isBlank(text.charCodeAt(at)));
    const valueStart = at;
    while (isKind(text, at, VALUE)) at += 1;
    if (text.charCodeAt(at) !== CR || text.charCodeAt(at + 1) !== LF) return undefined;
    let valueEnd = at;
    while (valueEnd > valueStart && isBlank(text.charCodeAt(valueEnd - 1))) valueEnd -= 1;
    fields.push(name, text.slice(valueStart, valueEnd));
    at += LINE_END_BYTES;
  }
  return at === end ? fields : undefined;
}

/** True for a byte of a token (RFC 9110 §5.6.2). */
export function isTokenByte(byte: number): boolean {
  return ((KINDS[byte] ?? 0) & NAME) !== 0;
}

/** True for a byte of a value or a quoted string (RFC 9110 §5.5, §5.6.4): no control but HTAB. */
export function isValueByte(byte: number): boolean {
  return ((KINDS[byte] ?? 0) & VALUE) !== 0;
}

const LINE_END_BYTES = 2;
const BLANK_LINE_BYTES = 2;
const TAB = 9;
const LF = 10;
const CR = 13;
const SPACE = 32;
const COLON = 58;
const DELETE = 127;

/** Bytes of a token (RFC 9110 §5.6.2), and those that may stand in a value (§5.5, obs-text included). */
const NAME = 1;
const VALUE = 2;
const KINDS: Uint8Array = makeKinds();

function makeKinds(): Uint8Array {
  const kinds = new Uint8Array(256);
  for (let byte = 0; byte < kinds.length; byte++) {
    if (byte === TAB || (byte >= SPACE && byte !== DELETE)) kinds[byte] = VALUE;
    if (/[!#$%&'*+\-.^_`|~0-9A-Za-z]/.test(String.fromCharCode(byte))) kinds[byte] = NAME | VALUE;
  }
  return kinds;
}

function isKind(text: string, at: number, kind: number): boolean {
  return ((KINDS[text.charCodeAt(at)] ?? 0) & kind) !== 0;
}
