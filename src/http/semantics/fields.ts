/** Field names and values: what is legal (RFC 9110 §5), what may cross to HTTP/2, and lookups in flat lists. */
import { GatewayError } from '../../base/errors.ts';

/** Flat list of names and values in wire order: `[name, value, name, value, …]`, each a byte string (latin1). */
export type Fields = readonly string[];

/** Tells browsers to come over TLS only (RFC 6797). */
export const TRANSPORT_SECURITY = 'strict-transport-security';

/** Fields of a request; `--max-head` bounds their bytes. */
export const FIELDS_MAX = 1000;

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
// One byte per character: visible characters, blanks, and 0x80-0xff as they are (RFC 9110 §5.5 obs-text).
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;

/** Fields that speak about one HTTP/1 connection and must not appear in HTTP/2 (RFC 9113 §8.2.2). */
const CONNECTION_SPECIFIC: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
  'upgrade',
  'http2-settings',
  'te',
]);

/** Throws a GatewayError `LGW_FIELD_INVALID` that names the first illegal field of a flat list. */
export function checkFields(fields: Fields): void {
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] as string;
    const value = fields[i + 1];
    if (!TOKEN.test(name)) {
      throw new GatewayError('LGW_FIELD_INVALID', `Field name ${quoteBytes(name)} is not a token`, {
        luaCode: 'invalid',
      });
    }
    if (value === undefined || !VALUE.test(value)) {
      throw new GatewayError(
        'LGW_FIELD_INVALID',
        `Value ${quoteBytes(value ?? '')} of field "${name}" holds a control character or is not a byte string`,
        { luaCode: 'invalid' },
      );
    }
  }
}

/** True when the field (lower-case name) must not be sent over HTTP/2. */
export function isConnectionSpecific(lowerName: string): boolean {
  return CONNECTION_SPECIFIC.has(lowerName);
}

/** Fields without those that HTTP/2 puts before them (RFC 9113 §8.3); a name with a colon cannot come over HTTP/1. */
export function withoutPseudoFields(fields: Fields): Fields {
  let at = 0;
  while (at < fields.length && (fields[at] as string).charCodeAt(0) === COLON) at += 2;
  return at === 0 ? fields : fields.slice(at);
}

const COLON = 58;

/** Compares a field name, in any case, with a lower-case one; cheap for names of other lengths. */
export function isNamed(name: string, lowerName: string): boolean {
  return name.length === lowerName.length && (name === lowerName || name.toLowerCase() === lowerName);
}

/** All values of a field, joined as RFC 9110 §5.3 allows (`; ` for cookie); undefined when it is absent. */
export function fieldValue(fields: Fields, lowerName: string): string | undefined {
  let joined: string | undefined;
  for (let i = 0; i < fields.length; i += 2) {
    if (!isNamed(fields[i] as string, lowerName)) continue;
    const value = fields[i + 1] as string;
    if (joined === undefined) joined = value;
    else joined += (lowerName === 'cookie' ? '; ' : ', ') + value;
  }
  return joined;
}

/**
 * The text without the blanks around it (RFC 9110 §5.6.3): SP and HTAB alone. `trim` would take bytes of 0x80 and more for blanks
 * which are none on the wire, and two readers of a field would not agree.
 */
export function trimBlanks(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && isBlank(text.charCodeAt(start))) start += 1;
  while (end > start && isBlank(text.charCodeAt(end - 1))) end -= 1;
  return start === 0 && end === text.length ? text : text.slice(start, end);
}

/** SP or HTAB. */
export function isBlank(byte: number): boolean {
  return byte === SPACE || byte === TAB;
}

const TAB = 9;
const SPACE = 32;

/** True when a comma-separated value has `lowerMember` as one of its members, in any case. */
export function hasListMember(value: string, lowerMember: string): boolean {
  if (value.length === lowerMember.length) return value.toLowerCase() === lowerMember;
  for (const member of value.split(',')) if (trimBlanks(member).toLowerCase() === lowerMember) return true;
  return false;
}

/** Parses a Content-Length; undefined when it is not a plain number that a double holds exactly. */
export function parseContentLength(value: string): number | undefined {
  if (!/^[0-9]{1,15}$/.test(value)) return undefined;
  return Number(value);
}

/** The longest piece of an illegal name or value that a message repeats. */
const QUOTED_CHARACTERS_MAX = 64;

function quoteBytes(text: string): string {
  return JSON.stringify(
    text.length > QUOTED_CHARACTERS_MAX ? `${text.slice(0, QUOTED_CHARACTERS_MAX)}…` : text,
  );
}
