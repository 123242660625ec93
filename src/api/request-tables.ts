/** Fills the two tables a handler is called with: `env` and `header` (spec: reference lhttpd, plus our additions). */
import { httpDate } from '../base/clock.ts';
import type { ConnectionInfo, Fields, Protocol } from '../http/exchange.ts';
import { fieldValue } from '../http/fields.ts';
import type { Route } from '../http/handler.ts';
import type { LuaThread } from '../lua/lua-exports.ts';
import { LUA_TYPE } from '../lua/lua-exports.ts';
import type { Reference, State } from '../lua/state.ts';

/** The parts of an exchange that outlive it in the tables. An Exchange is one. */
export interface RequestHead {
  readonly protocol: Protocol;
  readonly method: string;
  readonly target: string;
  readonly scheme: 'https' | 'http';
  readonly authority: string;
  readonly fields: Fields;
  readonly connection: ConnectionInfo;
  readonly canPush: boolean;
}

/** What is the same for all requests of a mapping. */
export interface MappingFacts {
  readonly script: string;
  readonly serverPort: number;
  readonly workerId: number;
}

const SOFTWARE = 'lgateway';

/** Pseudo entries and their other names: what `header[…]` finds on both protocols. */
const ALIASES: ReadonlyMap<string, string> = new Map([
  [':method', 'method'],
  [':path', 'path'],
  [':authority', 'host'],
  [':scheme', 'scheme'],
  ['method', ':method'],
  ['path', ':path'],
  ['host', ':authority'],
  ['scheme', ':scheme'],
]);

export class RequestTables {
  readonly #state: State;
  readonly #facts: MappingFacts;
  /** Metatable of filled header tables, by scheme: case-insensitive lookup and aliases. */
  readonly #headerMetatables: Readonly<Record<'https' | 'http', Reference>>;

  constructor(state: State, facts: MappingFacts) {
    this.#state = state;
    this.#facts = facts;
    this.#headerMetatables = {
      https: this.#createHeaderMetatable('https'),
      http: this.#createHeaderMetatable('http'),
    };
  }

  /** Sets the entries of `env` in the table on top of the stack: strings and integers only, as scripts print them. */
  fillEnvironment(L: LuaThread, head: RequestHead, route: Route, request: Identified): void {
    for (const name of ENVIRONMENT_NAMES) {
      const value = environmentValue(name, head, route, this.#facts, request);
      if (value === undefined) continue;
      this.#state.pushInterned(L, name);
      this.#pushValue(L, name, value);
      this.#state.exports.lua_rawset(L, -3);
    }
  }

  /** Pushes one entry of `env`, or nil. */
  pushEnvironmentValue(
    L: LuaThread,
    head: RequestHead,
    route: Route,
    request: Identified,
    name: string,
  ): void {
    const value = environmentValue(name, head, route, this.#facts, request);
    if (value === undefined) this.#state.exports.lua_pushnil(L);
    else this.#pushValue(L, name, value);
  }

  /** Sets the entries of `header` in the table on top of the stack. */
  fillHeader(L: LuaThread, head: RequestHead, route: Route): void {
    const { exports: x } = this.#state;
    const http2 = head.protocol === 'HTTP/2';
    this.#setString(L, http2 ? ':method' : 'method', head.method);
    this.#setString(L, http2 ? ':path' : 'path', pathOf(head, route));
    if (http2) {
      this.#setString(L, ':scheme', head.scheme);
      this.#setString(L, ':authority', head.authority);
    }
    for (const [name, value] of http2 ? joinLowerCase(head.fields) : joinAnyCase(head.fields)) {
      this.#setString(L, name, value);
    }
    this.#state.pushReference(L, this.#headerMetatables[head.scheme]);
    x.lua_setmetatable(L, -2);
  }

  /** Pushes what the filled `header` gives for `name` in any case, or nil. */
  pushHeaderValue(L: LuaThread, head: RequestHead, route: Route, name: string): void {
    const value = headerValue(name.toLowerCase(), head, route);
    if (value === undefined) this.#state.exports.lua_pushnil(L);
    else this.#state.pushString(L, value);
  }

  #pushValue(L: LuaThread, name: string, value: string | number): void {
    if (typeof value === 'number') this.#state.pushInteger(L, value);
    else if (CONSTANT_NAMES.has(name)) this.#state.pushInterned(L, value);
    else this.#state.pushString(L, value);
  }

  #setString(L: LuaThread, key: string, value: string): void {
    if (key.length <= INTERNED_NAME_LENGTH_MAX && KNOWN_NAMES.has(key)) this.#state.pushInterned(L, key);
    else this.#state.pushString(L, key);
    this.#state.pushString(L, value);
    this.#state.exports.lua_rawset(L, -3);
  }

  #createHeaderMetatable(scheme: 'https' | 'http'): Reference {
    const state = this.#state;
    const { exports: x, memory, mainThread: L } = state;
    const { index } = state.addFunctions({
      index: (T) => {
        x.luaL_checktype(T, 1, LUA_TYPE.table);
        if (x.lua_type(T, 2) !== LUA_TYPE.string) return 0;
        const name = (state.toString(T, 2) as string).toLowerCase();
        if (this.#findField(T, name)) return 1;
        const alias = ALIASES.get(name);
        if (alias === undefined) return 0;
        if (this.#findField(T, alias)) return 1;
        if (alias !== 'scheme' && alias !== ':scheme') return 0;
        state.pushInterned(T, scheme);
        return 1;
      },
    });
    x.lua_createtable(L, 0, 1);
    x.lua_pushcclosure(L, index, 0);
    x.lua_setfield(L, -2, memory.constant('__index'));
    return state.keep(L);
  }

  /** Pushes the value of the field called `name` (lower case) in whatever case the table at index 1 has it. */
  #findField(L: LuaThread, name: string): boolean {
    const { exports: x } = this.#state;
    this.#state.pushString(L, name);
    if (x.lua_rawget(L, 1) !== LUA_TYPE.nil) return true;
    this.#state.pop(L);
    x.lua_pushnil(L);
    while (x.lua_next(L, 1) !== 0) {
      if (x.lua_type(L, -2) === LUA_TYPE.string && this.#state.toString(L, -2)?.toLowerCase() === name)
        return true;
      this.#state.pop(L);
    }
    return false;
  }
}

