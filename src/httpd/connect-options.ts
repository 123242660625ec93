/** Reads the arguments of httpd.connect into a request: misuse raises, what a stranger may have caused is a GatewayError. */
import { canonicalHost, socketPath, UNIX_PREFIX } from '../base/connect-rules.ts';
import { LUA_TYPE, type LuaThread } from '../lua/lua-exports.ts';
import type { State } from '../lua/state.ts';
import type { FetchTls } from '../outbound/fetch-request.ts';
import {
  CONNECT_TIMEOUT_MS_MAX,
  SOCKET_NAME_BYTES_MAX,
  SOCKET_TIMEOUT_MS,
} from '../outbound/outbound-limits.ts';
import { socketFailure } from '../outbound/socket-error.ts';
import type { SocketRequest, SocketTimeouts } from '../outbound/socket-request.ts';
import { booleanOption, readOptionTable, stringOption, wrongType } from '../script/run/option-table.ts';
import { secondsOption } from '../script/run/seconds.ts';
import { connectMsOption } from './connect-time.ts';
import { PLAIN_TLS, readTls } from './tls-options.ts';

const PORT_MAX = 65_535;
/** No name is longer (RFC 1035 §2.3.4), with a dot at its end. */
const HOST_BYTES_MAX = 254;
/** The longest part of an argument that a message shows. */
const SHOWN_BYTES_MAX = 300;
/** A name in ASCII, or an address, which may stand in brackets. */
const HOST = /^(?:\[[0-9A-Fa-f:.]+\]|[\w.:-]+)$/;
interface Draft {
  timeouts: { -readonly [Name in keyof SocketTimeouts]: number };
  tls: FetchTls | undefined;
  keepName: string | undefined;
}

/** The request of `connect(host, port, options)` or `connect('unix:/path', options)`. */
export function readSocketRequest(state: State, L: LuaThread): SocketRequest {
  const { exports: x } = state;
  const place = state.checkString(L, 1);
  const isSocket = place.startsWith(UNIX_PREFIX);
  // the port may be left out where there is none
  const optionsAt = isSocket && x.lua_type(L, 2) === LUA_TYPE.table ? 2 : 3;
  if (isSocket && optionsAt === 3 && x.lua_type(L, 2) > LUA_TYPE.nil)
    state.argumentError(L, 2, 'a unix socket has no port');
  const port = isSocket ? 0 : checkPort(state, L);
  const draft: Draft = {
    timeouts: { connectMs: CONNECT_TIMEOUT_MS_MAX, readMs: SOCKET_TIMEOUT_MS, writeMs: SOCKET_TIMEOUT_MS },
    tls: undefined,
    keepName: undefined,
  };
  readOptions(state, L, optionsAt, draft);
  return { target: isSocket ? { path: pathOf(place) } : { host: hostOf(place), port }, ...draft };
}

function checkPort(state: State, L: LuaThread): number {
  const port = state.checkInteger(L, 2);
  if (port >= 1 && port <= PORT_MAX) return port;
  return state.argumentError(L, 2, `a port from 1 to ${PORT_MAX} expected`);
}

function pathOf(place: string): string {
  const path = socketPath(place);
  if (path !== undefined) return path;
  throw socketFailure(
    'invalid',
    'connect to',
    shown(place),
    'an absolute path of at most 107 bytes was expected',
  );
}

function hostOf(place: string): string {
  if (place.length <= HOST_BYTES_MAX && HOST.test(place)) return canonicalHost(place);
  throw socketFailure('invalid', 'connect to', shown(place), 'the name of a host or an address was expected');
}

function shown(place: string): string {
  return place.slice(0, SHOWN_BYTES_MAX);
}

function readOptions(state: State, L: LuaThread, index: number, draft: Draft): void {
  const { exports: x } = state;
  readOptionTable(state, L, index, 'connect', {
    tls: (name) => {
      if (x.lua_type(L, -1) === LUA_TYPE.table) draft.tls = readTls(state, L);
      else draft.tls = booleanOption(state, L, name) ? PLAIN_TLS : undefined;
    },
    timeout: (name) => readTimeouts(state, L, name, draft),
    keepalive: (name) => {
      if (x.lua_type(L, -1) === LUA_TYPE.boolean)
        draft.keepName = booleanOption(state, L, name) ? '' : undefined;
      else draft.keepName = stringOption(state, L, name, SOCKET_NAME_BYTES_MAX);
    },
  });
}

/** A number: of each operation; a table: of some. */
function readTimeouts(state: State, L: LuaThread, name: string, { timeouts }: Draft): void {
  const { exports: x } = state;
  if (x.lua_type(L, -1) === LUA_TYPE.number) {
    const ms = secondsOption(state, L, name);
    timeouts.connectMs = Math.min(ms, CONNECT_TIMEOUT_MS_MAX);
    timeouts.readMs = ms;
    timeouts.writeMs = ms;
    return;
  }
  if (x.lua_type(L, -1) !== LUA_TYPE.table) throw wrongType(state, L, name, 'a number of seconds or a table');
  readOptionTable(state, L, x.lua_absindex(L, -1), 'timeout', {
    connect: (part) => {
      timeouts.connectMs = connectMsOption(state, L, part);
    },
    read: (part) => {
      timeouts.readMs = secondsOption(state, L, part);
    },
    write: (part) => {
      timeouts.writeMs = secondsOption(state, L, part);
    },
  });
}
