/** Reads the arguments of httpd.fetch into a request: misuse raises, what a stranger may have caused is a GatewayError. */
import { isUtf8 } from 'node:buffer';
import type { ByteSource } from '../base/byte-stream.ts';
import { GatewayError } from '../base/errors.ts';
import { packageVersion } from '../base/package-info.ts';
import { checkFields, parseContentLength } from '../http/semantics/fields.ts';
import { LIGHT_USERDATA } from '../lua/light-userdata.ts';
import { LuaError } from '../lua/lua-error.ts';
import { LUA_TYPE, type LuaThread, NULL } from '../lua/lua-exports.ts';
import { LOOP_FIELD, LOOP_NAME } from '../outbound/fetch-loop.ts';
import {
  checkMethod,
  checkOwnField,
  type FetchBody,
  type FetchRequest,
  type FetchTimeouts,
  type FetchTls,
  parseUrl,
} from '../outbound/fetch-request.ts';
import {
  CONNECT_TIMEOUT_MS_MAX,
  HEAD_TIMEOUT_MS,
  IDLE_TIMEOUT_MS,
  REDIRECTS_DEFAULT,
  REDIRECTS_MAX,
} from '../outbound/outbound-limits.ts';
import { currentClient } from '../script/context/invocation.ts';
import type { ScriptContext } from '../script/context/script-context.ts';
import { FieldSize } from '../script/run/field-size.ts';
import { booleanOption, readOptionTable, stringOption, wrongType } from '../script/run/option-table.ts';
import { secondsOption } from '../script/run/seconds.ts';
import { connectMsOption } from './connect-time.ts';
import { readTls } from './tls-options.ts';

/** Bytes of a string that is sent as body: it is copied at once. */
const BODY_BYTES_MAX = 16 * 1024 * 1024;
/** Bytes copied for one unit of fuel. */
const BYTES_PER_UNIT = 16;
const ASCII = /^[\x21-\x7e]*$/;

const TIMEOUTS: FetchTimeouts = {
  connectMs: CONNECT_TIMEOUT_MS_MAX,
  headMs: HEAD_TIMEOUT_MS,
  idleMs: IDLE_TIMEOUT_MS,
  wholeMs: Number.POSITIVE_INFINITY,
};

/** Requests without options by their URLs: scripts ask for the same again and again. */
const plainRequests = new Map<string, FetchRequest>();
const PLAIN_REQUESTS_MAX = 256;
/** Longer URLs are mostly different. */
const REMEMBERED_LENGTH_MAX = 256;

let fieldsOfOurs: readonly string[] | undefined;

/** What is sent where a script does not say otherwise. */
function ownFields(): readonly string[] {
  fieldsOfOurs ??= [LOOP_FIELD, LOOP_NAME, 'user-agent', `lgateway/${packageVersion()}`];
  return fieldsOfOurs;
}

/** What is being read. */
interface Draft {
  method: string | undefined;
  fields: string[];
  body: FetchBody | undefined;
  bodyLength: number | undefined;
  redirectsMax: number | undefined;
  timeouts: { -readonly [Name in keyof FetchTimeouts]: number };
  tls: FetchTls | undefined;
}

/** The request of `fetch(url, options)`; throws a GatewayError for values that are invalid. */
export function readFetchRequest(script: ScriptContext, L: LuaThread): FetchRequest {
  const { state } = script;
  const { exports: x } = state;
  const address = state.checkString(L, 1);
  if (x.lua_type(L, 2) <= LUA_TYPE.nil) return plainRequest(address);
  const url = parseUrl(fromBytes(address));
  const draft: Draft = {
    method: undefined,
    fields: [],
    body: undefined,
    bodyLength: undefined,
    redirectsMax: REDIRECTS_DEFAULT,
    timeouts: { ...TIMEOUTS },
    tls: undefined,
  };

  readOptions(script, L, draft);

  const method = draft.method ?? (draft.body === undefined ? 'GET' : 'POST');
  checkMethod(method);
  if (draft.body !== undefined && (method === 'GET' || method === 'HEAD'))
    throw new LuaError(`a ${method} request has no body`);
  return { ...draft, url, method, ...finishFields(draft) };
}

