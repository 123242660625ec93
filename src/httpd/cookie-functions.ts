/** `httpd.cookies` and `httpd.cookie` (RFC 6265, and the prefixes and attributes of its successor draft, rfc6265bis). */
import { GatewayError } from '../base/errors.ts';
import {
  COOKIE_AGE_SECONDS_MAX,
  COOKIE_ATTRIBUTE_BYTES_MAX,
  COOKIE_BYTES_MAX,
  COOKIE_FIELD_BYTES_MAX,
  COOKIE_SYNTAX,
  type CookieAttributes,
  cookieContradiction,
  DEFAULT_COOKIE_ATTRIBUTES,
  formatCookie,
  parseCookies,
} from '../http/semantics/cookies.ts';
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

/** The year 10000. */
const DATE_SECONDS_END = 253_402_300_800;
/** Fuel for a byte of the field, and for an entry of the table. */
const UNITS_PER_BYTE = 2;
const UNITS_PER_COOKIE = 200;
/** To check and write one (5 µs). */
const UNITS_PER_SET_COOKIE = 1000;
const MS_PER_SECOND = 1000;

const SAME_SITES: ReadonlySet<string> = new Set(['strict', 'lax', 'none']);

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
    return memory.readText(at, Math.min(memory.lastSize, COOKIE_FIELD_BYTES_MAX + 1));
  }

  function readAttributes(L: LuaThread): CookieAttributes {
    const attributes: CookieAttributes = { ...DEFAULT_COOKIE_ATTRIBUTES };
    readOptionTable(state, L, 3, 'cookie', {
      path: (name) => {
        attributes.path = checkedOption(L, name, 'path');
      },
      domain: (name) => {
        attributes.domain = checkedOption(L, name, 'domain');
      },
      max_age: (name) => {
        if (x.lua_isinteger(L, -1) === 0) throw wrongType(state, L, name, 'an integer');
        const seconds = x.lua_tonumberx(L, -1, NULL);
        if (Math.abs(seconds) > COOKIE_AGE_SECONDS_MAX)
          throw new LuaError(`option "${name}" is ${seconds} and the limit is ${COOKIE_AGE_SECONDS_MAX} s`);
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
        attributes.sameSite = value.toLowerCase() as CookieAttributes['sameSite'];
      },
      partitioned: (name) => {
        attributes.partitioned = booleanOption(state, L, name);
      },
    });
    return attributes;
  }

  function checkedOption(L: LuaThread, name: string, kind: 'path' | 'domain'): string {
    const value = stringOption(state, L, name, COOKIE_ATTRIBUTE_BYTES_MAX);
    const { isLegal, expected } = COOKIE_SYNTAX[kind];
    if (isLegal(value)) return value;
    throw new LuaError(`option "${name}" is ${JSON.stringify(shortWord(value))} (${expected} was expected)`);
  }

  return {
    /** cookies([header]): the first of each name, as it was sent. */
    cookies: (L) => {
      checkArgumentCount(state, L, 'cookies', 0, 1);
      const field = takeField(L) ?? '';
      if (field.length <= COOKIE_FIELD_BYTES_MAX) scheduler.guard.pay(field.length * UNITS_PER_BYTE);
      const cookies = parseCookies(field);
      if (cookies instanceof GatewayError) return pushFailure(state, L, cookies);
      const names = Object.keys(cookies);
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
      if (!COOKIE_SYNTAX.name.isLegal(name))
        return state.argumentError(L, 1, `${JSON.stringify(shortWord(name))} is no token`);
      if (!COOKIE_SYNTAX.value.isLegal(value)) return state.argumentError(L, 2, COOKIE_SYNTAX.value.expected);
      if (name.length + value.length > COOKIE_BYTES_MAX)
        return state.argumentError(
          L,
          2,
          `name and value have ${name.length + value.length} bytes and the limit is ${COOKIE_BYTES_MAX}`,
        );
      const attributes = readAttributes(L);
      const contradiction = cookieContradiction(name, attributes);
      if (contradiction !== undefined) throw new LuaError(contradiction);
      state.pushString(L, formatCookie(name, value, attributes));
      return 1;
    },
  };
}
