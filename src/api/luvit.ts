/**
 * Scripts in the shape of luvit's HTTP cluster: an app reads requests and writes answers as tables and strings, or takes
 * a request and returns head and body.
 */
import { assert } from '../base/assert.ts';
import type { ConnectionInfo, Exchange } from '../http/exchange.ts';
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
/** Tables by which a script finds heads it has given before: some 0.5 MiB. */
const NODES_MAX = 4096;
/** Separates the parts of packed heads and requests: no field can hold it. */
const SEPARATOR = '\n';

const PRELUDE = `
local take, put_head, put_body, close, define, packed, respond = ...
local type, tostring, tonumber, kind_of = type, tostring, tonumber, math.type
local concat, gsub, gmatch, quoted = table.concat, string.gsub, string.gmatch, string.format
local error, load = error, load
local REMEMBERED_MAX <const>, FIELDS_MAX <const>, NODES_MAX <const> = ${REMEMBERED_MAX}, ${FIELDS_MAX}, ${NODES_MAX}

-- Requests are known by numbers. One that comes again gets a function of its own, whose constructor makes its table at once.

local parsed, makers, request_count = {}, {}, 0

local function parse(text)
    local parts, n = {}, 0
    for part in gmatch(text .. '\\n', '([^\\n]*)\\n') do
        n = n + 1
        parts[n] = part
    end
    parts.version = tonumber(parts[3])
    parts.port = tonumber(parts[6])
    parts.count = (n - 6) // 2
    return parts
end

local function build(parts)
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

local function compile(parts)
    local made = build(parts)
    local source = { 'return function() return {' }
    for i = 1, parts.count do
        source[i + 1] = quoted('{%q,%q},', made[i][1], made[i][2])
    end
    source[#source + 1] = quoted(
        'method=%q,path=%q,url=%q,version=%q,keepAlive=%q,remoteAddress=%q,remotePort=%q} end',
        made.method, made.path, made.url, made.version, made.keepAlive, made.remoteAddress, made.remotePort)
    return load(concat(source), '=request', 't', {})()
end

local function request_of(number)
    local make = makers[number]
    if make then return make() end
    local parts = parsed[number]
    if parts then
        make = compile(parts)
        makers[number], parsed[number] = make, nil
        return make()
    end
    parts = parse(packed())
    if request_count == REMEMBERED_MAX then parsed, makers, request_count = {}, {}, 0 end
    request_count = request_count + 1
    parsed[number] = parts
    return build(parts)
end

-- Heads are known by their codes and fields: a path of tables from value to value ends with the number.

local known, node_count = {}, 0
local NUMBER <const> = {}

local function clean(value)
    return (gsub(tostring(value), '[\\r\\n]+', ' '))
end

-- What a table is asked for, and what is sent: 1.0 is the same key as 1, and another text.
local function key_of(value)
    if type(value) == 'string' or kind_of(value) == 'integer' then return value end
    return tostring(value)
end

local function step(node, key)
    local found = node[key]
    if not found then
        found = {}
        node[key] = found
        node_count = node_count + 1
    end
    return found
end

local function define_head(head, n)
    if head.code == nil then error('the head has no code', 0) end
    if n > FIELDS_MAX then error('the head has ' .. n .. ' fields (at most ' .. FIELDS_MAX .. ' were expected)', 0) end
    local keys = { key_of(head.code) }
    for i = 1, n do
        local pair = head[i]
        if type(pair) ~= 'table' then error('field ' .. i .. ' of the head is a ' .. type(pair) .. ' (a pair was expected)', 0) end
        keys[2 * i], keys[2 * i + 1] = key_of(pair[1]), key_of(pair[2])
    end
    local texts = {}
    for i = 1, #keys do texts[i] = clean(keys[i]) end
    local number, starts_over = define(concat(texts, '\\n'))
    if starts_over or node_count > NODES_MAX then known, node_count = {}, 0 end
    local node = known
    for i = 1, #keys do node = step(node, keys[i]) end
    node[NUMBER] = number
    return number
end

local function number_of(head)
    local n = #head
    local node = known[key_of(head.code)]
    for i = 1, n do
        local pair = head[i]
        if not node or type(pair) ~= 'table' then return define_head(head, n) end
        local name, value = pair[1], pair[2]
        if type(name) ~= 'string' then name = key_of(name) end
        if type(value) ~= 'string' then value = key_of(value) end
        node = node[name]
        node = node and node[value]
    end
    return node and node[NUMBER] or define_head(head, n)
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
    return function(number)
        return answer(app(request_of(number)))
    end
end

return wrap, read, write`;

/** A request as the prelude knows it, kept with its head. */
class PackedRequest {
  /** No two of a worker have the same. */
  readonly number: number;
  readonly text: string;

  constructor(text: string) {
    lastNumber += 1;
    this.number = lastNumber;
    this.text = text;
  }
}

let lastNumber = 0;

export class Luvit implements AppRunner, Handler {
  readonly script: LoadedScript;
  #heads: AppHead[] = [];
  /** Apps by the connection whose requests they read. */
  readonly #runs = new WeakMap<ConnectionInfo, AppRun>();
  #arguments: readonly Reference[] = [];
  #warned = false;
  #pushed: PackedRequest | undefined;

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
      packed: (T) => this.#pushPacked(T),
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
      script.answerAll(L, (T, { exchange }) => this.#pushNumber(T, exchange));
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
    this.#pushNumber(L, exchange);
    this.script.state.exports.lua_pushboolean(L, 1);
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

  /** Pushes the number of a request, by which the prelude knows it, or asks for it at once. */
  #pushNumber(L: LuaThread, exchange: Exchange): number {
    const { identity } = exchange;
    let { memo } = identity;
    if (!(memo instanceof PackedRequest)) {
      memo = new PackedRequest(pack(exchange));
      identity.memo = memo;
    }
    this.#pushed = memo as PackedRequest;
    this.script.state.pushInteger(L, this.#pushed.number);
    return 1;
  }

  /** Pushes the text of the request whose number was pushed last. */
  #pushPacked(L: LuaThread): number {
    assert(this.#pushed !== undefined, 'a request is asked for by its number');
    this.script.state.pushString(L, this.#pushed.text);
    return 1;
  }

  #headAt(L: LuaThread): AppHead {
    const head = this.#heads[this.script.state.checkInteger(L, 1)];
    if (head === undefined) throw new LuaError('the head is not known');
    return head;
  }

  /** Remembers a packed head; pushes its number, and whether all others were forgotten. */
  #define(L: LuaThread): number {
    const { state } = this.script;
    const [code = '', ...fields] = state.checkString(L, 1).split(SEPARATOR);
    const status = Number(code);
    if (!Number.isInteger(status) || status < 100 || status > 599 || status === 101)
      throw new LuaError(
        `the head has "${code}" as code (an integer from 100 to 599, not 101, was expected)`,
      );
    checkFields(fields);
    const startsOver = this.#heads.length === REMEMBERED_MAX;
    if (startsOver) this.#heads = [];
    let length: number | undefined;
    let chunked = false;
    for (let i = 0; i < fields.length; i += 2) {
      const name = fields[i] as string;
      const value = fields[i + 1] as string;
      if (isNamed(name, 'content-length')) length = parseContentLength(value);
      else if (isNamed(name, 'transfer-encoding')) chunked = hasListMember(value, 'chunked');
    }
    state.pushInteger(L, this.#heads.push({ status, fields: Object.freeze(fields), length, chunked }) - 1);
    state.exports.lua_pushboolean(L, startsOver ? 1 : 0);
    return 2;
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
