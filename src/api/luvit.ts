/**
 * Scripts in the shape of luvit's HTTP cluster: an app reads requests and writes answers as tables and strings, or takes
 * a request and returns head and body.
 */
import type { Exchange, ExchangeConnection } from '../http/exchange.ts';
import { checkFields, fieldValue, hasListMember, isNamed, parseContentLength } from '../http/fields.ts';
import type { Handler, Route } from '../http/handler.ts';
import { LuaError } from '../lua/lua-error.ts';
import { LUA_TYPE, type LuaThread } from '../lua/lua-exports.ts';
import type { Reference } from '../lua/state.ts';
import { type AppHead, AppRun, type AppRunner } from './app-run.ts';
import { currentInvocation } from './invocation.ts';
import type { LoadedScript } from './loaded-script.ts';
import { currentRun } from './lua-run.ts';

/** Heads, and requests, that are remembered because they come again and again; past that, remembering starts over. */
const REMEMBERED_MAX = 256;
/** Fields of a response. */
const FIELDS_MAX = 1000;
/** Separates the parts of packed heads and requests: no field can hold it. */
const SEPARATOR = '\n';

const PRELUDE = `
local take, put_head, put_body, close, define, request, respond = ...
local type, tostring, tonumber, concat, gsub, gmatch = type, tostring, tonumber, table.concat, string.gsub, string.gmatch
local error, pairs = error, pairs
local REMEMBERED_MAX <const>, FIELDS_MAX <const> = ${REMEMBERED_MAX}, ${FIELDS_MAX}

-- requests

local templates, template_count = {}, 0

local function parse(packed)
    local parts, n = {}, 0
    for part in gmatch(packed .. '\\n', '([^\\n]*)\\n') do
        n = n + 1
        parts[n] = part
    end
    parts.version = tonumber(parts[3])
    parts.port = tonumber(parts[6])
    parts.count = (n - 6) // 2
    if template_count == REMEMBERED_MAX then templates, template_count = {}, 0 end
    templates[packed] = parts
    template_count = template_count + 1
    return parts
end

local function request_of(packed)
    local parts = templates[packed] or parse(packed)
    local path = parts[2]
    local made = {
        method = parts[1], path = path, url = path, version = parts.version, keepAlive = parts[4] == '1',
        remoteAddress = parts[5], remotePort = parts.port,
    }
    for i = 1, parts.count do
        local at = 5 + 2 * i
        made[i] = { parts[at], parts[at + 1] }
    end
    return made
end

-- heads

local known, known_count = {}, 0

local function clean(value)
    if type(value) ~= 'string' then value = tostring(value) end
    return (gsub(value, '[\\r\\n]+', ' '))
end

local function define_head(head, n)
    local parts = { tostring(head.code) }
    for i = 1, n do
        local pair = head[i]
        parts[2 * i], parts[2 * i + 1] = clean(pair[1]), clean(pair[2])
    end
    return define(concat(parts, '\\n'))
end

-- Heads are known by their code and fields, joined by what no field can hold.
local function number_of(head)
    local code, n = head.code, #head
    if code == nil then error('the head has no code', 0) end
    if n > FIELDS_MAX then error('the head has ' .. n .. ' fields (at most ' .. FIELDS_MAX .. ' were expected)', 0) end
    local parts, at = { n, tostring(code), false, false, false, false, false, false }, 2
    for i = 1, n do
        local pair = head[i]
        if type(pair) ~= 'table' then error('field ' .. i .. ' of the head is a ' .. type(pair) .. ' (a pair was expected)', 0) end
        local name, value = pair[1], pair[2]
        local kind = type(value)
        parts[at + 1] = type(name) == 'string' and name or tostring(name)
        at = at + 2
        parts[at] = (kind == 'string' or kind == 'number') and value or tostring(value)
    end
    local packed = concat(parts, '\\0', 1, at)
    local number = known[packed]
    if not number then
        number = define_head(head, n)
        if known_count == REMEMBERED_MAX then known, known_count = {}, 0 end
        known[packed] = number
        known_count = known_count + 1
    end
    return number
end

-- apps

local function read()
    local item, is_request = take()
    if is_request then return request_of(item) end
    return item
end

local function write(item)
    local kind = type(item)
    if kind == 'string' then return put_body(item) end
    if kind == 'table' then return put_head(number_of(item)) end
    if kind == 'nil' then return close() end
    if kind == 'number' then return put_body(tostring(item)) end
    error('write was given a ' .. kind .. ' (a head, a string or nothing was expected)', 2)
end

local function answer(head, body)
    if type(head) ~= 'table' then error('the app returned a ' .. type(head) .. ' as head (a table was expected)', 0) end
    return respond(number_of(head), body)
end

local function wrap(app)
    return function()
        return answer(app(request_of((request()))))
    end
end

return wrap, read, write`;

/** A request as packed for the prelude, kept with its head. */
class PackedRequest {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

export class Luvit implements AppRunner, Handler {
  readonly script: LoadedScript;
  #heads: AppHead[] = [];
  /** Apps by the connection whose requests they read. */
  readonly #runs = new WeakMap<ExchangeConnection, AppRun>();
  #arguments: readonly Reference[] = [];
  #warned = false;

  constructor(script: LoadedScript) {
    this.script = script;
  }