function plainRequest(address: string): FetchRequest {
  const before = plainRequests.get(address);
  if (before !== undefined) return before;
  const request: FetchRequest = {
    url: parseUrl(fromBytes(address)),
    method: 'GET',
    fields: ownFields(),
    body: undefined,
    bodyLength: undefined,
    redirectsMax: REDIRECTS_DEFAULT,
    timeouts: TIMEOUTS,
    tls: undefined,
  };
  if (address.length <= REMEMBERED_LENGTH_MAX) {
    if (plainRequests.size === PLAIN_REQUESTS_MAX) plainRequests.clear();
    plainRequests.set(address, request);
  }
  return request;
}

/** The table at index 2. */
function readOptions(script: ScriptContext, L: LuaThread, draft: Draft): void {
  const { state } = script;
  const { exports: x } = state;
  readOptionTable(state, L, 2, 'fetch', {
    method: (name) => {
      draft.method = stringOption(state, L, name);
    },
    headers: (name) => {
      if (x.lua_type(L, -1) !== LUA_TYPE.table) throw wrongType(state, L, name, 'a table');
      draft.fields = readFields(script, L);
    },
    body: (name) => readBody(script, L, name, draft),
    redirect: (name) => {
      draft.redirectsMax = readRedirect(script, L, name);
    },
    timeout: (name) => readTimeouts(script, L, name, draft),
    tls: (name) => {
      if (x.lua_type(L, -1) !== LUA_TYPE.table) throw wrongType(state, L, name, 'a table');
      draft.tls = readTls(script.state, L);
    },
  });
}

/** Names in lower case, checked; the length of a body that is a source is taken out of them. */
function finishFields(draft: Draft): Pick<FetchRequest, 'fields' | 'bodyLength'> {
  checkFields(draft.fields);
  const fields: string[] = [];
  let { bodyLength } = draft;
  let namesAgent = false;
  for (let i = 0; i < draft.fields.length; i += 2) {
    const name = (draft.fields[i] as string).toLowerCase();
    const value = draft.fields[i + 1] as string;
    checkOwnField(name);
    if (name === 'content-length') bodyLength = lengthOf(value);
    // those of a request that is passed on; ours says how far it has come
    else if (name !== LOOP_FIELD) fields.push(name, value);
    if (name === 'user-agent') namesAgent = true;
  }
  fields.push(...(namesAgent ? ownFields().slice(0, 2) : ownFields()));
  const isSource = draft.body !== undefined && !(draft.body instanceof Uint8Array);
  return { fields, bodyLength: isSource ? bodyLength : undefined };
}

function lengthOf(value: string): number {
  const length = parseContentLength(value);
  if (length !== undefined) return length;
  throw new GatewayError(
    'LGW_FETCH_INVALID',
    `Cannot fetch: content-length is ${JSON.stringify(value)} (a number was expected)`,
    { luaCode: 'invalid' },
  );
}

/** The table on top of the stack: names with strings, numbers or lists of them. */
function readFields({ state, lazyTables }: ScriptContext, L: LuaThread): string[] {
  const { exports: x } = state;
  const fields: string[] = [];
  const size = new FieldSize(state);
  const add = (name: string): void => {
    const type = x.lua_type(L, -1);
    if (type !== LUA_TYPE.string && type !== LUA_TYPE.number)
      throw new LuaError(`header "${name}" is a ${state.typeName(L, -1)} (a string was expected)`);
    fields.push(name, size.text(L, -1) as string);
  };
  lazyTables.touch(L, -1);
  x.lua_pushnil(L);
  while (x.lua_next(L, -2) !== 0) {
    if (x.lua_type(L, -2) !== LUA_TYPE.string)
      throw new LuaError(`a header name is a ${state.typeName(L, -2)} (a string was expected)`);
    const name = size.text(L, -2) as string;
    if (x.lua_type(L, -1) === LUA_TYPE.table) {
      const length = Number(x.lua_rawlen(L, -1));
      for (let i = 1; i <= length; i++) {
        x.lua_rawgeti(L, -1, BigInt(i));
        add(name);
        state.pop(L);
      }
    } else {
      // lua_next needs the value as it is
      x.lua_pushvalue(L, -1);
      add(name);
      state.pop(L);
    }
    state.pop(L);
  }
  return fields;
}