/** Who can name the exchange; the name is made when it is first asked for. */
export interface Identified {
  readonly requestId: string;
}

/** The keys of env in the order they are set. */
const ENVIRONMENT_NAMES = [
  'SERVER_SOFTWARE',
  'SERVER_PROTOCOL',
  'SCRIPT_FILENAME',
  'SCRIPT_PREFIX',
  'HANDLER_NAME',
  'SERVER_PORT',
  'SERVER_ADDR',
  'CLIENT_ADDR',
  'CLIENT_PORT',
  'QUERY_INFO',
  'DATE_UTC',
  'PUSH_PROMISE',
  'REQUEST_ID',
  'REQUEST_METHOD',
  'PATH_INFO',
  'SCHEME',
  'WORKER_ID',
  'TLS_PROTOCOL',
  'TLS_CIPHER',
  'TLS_SNI',
] as const;
/** Those with few values in the life of a mapping: kept in the VM. */
const CONSTANT_NAMES: ReadonlySet<string> = new Set([
  'SERVER_SOFTWARE',
  'SERVER_PROTOCOL',
  'SCRIPT_FILENAME',
  'SCRIPT_PREFIX',
  'HANDLER_NAME',
  'SCHEME',
  'TLS_PROTOCOL',
  'TLS_CIPHER',
]);