  /** Makes the app on top of the stack, which is popped, answer everything. `isCallback`: it takes one request. */
  serve(L: LuaThread, isCallback: boolean): void {
    const { script } = this;
    const { state } = script;
    const { exports: x } = state;
    const app = state.keep(L);
    const functions = state.addFunctions({
      take: (T) => this.#run().read(T),
      putHead: (T) => this.#run().writeHead(T, this.#headAt(T)),
      putBody: (T) => this.#run().writeBody(T),
      close: () => this.#run().close(),
      define: (T) => this.#define(T),
      request: (T) => this.pushRequest(T, currentInvocation(script.scheduler).exchange),
      respond: (T) => this.#respond(T),
    });
    state.load(L, Buffer.from(PRELUDE), '=luvit');
    const given = Object.values(functions);
    for (const pointer of given) x.lua_pushcclosure(L, pointer, 0);
    state.call(L, given.length, 3);
    const write = state.keep(L);
    const read = state.keep(L);
    if (isCallback) {
      state.pushReference(L, app);
      state.call(L, 1, 1);
      script.answerAll(L);
      return;
    }
    state.pop(L);
    this.#arguments = [app, read, write];
    script.answerAllBy(this);
  }

  handle(exchange: Exchange, _route: Route): void {
    if (this.script.closed) {
      exchange.reset(503);
      return;
    }
    const { connection } = exchange;
    const running = connection.series === undefined ? undefined : this.#runs.get(connection);
    if (running !== undefined) {
      running.offer(exchange);
      return;
    }
    const run = new AppRun(this, exchange);
    if (connection.series !== undefined) this.#runs.set(connection, run);
    run.start();
  }

  // ---- AppRunner ----

  pushApp(L: LuaThread): number {
    for (const reference of this.#arguments) this.script.state.pushReference(L, reference);
    return this.#arguments.length - 1;
  }

  pushRequest(L: LuaThread, exchange: Exchange): number {
    const { identity } = exchange;
    if (!(identity.memo instanceof PackedRequest)) identity.memo = new PackedRequest(pack(exchange));
    const { state } = this.script;
    state.pushString(L, (identity.memo as PackedRequest).text);
    state.exports.lua_pushboolean(L, 1);
    return 2;
  }

  ended(run: AppRun): void {
    if (this.#runs.get(run.connection) === run) this.#runs.delete(run.connection);
  }

  returnedOpen(run: AppRun): void {
    if (this.#warned) return;
    this.#warned = true;
    this.script.logger.warn('App returned without write(): its connection is closed', run.logFields());
  }

  // ---- inside ----

  #run(): AppRun {
    const run = currentRun(this.script.scheduler);
    if (run instanceof AppRun) return run;
    throw new LuaError('read and write belong to an app: called outside of one');
  }

  #headAt(L: LuaThread): AppHead {
    const head = this.#heads[this.script.state.checkInteger(L, 1)];
    if (head === undefined) throw new LuaError('the head is not known');
    return head;
  }

  /** Remembers a packed head; pushes its number. */
  #define(L: LuaThread): number {
    const { state } = this.script;
    const [code = '', ...fields] = state.checkString(L, 1).split(SEPARATOR);
    const status = Number(code);
    if (!Number.isInteger(status) || status < 100 || status > 599 || status === 101)
      throw new LuaError(
        `the head has "${code}" as code (an integer from 100 to 599, not 101, was expected)`,
      );
    checkFields(fields);
    // both sides start over after as many
    if (this.#heads.length === REMEMBERED_MAX) this.#heads = [];
    let length: number | undefined;
    let chunked = false;
    for (let i = 0; i < fields.length; i += 2) {
      const name = fields[i] as string;
      const value = fields[i + 1] as string;
      if (isNamed(name, 'content-length')) length = parseContentLength(value);
      else if (isNamed(name, 'transfer-encoding')) chunked = hasListMember(value, 'chunked');
    }
    state.pushInteger(L, this.#heads.push({ status, fields: Object.freeze(fields), length, chunked }) - 1);
    return 1;
  }

  /** Answers with the head of that number, and a body. */
  #respond(L: LuaThread): number {
    const { state, scheduler, transfer } = this.script;
    const { exchange } = currentInvocation(scheduler);
    const { status, fields } = this.#headAt(L);
    state.exports.lua_settop(L, 2);
    const type = state.type(L, 2);
    if (type !== LUA_TYPE.nil && type !== LUA_TYPE.string && type !== LUA_TYPE.number)
      throw new LuaError(`the app returned a ${state.typeName(L, 2)} as body (a string was expected)`);
    if (exchange.finished) return 0;
    exchange.head(status, fields);
    return type === LUA_TYPE.nil ? 0 : transfer.write(L, exchange, 2, () => 0);
  }
}

/** A request in lines, for the prelude: six facts, then names and values. */
function pack(exchange: Exchange): string {
  const { protocol, connection, fields, authority, method, target } = exchange;
  const version = protocol === 'HTTP/2' ? '2.0' : protocol.slice('HTTP/'.length);
  const asked = fieldValue(fields, 'connection');
  const keepAlive =
    asked === undefined || protocol === 'HTTP/2'
      ? protocol !== 'HTTP/1.0'
      : hasListMember(asked, 'keep-alive') || (protocol === 'HTTP/1.1' && !hasListMember(asked, 'close'));
  const host = protocol === 'HTTP/2' && authority !== '' ? ['host', authority] : [];
  return [
    method,
    target,
    version,
    keepAlive ? '1' : '',
    connection.peerAddress,
    connection.peerPort,
    ...host,
    ...fields,
  ].join(SEPARATOR);
}
