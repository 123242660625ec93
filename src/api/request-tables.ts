/** Fills the two tables a handler is called with: `env` and `header` (spec: reference lhttpd, plus our additions). */
import { httpDate } from '../base/clock.ts';
import type { Fields } from '../http/exchange.ts';
import { LuaError } from '../lua/lua-error.ts';
import type { LuaThread } from '../lua/lua-exports.ts';
import { LUA_TYPE } from '../lua/lua-exports.ts';
import type { Reference, State } from '../lua/state.ts';
import { type RequestFacts, unpackRequest } from './request-facts.ts';
import { requestIdOf } from './request-id.ts';

/** What is the same for all requests of a mapping. */
export interface MappingFacts {
  readonly prefix: string;
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

  /** Fills `env` (0) or `header` (1), the table on top of the stack, from what `packRequest` made. */
  fill(L: LuaThread, packed: string, argument: 0 | 1): void {
    const facts = unpackRequest(packed);
    if (facts === undefined) throw new LuaError('the request holds a line feed where none is allowed');
    if (argument === 0) this.#fillEnvironment(L, facts);
    else this.#fillHeader(L, facts);
  }

  /** Strings and integers only, as scripts print them. */
  #fillEnvironment(L: LuaThread, facts: RequestFacts): void {
    const { connection } = facts;
    this.#setConstant(L, 'SERVER_SOFTWARE', SOFTWARE);
    this.#setConstant(L, 'SERVER_PROTOCOL', facts.protocol);
    this.#setConstant(L, 'SCRIPT_FILENAME', this.#facts.script);
    this.#setConstant(L, 'SCRIPT_PREFIX', this.#facts.prefix);
    this.#setConstant(L, 'HANDLER_NAME', facts.handlerName);
    this.#setInteger(L, 'SERVER_PORT', this.#facts.serverPort || connection.localPort);
    this.#setString(L, 'SERVER_ADDR', connection.localAddress);
    this.#setString(L, 'CLIENT_ADDR', connection.peerAddress);
    this.#setInteger(L, 'CLIENT_PORT', connection.peerPort);
    if (facts.query !== undefined) this.#setString(L, 'QUERY_INFO', facts.query);
    this.#setString(L, 'DATE_UTC', httpDate());
    if (facts.canPush) this.#setInteger(L, 'PUSH_PROMISE', 1);
    this.#setString(L, 'REQUEST_ID', requestIdOf(this.#facts.workerId, facts.number));
    this.#setString(L, 'REQUEST_METHOD', facts.method);
    this.#setString(L, 'PATH_INFO', facts.path);
    this.#setConstant(L, 'SCHEME', facts.scheme);
    this.#setInteger(L, 'WORKER_ID', this.#facts.workerId);
    if (connection.tlsProtocol !== undefined) this.#setConstant(L, 'TLS_PROTOCOL', connection.tlsProtocol);
    if (connection.tlsCipher !== undefined) this.#setConstant(L, 'TLS_CIPHER', connection.tlsCipher);
    if (connection.tlsServerName !== undefined) this.#setString(L, 'TLS_SNI', connection.tlsServerName);
  }

  #fillHeader(L: LuaThread, facts: RequestFacts): void {
    const { exports: x } = this.#state;
    const http2 = facts.protocol === 'HTTP/2';
    const query = facts.query === undefined ? '' : `?${facts.query}`;
    this.#setString(L, http2 ? ':method' : 'method', facts.method);
    this.#setString(L, http2 ? ':path' : 'path', http2 ? facts.target : facts.path + query);
    if (http2) {
      this.#setConstant(L, ':scheme', facts.scheme);
      this.#setString(L, ':authority', facts.authority);
    }
    for (const [name, value] of http2 ? joinLowerCase(facts.fields) : joinAnyCase(facts.fields)) {
      this.#setString(L, name, value);
    }
    this.#state.pushReference(L, this.#headerMetatables[facts.scheme]);
    x.lua_setmetatable(L, -2);
  }

  #setConstant(L: LuaThread, key: string, value: string): void {
    this.#state.pushInterned(L, key);
    this.#state.pushInterned(L, value);
    this.#state.exports.lua_rawset(L, -3);
  }

  #setString(L: LuaThread, key: string, value: string): void {
    if (key.length <= INTERNED_NAME_LENGTH_MAX && KNOWN_NAMES.has(key)) this.#state.pushInterned(L, key);
    else this.#state.pushString(L, key);
    this.#state.pushString(L, value);
    this.#state.exports.lua_rawset(L, -3);
  }

  #setInteger(L: LuaThread, key: string, value: number): void {
    this.#state.pushInterned(L, key);
    this.#state.pushInteger(L, value);
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

/** Names worth keeping in the VM: the keys of env and the fields ordinary clients send. */
const KNOWN_NAMES: ReadonlySet<string> = new Set(
  (
    'SERVER_ADDR CLIENT_ADDR QUERY_INFO DATE_UTC REQUEST_ID REQUEST_METHOD PATH_INFO TLS_SNI method path :method :path ' +
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