/** The value of one entry of env; undefined when it has none. */
function environmentValue(
  name: string,
  head: RequestHead,
  route: Route,
  facts: MappingFacts,
  request: Identified,
): string | number | undefined {
  const { connection } = head;
  switch (name) {
    case 'SERVER_SOFTWARE':
      return SOFTWARE;
    case 'SERVER_PROTOCOL':
      return head.protocol;
    case 'SCRIPT_FILENAME':
      return facts.script;
    case 'SCRIPT_PREFIX':
      return route.prefix;
    case 'HANDLER_NAME':
      return route.handlerName;
    case 'SERVER_PORT':
      return facts.serverPort || connection.localPort;
    case 'SERVER_ADDR':
      return connection.localAddress;
    case 'CLIENT_ADDR':
      return connection.peerAddress;
    case 'CLIENT_PORT':
      return connection.peerPort;
    case 'QUERY_INFO':
      return route.query;
    case 'DATE_UTC':
      return httpDate();
    case 'PUSH_PROMISE':
      return head.canPush ? 1 : undefined;
    case 'REQUEST_ID':
      return request.requestId;
    case 'REQUEST_METHOD':
      return head.method;
    case 'PATH_INFO':
      return route.path;
    case 'SCHEME':
      return head.scheme;
    case 'WORKER_ID':
      return facts.workerId;
    case 'TLS_PROTOCOL':
      return connection.tlsProtocol;
    case 'TLS_CIPHER':
      return connection.tlsCipher;
    case 'TLS_SNI':
      return connection.tlsServerName;
    default:
      return undefined;
  }
}

/** What the filled header table gives for a lower-case name: its own entry, else that of its other name. */
function headerValue(name: string, head: RequestHead, route: Route): string | undefined {
  switch (name) {
    case 'method':
    case ':method':
      return head.method;
    case 'path':
    case ':path':
      return pathOf(head, route);
    case 'scheme':
    case ':scheme':
      return head.scheme;
    case ':authority':
      return head.protocol === 'HTTP/2' ? head.authority : fieldValue(head.fields, 'host');
    case 'host':
      return fieldValue(head.fields, name) ?? (head.protocol === 'HTTP/2' ? head.authority : undefined);
    default:
      return fieldValue(head.fields, name);
  }
}

/** HTTP/2 has the target as received, HTTP/1 the decoded path, as lhttpd. */
function pathOf(head: RequestHead, route: Route): string {
  if (head.protocol === 'HTTP/2') return head.target;
  return route.query === undefined ? route.path : `${route.path}?${route.query}`;
}

/** Names of fields worth keeping in the VM: those ordinary clients send. */
const KNOWN_NAMES: ReadonlySet<string> = new Set(
  (
    'method path :method :path ' +
    ':scheme :authority host Host user-agent User-Agent accept Accept accept-encoding Accept-Encoding accept-language ' +
    'Accept-Language connection Connection content-length Content-Length content-type Content-Type cookie Cookie ' +
    'referer Referer origin Origin authorization Authorization cache-control Cache-Control range Range te TE ' +
    'if-none-match If-None-Match if-modified-since If-Modified-Since upgrade-insecure-requests sec-fetch-dest ' +
    'sec-fetch-mode sec-fetch-site sec-fetch-user sec-ch-ua sec-ch-ua-mobile sec-ch-ua-platform priority'
  ).split(' '),
);
const INTERNED_NAME_LENGTH_MAX = 32;

/** Names that `header` has for parts of the request itself; a field of that name would pass for them. */
const RESERVED_NAMES: ReadonlySet<string> = new Set(['method', 'path', 'scheme']);

/** Repeated fields become one value (RFC 9110 §5.3; cookies RFC 9113 §8.2.3). */
function joinLowerCase(fields: Fields): Map<string, string> {
  const joined = new Map<string, string>();
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] as string;
    if (RESERVED_NAMES.has(name)) continue;
    joined.set(name, joinValue(name, joined.get(name), fields[i + 1] as string));
  }
  return joined;
}

/** The same where names keep the client's case: the first spelling stays. */
function joinAnyCase(fields: Fields): Map<string, string> {
  const spelling = new Map<string, string>();
  const joined = new Map<string, string>();
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] as string;
    const lower = name.toLowerCase();
    if (RESERVED_NAMES.has(lower)) continue;
    const first = spelling.get(lower) ?? name;
    spelling.set(lower, first);
    joined.set(first, joinValue(lower, joined.get(first), fields[i + 1] as string));
  }
  return joined;
}

function joinValue(name: string, before: string | undefined, value: string): string {
  if (before === undefined) return value;
  return before + (name === 'cookie' ? '; ' : ', ') + value;
}
