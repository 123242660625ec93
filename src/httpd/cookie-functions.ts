/** `httpd.cookies` and `httpd.cookie` (RFC 6265, and the prefixes and attributes of its successor draft, rfc6265bis). */
import { createRequire } from 'node:module';
import { GatewayError } from '../base/errors.ts';
import { fieldValue } from '../http/semantics/fields.ts';
import type { HostFunction } from '../lua/host-functions.ts';
import { LuaError } from '../lua/lua-error.ts';
import { LUA_TYPE, type LuaThread, NULL } from '../lua/lua-exports.ts';
import { pushFailure } from '../lua/push-failure.ts';
import { currentInvocation } from '../script/context/invocation.ts';
import type { ScriptContext } from '../script/context/script-context.ts';
import { checkArgumentCount } from '../script/run/argument-count.ts';
import { booleanOption, readOptionTable, stringOption, wrongType } from '../script/run/option-table.ts';
import { shortWord } from './short-word.ts';

/** Bytes of the field that are read: as much as a head may have, unless an operator says otherwise. */
const FIELD_BYTES_MAX: number = 64 * 1024;
/** Cookies of one request: a browser keeps 180 of a site. */
const COOKIES_MAX = 500;
/** Bytes of name and value together, and of an attribute, that browsers take (rfc6265bis §5.6). */
const COOKIE_BYTES_MAX = 4096;
const ATTRIBUTE_BYTES_MAX = 1024;
/** Ten years in seconds; browsers keep none for longer than 400 days. */
const AGE_SECONDS_MAX = 315_360_000;
/** The year 10000. */
const DATE_SECONDS_END = 253_402_300_800;
/** Fuel for a byte of the field, and for an entry of the table. */
const UNITS_PER_BYTE = 2;
const UNITS_PER_COOKIE = 200;
/** To check and write one (5 µs). */
const UNITS_PER_SET_COOKIE = 1000;
const MS_PER_SECOND = 1000;

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
/** RFC 6265 §4.1.1: cookie-octet. */
const VALUE = /^[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*$/;
const PATH = /^\/[\x20-\x3a\x3c-\x7e]*$/;
/** Labels of letters, digits and hyphens; a leading dot was meant once and means nothing today. */
const DOMAIN = /^\.?(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/i;
const SAME_SITES: ReadonlySet<string> = new Set(['strict', 'lax', 'none']);

type Cookie = typeof import('cookie');

let loaded: Cookie | undefined;

/** The package, loaded at the first use. */
function cookiePackage(): Cookie {
  loaded ??= createRequire(import.meta.url)('cookie') as Cookie;
  return loaded;
}

interface Attributes {
  path: string | undefined;
  domain: string | undefined;
  maxAge: number | undefined;
  expires: Date | undefined;
  secure: boolean;
  httpOnly: boolean;
  sameSite: 'strict' | 'lax' | 'none';
  partitioned: boolean;
}

export function cookieFunctions(script: ScriptContext): Record<'cookie' | 'cookies', HostFunction> {
  const { state, scheduler } = script;
  const { exports: x, memory } = state;

  /** The field: of the request, of its table, or as it is given. */
  function takeField(L: LuaThread): string | undefined {
    if (x.lua_type(L, 1) <= LUA_TYPE.nil)
      return fieldValue(currentInvocation(scheduler).exchange.fields, 'cookie');
    if (x.lua_type(L, 1) === LUA_TYPE.table) {
      script.lazyTables.touch(L, 1);
      x.lua_getfield(L, 1, memory.constant('cookie'));
      x.lua_copy(L, -1, 1);
      state.pop(L);
      if (x.lua_type(L, 1) === LUA_TYPE.nil) return undefined;
    }
    // one byte more than may be, so that the length tells
    const at = x.luaL_checklstring(L, 1, memory.sizeOut);
    return memory.readText(at, Math.min(memory.lastSize, FIELD_BYTES_MAX + 1));
  }

  function readAttributes(L: LuaThread): Attributes {
    const attributes: Attributes = {
      path: '/',
      domain: undefined,
      maxAge: undefined,
      expires: undefined,
      secure: true,
      httpOnly: true,
      sameSite: 'lax',
      partitioned: false,
    };
    readOptionTable(state, L, 3, 'cookie', {
      path: (name) => {
        attributes.path = checkedOption(L, name, PATH, 'a path that begins with "/" and has no ";"');
      },
      domain: (name) => {
        attributes.domain = checkedOption(L, name, DOMAIN, 'the name of a host');
      },
      max_age: (name) => {
        if (x.lua_isinteger(L, -1) === 0) throw wrongType(state, L, name, 'an integer');
        const seconds = x.lua_tonumberx(L, -1, NULL);
        if (Math.abs(seconds) > AGE_SECONDS_MAX)
          throw new LuaError(`option "${name}" is ${seconds} and the limit is ${AGE_SECONDS_MAX} s`);
        attributes.maxAge = seconds;
      },
      expires: (name) => {
        if (x.lua_type(L, -1) !== LUA_TYPE.number)
          throw wrongType(state, L, name, 'a time in seconds since 1970');
        const seconds = x.lua_tonumberx(L, -1, NULL);
        if (!(seconds >= 0 && seconds < DATE_SECONDS_END))
          throw new LuaError(`option "${name}" is ${seconds} (a time from 1970 to 9999 was expected)`);
        attributes.expires = new Date(Math.floor(seconds) * MS_PER_SECOND);
      },
      secure: (name) => {
        attributes.secure = booleanOption(state, L, name);
      },
      httponly: (name) => {
        attributes.httpOnly = booleanOption(state, L, name);
      },
      samesite: (name) => {
        const value = stringOption(state, L, name);
        if (!SAME_SITES.has(value.toLowerCase()))
          throw new LuaError(
            `option "${name}" is "${shortWord(value)}" ("Strict", "Lax" or "None" was expected)`,
          );
        attributes.sameSite = value.toLowerCase() as Attributes['sameSite'];
      },
      partitioned: (name) => {
        attributes.partitioned = booleanOption(state, L, name);
      },
    });
    return attributes;
  }

  function checkedOption(L: LuaThread, name: string, legal: RegExp, expected: string): string {
    const value = stringOption(state, L, name, ATTRIBUTE_BYTES_MAX);
    if (legal.test(value)) return value;
    throw new LuaError(`option "${name}" is ${JSON.stringify(shortWord(value))} (${expected} was expected)`);
  }

  return {
    /** cookies([header]): the first of each name, as it was sent. */
    cookies: (L) => {
      checkArgumentCount(state, L, 'cookies', 0, 1);
      const field = takeField(L) ?? '';
      if (field.length > FIELD_BYTES_MAX)
        return pushFailure(
          state,
          L,
          tooMuch(`the field has more bytes than the limit of ${FIELD_BYTES_MAX}`),
        );
      scheduler.guard.pay(field.length * UNITS_PER_BYTE);
      if (field === '') {
        x.lua_createtable(L, 0, 0);
        return 1;
      }
      const cookies = cookiePackage().parse(field, { decode: asItIs });
      const names = Object.keys(cookies);
      if (names.length > COOKIES_MAX)
        return pushFailure(
          state,
          L,
          tooMuch(`the request has ${names.length} and the limit is ${COOKIES_MAX}`),
        );
      scheduler.guard.pay(names.length * UNITS_PER_COOKIE);
      x.lua_createtable(L, 0, names.length);
      for (const name of names) {
        state.pushString(L, name);
        state.pushString(L, cookies[name] ?? '');
        x.lua_rawset(L, -3);
      }
      return 1;
    },

    /** cookie(name, value [, options]): a value of `set-cookie`; raises for what a browser would not take. */
    cookie: (L) => {
      checkArgumentCount(state, L, 'cookie', 2, 3);
      scheduler.guard.pay(UNITS_PER_SET_COOKIE);
      const name = state.checkString(L, 1, COOKIE_BYTES_MAX);
      const value = state.checkString(L, 2, COOKIE_BYTES_MAX);
      if (!TOKEN.test(name))
        return state.argumentError(L, 1, `${JSON.stringify(shortWord(name))} is no token`);
      if (!VALUE.test(value))
        return state.argumentError(
          L,
          2,
          'a value has visible ASCII characters without ",;\\ and quotes: encode it, as by base64url',
        );
      if (name.length + value.length > COOKIE_BYTES_MAX)
        return state.argumentError(
          L,
          2,
          `name and value have ${name.length + value.length} bytes and the limit is ${COOKIE_BYTES_MAX}`,
        );
      const attributes = readAttributes(L);
      checkTogether(name, attributes);
      const { path, domain, maxAge, expires, ...flags } = attributes;
      state.pushString(
        L,
        cookiePackage().serialize(name, value, {
          encode: asItIs,
          ...flags,
          ...(path === undefined ? {} : { path }),
          ...(domain === undefined ? {} : { domain }),
          ...(maxAge === undefined ? {} : { maxAge }),
          ...(expires === undefined ? {} : { expires }),
        }),
      );
      return 1;
    },
  };
}

function asItIs(text: string): string {
  return text;
}

/** What browsers ask of attributes together (rfc6265bis §4.1.3, §5.7); they drop other cookies without a word. */
function checkTogether(name: string, { secure, sameSite, partitioned, path, domain }: Attributes): void {
  const lower = name.toLowerCase();
  const isHost = lower.startsWith('__host-');
  if (!secure) {
    const why = isHost || lower.startsWith('__secure-') ? 'a name with this prefix' : undefined;
    const needs =
      why ?? (sameSite === 'none' ? 'samesite = "None"' : partitioned ? 'partitioned' : undefined);
    if (needs !== undefined) throw new LuaError(`option "secure" is false, and ${needs} needs it`);
  }
  if (!isHost) return;
  if (path !== '/') throw new LuaError('option "path" has to be "/" for a name that begins with "__Host-"');
  if (domain !== undefined) throw new LuaError('a name that begins with "__Host-" takes no option "domain"');
}

function tooMuch(why: string): GatewayError {
  return new GatewayError('LGW_FIELD_LIMIT', `Cannot read the cookies: ${why}`, { luaCode: 'limit' });
}