function readBody(script: ScriptContext, L: LuaThread, name: string, draft: Draft): void {
  const { state, scheduler, files, streams } = script;
  const { exports: x } = state;
  const type = x.lua_type(L, -1);
  if (type === LUA_TYPE.string) {
    draft.body = copyOf(script, L);
    return;
  }
  if (type === LUA_TYPE.lightUserdata && x.lua_touserdata(L, -1) === LIGHT_USERDATA.clientBody) {
    const { body } = currentClient(scheduler).exchange;
    draft.body = body;
    draft.bodyLength = body.declaredLength;
    return;
  }
  const index = x.lua_absindex(L, -1);
  const source: ByteSource | undefined =
    streams.find(L, index)?.source ??
    (files.kindOf(L, index) === undefined ? undefined : files.checkFile(L, index).file);
  if (source === undefined) throw wrongType(state, L, name, 'a string, a stream or httpd.body');
  draft.body = source;
}

/** The string on top of the stack: the request is sent while the script goes on. */
function copyOf({ state, scheduler }: ScriptContext, L: LuaThread): Uint8Array {
  const { exports: x, memory } = state;
  const at = x.lua_tolstring(L, -1, memory.sizeOut);
  const size = memory.lastSize;
  if (size > BODY_BYTES_MAX) {
    throw new GatewayError(
      'LGW_FETCH_LIMIT',
      `Cannot fetch: the body has ${size} bytes and the limit of a string is ${BODY_BYTES_MAX}: give a file or a stream`,
      { luaCode: 'limit' },
    );
  }
  scheduler.guard.pay(size / BYTES_PER_UNIT);
  return Buffer.from(memory.view(at, size));
}

/** False: not followed; a number: followed so often. */
function readRedirect({ state }: ScriptContext, L: LuaThread, name: string): number | undefined {
  const { exports: x } = state;
  if (x.lua_type(L, -1) === LUA_TYPE.boolean)
    return booleanOption(state, L, name) ? REDIRECTS_DEFAULT : undefined;
  if (x.lua_isinteger(L, -1) === 0) throw wrongType(state, L, name, 'a boolean or an integer');
  const count = x.lua_tonumberx(L, -1, NULL);
  if (count < 0 || count > REDIRECTS_MAX)
    throw new LuaError(`option "${name}" is ${count} (0 to ${REDIRECTS_MAX} was expected)`);
  return count;
}

/** A number: the whole fetch; a table: its parts. */
function readTimeouts(script: ScriptContext, L: LuaThread, name: string, { timeouts }: Draft): void {
  const { state } = script;
  const { exports: x } = state;
  if (x.lua_type(L, -1) !== LUA_TYPE.table) {
    timeouts.wholeMs = secondsOption(state, L, name);
    return;
  }
  const index = x.lua_absindex(L, -1);
  readOptionTable(state, L, index, 'timeout', {
    connect: (part) => {
      timeouts.connectMs = connectMsOption(state, L, part);
    },
    head: (part) => {
      timeouts.headMs = secondsOption(state, L, part);
    },
    idle: (part) => {
      timeouts.idleMs = secondsOption(state, L, part);
    },
    whole: (part) => {
      timeouts.wholeMs = secondsOption(state, L, part);
    },
  });
}

/** Bytes of a script as text: UTF-8, unless they are something else. */
function fromBytes(bytes: string): string {
  if (ASCII.test(bytes)) return bytes;
  const buffer = Buffer.from(bytes, 'latin1');
  return isUtf8(buffer) ? buffer.toString() : bytes;
}
