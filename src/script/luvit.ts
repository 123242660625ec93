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
import { readLuaSource } from '../lua/lua-source.ts';
import type { Reference } from '../lua/state.ts';
import { type AppHead, AppRun, type AppRunner } from './app-run.ts';
import { createHandler } from './context/create-handler.ts';
import { currentInvocation, type HandlerFunction } from './context/invocation.ts';
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

const PRELUDE = readLuaSource('script/luvit.lua');
/** In the order in which it takes them. */
const PRELUDE_LIMITS = [REMEMBERED_MAX, FIELDS_MAX, NODES_MAX, FIELD_BYTES_MAX] as const;

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
    state.load(L, PRELUDE, '=luvit');
    const given = Object.values(functions);
    for (const pointer of given) x.lua_pushcclosure(L, pointer, 0);
    for (const limit of PRELUDE_LIMITS) state.pushInteger(L, limit);
    state.call(L, given.length + PRELUDE_LIMITS.length + script.lazyTables.pushMeans(L), 3);
    const write = state.keep(L);
    const read = state.keep(L);
    if (isCallback) {
      state.pushReference(L, app);
      state.call(L, 1, 1);
      const reference = state.keep(L);
      const called: HandlerFunction = {
        reference,
        pushArguments: (T, { exchange }) => this.#pushNumber(T, exchange),
        callsHooks: false,
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
