/**
 * Cookies: reading the field of a request, and writing one that browsers take (RFC 6265, and the prefixes and attributes of its
 * successor draft, rfc6265bis).
 */
import { createRequire } from 'node:module';
import { GatewayError } from '../../base/errors.ts';

/** Bytes of the field that are read: as much as a head may have, unless an operator says otherwise. */
export const COOKIE_FIELD_BYTES_MAX: number = 64 * 1024;
/** Cookies of one request: a browser keeps 180 of a site. */
const COOKIES_MAX = 500;
/** Bytes of name and value together, and of an attribute, that browsers take (rfc6265bis §5.6). */
export const COOKIE_BYTES_MAX = 4096;
export const COOKIE_ATTRIBUTE_BYTES_MAX = 1024;
/** Ten years in seconds; browsers keep none for longer than 400 days. */
export const COOKIE_AGE_SECONDS_MAX = 315_360_000;

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
/** RFC 6265 §4.1.1: cookie-octet. */
const VALUE = /^[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*$/;
const PATH = /^\/[\x20-\x3a\x3c-\x7e]*$/;
/** Labels of letters, digits and hyphens; a leading dot was meant once and means nothing today. */
const DOMAIN = /^\.?(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/i;

type Cookie = typeof import('cookie');

let loaded: Cookie | undefined;

/** The package, loaded at the first use. */
function cookiePackage(): Cookie {
  loaded ??= createRequire(import.meta.url)('cookie') as Cookie;
  return loaded;
}

/** What stands behind name and value. */
export interface CookieAttributes {
  path: string | undefined;
  domain: string | undefined;
  /** Seconds. */
  maxAge: number | undefined;
  expires: Date | undefined;
  secure: boolean;
  httpOnly: boolean;
  sameSite: 'strict' | 'lax' | 'none';
  partitioned: boolean;
}

/** A cookie for this host, which no script of a page and no insecure connection sees, until the browser ends. */
export const DEFAULT_COOKIE_ATTRIBUTES: Readonly<CookieAttributes> = Object.freeze({
  path: '/',
  domain: undefined,
  maxAge: undefined,
  expires: undefined,
  secure: true,
  httpOnly: true,
  sameSite: 'lax',
  partitioned: false,
});

/** The first of each name, as it was sent; an object without prototype. An error (luaCode limit) for more than is read. */
export function parseCookies(field: string): Readonly<Record<string, string | undefined>> | GatewayError {
  if (field.length > COOKIE_FIELD_BYTES_MAX)
    return tooMuch(`the field has more bytes than the limit of ${COOKIE_FIELD_BYTES_MAX}`);
  const cookies = cookiePackage().parse(field, { decode: asItIs });
  const count = Object.keys(cookies).length;
  if (count > COOKIES_MAX) return tooMuch(`the request has ${count} and the limit is ${COOKIES_MAX}`);
  return cookies;
}

/** What is legal in each place; nothing that is can begin another attribute or field. */
export const COOKIE_SYNTAX = {
  name: { isLegal: (text: string): boolean => TOKEN.test(text), expected: 'a token' },
  value: {
    isLegal: (text: string): boolean => VALUE.test(text),
    expected: 'a value has visible ASCII characters without ",;\\ and quotes: encode it, as by base64url',
  },
  path: {
    isLegal: (text: string): boolean => PATH.test(text),
    expected: 'a path that begins with "/" and has no ";"',
  },
  domain: { isLegal: (text: string): boolean => DOMAIN.test(text), expected: 'the name of a host' },
} as const;

/** What browsers ask of attributes together (rfc6265bis §4.1.3, §5.7); they drop other cookies without a word. */
export function cookieContradiction(
  name: string,
  { secure, sameSite, partitioned, path, domain }: CookieAttributes,
): string | undefined {
  const lower = name.toLowerCase();
  const isHost = lower.startsWith('__host-');
  if (!secure) {
    const why = isHost || lower.startsWith('__secure-') ? 'a name with this prefix' : undefined;
    const needs =
      why ?? (sameSite === 'none' ? 'samesite = "None"' : partitioned ? 'partitioned' : undefined);
    if (needs !== undefined) return `option "secure" is false, and ${needs} needs it`;
  }
  if (!isHost) return undefined;
  if (path !== '/') return 'option "path" has to be "/" for a name that begins with "__Host-"';
  if (domain !== undefined) return 'a name that begins with "__Host-" takes no option "domain"';
  return undefined;
}

/** A value of `set-cookie`, of parts that have been checked. */
export function formatCookie(name: string, value: string, attributes: CookieAttributes): string {
  const { path, domain, maxAge, expires, ...flags } = attributes;
  return cookiePackage().serialize(name, value, {
    encode: asItIs,
    ...flags,
    ...(path === undefined ? {} : { path }),
    ...(domain === undefined ? {} : { domain }),
    ...(maxAge === undefined ? {} : { maxAge }),
    ...(expires === undefined ? {} : { expires }),
  });
}

function asItIs(text: string): string {
  return text;
}

function tooMuch(why: string): GatewayError {
  return new GatewayError('LGW_FIELD_LIMIT', `Cannot read the cookies: ${why}`, {
    status: 431,
    luaCode: 'limit',
  });
}
