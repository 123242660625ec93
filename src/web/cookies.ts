/** Cookies of TypeScript handlers: those of a request, and values of `set-cookie`, by the rules of `httpd.cookies` and `httpd.cookie`. */
import { GatewayError } from '../base/errors.ts';
import {
  COOKIE_AGE_SECONDS_MAX,
  COOKIE_ATTRIBUTE_BYTES_MAX,
  COOKIE_BYTES_MAX,
  COOKIE_SYNTAX,
  type CookieAttributes,
  cookieContradiction,
  DEFAULT_COOKIE_ATTRIBUTES,
  formatCookie,
  parseCookies,
} from '../http/semantics/cookies.ts';
import { describe } from './describe.ts';

/** What a cookie has beside name and value. */
export interface CookieOptions {
  /** Default: `/`. */
  readonly path?: string;
  /** Default: this host only. */
  readonly domain?: string;
  /** Whole seconds; 0 removes the cookie. Default: until the browser ends. */
  readonly maxAge?: number;
  readonly expires?: Date;
  /** Default: true. */
  readonly secure?: boolean;
  /** Default: true. */
  readonly httpOnly?: boolean;
  /** Default: `Lax`. */
  readonly sameSite?: 'Strict' | 'Lax' | 'None';
  /** Default: false. */
  readonly partitioned?: boolean;
}

/**
 * The cookies of a request, as they were sent: of several with one name the first. Throws GatewayError LGW_FIELD_LIMIT for more than
 * 500 cookies or 64 KiB, by which the client gets 431 where nobody catches it.
 */
export function readCookies(from: Request | Headers): ReadonlyMap<string, string> {
  const headers = 'headers' in from ? from.headers : from;
  const cookies = parseCookies(headers.get('cookie') ?? '');
  if (cookies instanceof GatewayError) throw cookies;
  return new Map(Object.entries(cookies).map(([name, value]) => [name, value ?? '']));
}

/** A value for the field `set-cookie`. Throws GatewayError LGW_RESPONSE_INVALID for what a browser would not take. */
export function makeCookie(name: string, value: string, options: CookieOptions = {}): string {
  if (typeof name !== 'string' || !COOKIE_SYNTAX.name.isLegal(name))
    throw invalid(`its name ${show(name)} is no token`);
  if (typeof value !== 'string' || !COOKIE_SYNTAX.value.isLegal(value))
    throw invalid(`${COOKIE_SYNTAX.value.expected}`);
  const bytes = name.length + value.length;
  if (bytes > COOKIE_BYTES_MAX)
    throw invalid(`name and value have ${bytes} bytes and the limit is ${COOKIE_BYTES_MAX}`);
  const attributes: CookieAttributes = { ...DEFAULT_COOKIE_ATTRIBUTES };
  for (const [option, given] of Object.entries(options)) {
    if (!isOption(option)) throw invalid(`there is no option ${show(option)}`);
    if (given !== undefined && !READERS[option](attributes, given))
      throw invalid(`option "${option}" is ${show(given)} (${EXPECTED[option]} was expected)`);
  }
  const contradiction = cookieContradiction(name, attributes);
  if (contradiction !== undefined) throw invalid(contradiction);
  return formatCookie(name, value, attributes);
}

const EXPECTED: Readonly<Record<keyof CookieOptions, string>> = {
  path: `${COOKIE_SYNTAX.path.expected}, of at most ${COOKIE_ATTRIBUTE_BYTES_MAX} bytes,`,
  domain: `${COOKIE_SYNTAX.domain.expected}, of at most ${COOKIE_ATTRIBUTE_BYTES_MAX} bytes,`,
  maxAge: `a whole number of seconds, at most ${COOKIE_AGE_SECONDS_MAX},`,
  expires: 'a Date from 1970 to 9999',
  secure: 'a boolean',
  httpOnly: 'a boolean',
  sameSite: '"Strict", "Lax" or "None"',
  partitioned: 'a boolean',
};

/** Takes an option; false: it is none. */
type Reader = (attributes: CookieAttributes, value: unknown) => boolean;

const READERS: Readonly<Record<keyof CookieOptions, Reader>> = {
  path: textReader('path'),
  domain: textReader('domain'),
  maxAge: (attributes, value) => {
    if (typeof value !== 'number' || !Number.isInteger(value) || Math.abs(value) > COOKIE_AGE_SECONDS_MAX)
      return false;
    attributes.maxAge = value;
    return true;
  },
  expires: (attributes, value) => {
    if (!(value instanceof Date && value.getTime() >= 0 && value.getTime() < DATE_MS_END)) return false;
    attributes.expires = value;
    return true;
  },
  secure: booleanReader('secure'),
  httpOnly: booleanReader('httpOnly'),
  sameSite: (attributes, value) => {
    const lower = typeof value === 'string' ? value.toLowerCase() : undefined;
    if (lower !== 'strict' && lower !== 'lax' && lower !== 'none') return false;
    attributes.sameSite = lower;
    return true;
  },
  partitioned: booleanReader('partitioned'),
};

function isOption(name: string): name is keyof CookieOptions {
  return Object.hasOwn(READERS, name);
}

/** The year 10000. */
const DATE_MS_END = 253_402_300_800_000;

function textReader(name: 'path' | 'domain'): Reader {
  const { isLegal } = COOKIE_SYNTAX[name];
  return (attributes, value) => {
    if (typeof value !== 'string' || value.length > COOKIE_ATTRIBUTE_BYTES_MAX || !isLegal(value))
      return false;
    attributes[name] = value;
    return true;
  };
}

function booleanReader(name: 'secure' | 'httpOnly' | 'partitioned'): Reader {
  return (attributes, value) => {
    if (typeof value !== 'boolean') return false;
    attributes[name] = value;
    return true;
  };
}

/** The longest piece of a value that a message repeats. */
const SHOWN_CHARACTERS_MAX = 100;

function show(value: unknown): string {
  if (typeof value === 'string')
    return JSON.stringify(
      value.length > SHOWN_CHARACTERS_MAX ? `${value.slice(0, SHOWN_CHARACTERS_MAX)}…` : value,
    );
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : describe(value);
}

function invalid(why: string): GatewayError {
  return new GatewayError('LGW_RESPONSE_INVALID', `Cannot make the cookie: ${why}`);
}
