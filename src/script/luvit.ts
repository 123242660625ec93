/**
 * Scripts in the shape of luvit's HTTP cluster: an app reads requests and writes answers as tables and strings, or takes
 * a request and returns head and body.
 */
import { assert } from '../base/assert.ts';
import type { Exchange, ExchangeConnection } from '../http/exchange/exchange.ts';
import type { Handler, Route } from '../http/exchange/handler.ts';
import {
  checkFields,
  fieldValue,
  hasListMember,
  isNamed,
  parseContentLength,
} from '../http/semantics/fields.ts';
import { LuaError } from '../lua/lua-error.ts';
import { LUA_TYPE, type LuaThread } from '../lua/lua-exports.ts';
import type { Reference } from '../lua/state.ts';
import { type AppHead, AppRun, type AppRunner } from './app-run.ts';
import { createHandler, currentInvocation, type HandlerFunction } from './context/invocation.ts';
import type { ScriptContext } from './context/script-context.ts';
import { FIELD_BYTES_MAX } from './run/field-size.ts';
import { currentRun } from './run/lua-run.ts';

/** Heads, and requests, that are remembered because they come again and again; past that, remembering starts over. */
const REMEMBERED_MAX = 256;
/** Fields of a response. */
const FIELDS_MAX = 1000;
/** Tables by which a script finds heads it has given before: some 0.5 MiB. */
const NODES_MAX = 4096;
/** Separates the parts of packed heads and requests: no field can hold it. */
const SEPARATOR = '\n';

const PRELUDE = `
local take, put_head, put_body, close, define, packed, respond, FILLER, setmetatable, getmetatable = ...
local type, tostring, tonumber, next = type, tostring, tonumber, next
local concat, gsub, gmatch, whole = table.concat, string.gsub, string.gmatch, math.tointeger
local error = error
local REMEMBERED_MAX <const>, FIELDS_MAX <const>, NODES_MAX <const> = ${REMEMBERED_MAX}, ${FIELDS_MAX}, ${NODES_MAX}
local BYTES_MAX <const> = ${FIELD_BYTES_MAX}

-- Requests: tables that are filled when more is asked of them than one of their facts. Their metatables, known by numbers,
-- serve every request that has the same head.

local metatables, metatable_count = {}, 0

local function parse(text)
    local parts, n = {}, 0
    for part in gmatch(text .. '\\n', '([^\\n]*)\\n') do
        n = n + 1
        parts[n] = part
    end
    local path = parts[2]
    local facts = {
        method = parts[1], path = path, url = path, version = tonumber(parts[3]), keepAlive = parts[4] == '1',
        remoteAddress = parts[5], remotePort = tonumber(parts[6]),
    }
    return facts, parts, n
end

local function fill(made)
    local facts, parts, n = parse(getmetatable(made).text)
    setmetatable(made, nil)
    for key, value in next, facts do made[key] = value end
    for at = 7, n, 2 do made[(at - 5) // 2] = { parts[at], parts[at + 1] } end
    return made
end

local function index(made, key)
    local metatable = getmetatable(made)
    local facts = metatable.facts
    if not facts then
        facts = parse(metatable.text)
        metatable.facts = facts
    end
    local value = facts[key]
    if value ~= nil then return value end
    return fill(made)[key]
end

local function new_index(made, key, value)
    fill(made)[key] = value
end

local function length(made)
    return #fill(made)
end

local function each(made)
    return next, fill(made), nil
end

local function new_metatable(number)
    local metatable = {
        [FILLER] = fill, __index = index, __newindex = new_index, __len = length, __pairs = each, text = packed(), facts = false,
    }
    if metatable_count == REMEMBERED_MAX then metatables, metatable_count = {}, 0 end
    metatables[number] = metatable
    metatable_count = metatable_count + 1
    return metatable
end

-- Heads are known by their codes and fields: a path of tables from value to value ends with the number.

local known, node_count = {}, 0
local NUMBER <const> = {}

-- What a table is asked for: a string, or a whole number, which is sent as one.
local function key_of(value)
    if type(value) == 'string' then return value end
    return whole(value) or tostring(value)
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
    local keys, bytes = { key_of(head.code) }, 0
    for i = 1, n do
        local pair = head[i]
        if type(pair) ~= 'table' then error('field ' .. i .. ' of the head is a ' .. type(pair) .. ' (a pair was expected)', 0) end
        keys[2 * i], keys[2 * i + 1] = key_of(pair[1]), key_of(pair[2])
    end
    for i = 1, #keys do bytes = bytes + #tostring(keys[i]) end
    if bytes > BYTES_MAX then error('the head has ' .. bytes .. ' bytes (at most ' .. BYTES_MAX .. ' were expected)', 0) end
    local texts = {}
    for i = 1, #keys do texts[i] = gsub(keys[i], '[\\r\\n]+', ' ') end
    local number, starts_over = define(concat(texts, '\\n'))
    if starts_over or node_count > NODES_MAX then known, node_count = {}, 0 end
    local node = known
    for i = 1, #keys do node = step(node, keys[i]) end
    node[NUMBER] = number
    return number
end

local function number_of(head)
    local n = #head
    local node = known[head.code]
    for i = 1, n do
        local pair = head[i]
        if not node or type(pair) ~= 'table' then return define_head(head, n) end
        node = node[pair[1]]
        node = node and node[pair[2]]
    end
    return node and node[NUMBER] or define_head(head, n)
end

-- apps

local function read()
    local item, is_request = take()
    if is_request then return setmetatable({}, metatables[item] or new_metatable(item)) end
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

local function wrap(app)
    return function(number)
        local head, body = app(setmetatable({}, metatables[number] or new_metatable(number)))
        if type(head) ~= 'table' then error('the app returned a ' .. type(head) .. ' as head (a table was expected)', 0) end
        return respond(number_of(head), body)
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
  readonly script: ScriptContext;
  #heads: AppHead[] = [];
  /** Apps by the connection whose requests they read. */
  readonly #runs = new WeakMap<ExchangeConnection, AppRun>();
  #arguments: readonly Reference[] = [];
  #warned = false;
  #pushed: PackedRequest | undefined;

  constructor(script: ScriptContext) {
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
    state.call(L, given.length + script.lazyTables.pushMeans(L), 3);
    const write = state.keep(L);
    const read = state.keep(L);
    if (isCallback) {
      state.pushReference(L, app);
      state.call(L, 1, 1);
      const called: HandlerFunction = {
        reference: state.keep(L),
        pushArguments: (T, { exchange }) => this.#pushNumber(T, exchange),
      };
      script.handlers.answerAll(createHandler(script, called, script.limits));
      return;
    }
    state.pop(L);
    this.#arguments = [app, read, write];
    script.handlers.answerAll(this);
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
    this.script.lazyTables.pushNumber(L, this.#pushed.number);
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
    const type = state.type(L, 2);
    if (type > LUA_TYPE.nil && type !== LUA_TYPE.string && type !== LUA_TYPE.number)
      throw new LuaError(`the app returned a ${state.typeName(L, 2)} as body (a string was expected)`);
    if (exchange.finished) return 0;
    exchange.head(status, fields);
    return type <= LUA_TYPE.nil ? 0 : transfer.write(L, exchange, 2, returnNothing);
  }
}

const returnNothing = (): number => 0;

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
