/** `httpd.redirect`: sends the client to another address, and ends the request where it stands. */
import { fieldValue } from '../http/semantics/fields.ts';
import { percentEncodeByte } from '../http/semantics/path.ts';
import type { HostFunction } from '../lua/host-functions.ts';
import { LuaError } from '../lua/lua-error.ts';
import { LUA_TYPE, type LuaThread } from '../lua/lua-exports.ts';
import { currentInvocation } from '../script/context/invocation.ts';
import type { ScriptContext } from '../script/context/script-context.ts';
import { checkArgumentCount } from '../script/run/argument-count.ts';
import { leaveRun, readThirdTable } from './exit.ts';

/** Statuses that name another address (RFC 9110 §15.4). */
const STATUSES: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);
/** Bytes of an address: what clients and servers take (RFC 9110 §4.1 asks for 8000 at least). */
const URL_BYTES_MAX = 8192;

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it looks for
const CONTROL = /[\x00-\x1f\x7f]/;
/** What cannot stand in an address as it is (RFC 3986 §2); browsers take a backslash for a slash. */
const NOT_IN_URLS = /[^\x21\x23-\x3b\x3d\x3f-\x5b\x5d\x5f\x61-\x7a\x7e]/g;

/** `redirect(url [, status [, headers]])`: does not return. */
export function createRedirect(script: ScriptContext): HostFunction {
  const { state, scheduler } = script;
  const { exports: x } = state;

  return (L) => {
    checkArgumentCount(state, L, 'redirect', 1, 3);
    const location = readLocation(L);
    const invocation = currentInvocation(scheduler);
    const { exchange } = invocation;
    const status = readStatus(L) ?? (exchange.method === 'GET' || exchange.method === 'HEAD' ? 302 : 303);
    const fields = readThirdTable(script, L, exchange, 'redirect') ?? [];
    if (fieldValue(fields, 'location') !== undefined)
      throw new LuaError(`the headers of 'redirect' cannot hold "location"`);
    if (!scheduler.canWait(L)) throw new LuaError('cannot end here: a yield cannot cross this call');
    if (!exchange.finished) {
      if (exchange.headGiven) throw new LuaError('headers already sent');
      invocation.sendLinks();
      exchange.head(status, ['location', location, ...fields]);
    }
    return leaveRun(scheduler, L, invocation);
  };

  function readLocation(L: LuaThread): string {
    const url = state.checkString(L, 1, URL_BYTES_MAX);
    if (url === '') state.argumentError(L, 1, 'address expected, got an empty string');
    if (CONTROL.test(url)) state.argumentError(L, 1, 'address holds a control character');
    return url.replace(NOT_IN_URLS, percentEncodeByte);
  }

  function readStatus(L: LuaThread): number | undefined {
    if (x.lua_type(L, 2) <= LUA_TYPE.nil) return undefined;
    const status = state.checkInteger(L, 2);
    if (STATUSES.has(status)) return status;
    return state.argumentError(L, 2, `status ${[...STATUSES].join(', ')} expected`);
  }
}
