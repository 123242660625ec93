/** `httpd.sse`: answers with a stream of server-sent events (WHATWG HTML §9.2). */
import { GatewayError } from '../base/errors.ts';
import type { Exchange } from '../http/exchange/exchange.ts';
import { EVENT_STREAM_TYPE, formatEvent, RETRY_MS_MAX } from '../http/semantics/event-stream.ts';
import {
  endDelayMs,
  HEARTBEAT_MS_MAX,
  HEARTBEAT_MS_MIN,
  usualHeartbeatMs,
} from '../http/semantics/event-stream-times.ts';
import { checkFields, fieldValue } from '../http/semantics/fields.ts';
import type { HostFunction } from '../lua/host-functions.ts';
import { LuaError } from '../lua/lua-error.ts';
import { type CFunction, LUA_TYPE, type LuaThread, NULL } from '../lua/lua-exports.ts';
import { pushFailure } from '../lua/push-failure.ts';
import { takeTurn } from '../lua/turns.ts';
import { currentInvocation, type Invocation } from '../script/context/invocation.ts';
import type { ScriptContext } from '../script/context/script-context.ts';
import { checkArgumentCount } from '../script/run/argument-count.ts';
import { currentRun } from '../script/run/lua-run.ts';
import { readOptionTable, stringOption, wrongType } from '../script/run/option-table.ts';
import { pushEnded } from './copy.ts';
import { EventStream } from './event-stream.ts';
import { leaveRun } from './exit.ts';
import { readHeadTable } from './response-head.ts';

/** Bytes of the data of one event: its client holds all of it before anybody sees any. */
export const EVENT_BYTES_MAX: number = 256 * 1024;
/** Bytes of a type or an id: the latter comes back in the head of a request. */
const EVENT_NAME_BYTES_MAX = 1024;
const MS_PER_SECOND = 1000;
/** To make the lines of an event, for each byte of it. */
const UNITS_PER_BYTE = 2;

/** Said by the stream itself. */
const NOT_IN_HEADERS: ReadonlySet<string> = new Set([
  'content-encoding',
  'content-length',
  'content-type',
  'transfer-encoding',
]);

/** What a script may say of its stream. */
interface SseOptions {
  retryMs: number | undefined;
  /** Undefined: as usual; 0: none. */
  heartbeatMs: number | undefined;
  headers: readonly string[];
}

/** `httpd.sse([options])`: a stream with `send`; or nil, message, code. */
export function createSse(script: ScriptContext): HostFunction {
  const { state, scheduler, streams } = script;
  const { exports: x, memory } = state;
  const { send } = state.addFunctions({ send: (L: LuaThread) => sendEvent(L) }) as { send: CFunction };
  let openStreams = 0;

  return (L) => {
    checkArgumentCount(state, L, 'sse', 0, 1);
    const invocation = currentInvocation(scheduler);
    const { exchange } = invocation;
    const { retryMs, heartbeatMs, headers } = readOptions(L, exchange);
    if (exchange.error !== undefined) return pushFailure(state, L, exchange.error);
    if (exchange.finished) return pushEnded(script, L);
    if (exchange.headGiven) throw new LuaError('headers already sent');
    const isHead = exchange.method === 'HEAD';
    if (isHead && !scheduler.canWait(L))
      throw new LuaError('cannot end here: a yield cannot cross this call');
    giveHead(invocation, headers);
    // it has no content, and would never end
    if (isHead) return leaveRun(scheduler, L, invocation);
    openStreams += 1;
    const stream = new EventStream(exchange, heartbeatMs ?? usualHeartbeatMs(invocation.timeLimitMs), () => {
      openStreams -= 1;
    });
    pushStream(L, invocation, stream);
    if (retryMs !== undefined) stream.send(formatEvent({ retryMs }));
    endWithState(invocation);
    return 1;
  };

  function giveHead(invocation: Invocation, headers: readonly string[]): void {
    const fields = ['content-type', EVENT_STREAM_TYPE, ...headers];
    if (fieldValue(headers, 'cache-control') === undefined) fields.push('cache-control', 'no-store');
    invocation.sendLinks();
    invocation.exchange.head(200, fields);
  }

  function pushStream(L: LuaThread, invocation: Invocation, stream: EventStream): void {
    x.lua_createtable(L, 0, 2);
    const lastId = fieldValue(invocation.exchange.fields, 'last-event-id');
    if (lastId !== undefined) {
      state.pushString(L, lastId);
      x.lua_setfield(L, -2, memory.constant('last_id'));
    }
    x.lua_pushcclosure(L, send, 0);
    x.lua_setfield(L, -2, memory.constant('send'));
    streams.push(L, stream);
    invocation.scope.add(() => stream.stop());
  }

  /** A state that is replaced, or whose gateway drains, is not held by what has no end: the client comes back to the next one. */
  function endWithState(invocation: Invocation): void {
    const end = (): void => {
      const leave = (): void => void takeTurn(invocation.turnOwner, () => invocation.leave());
      const timer = setTimeout(leave, endDelayMs(openStreams));
      invocation.scope.add(() => clearTimeout(timer));
    };
    if (script.runs.streamsEnd) end();
    else invocation.endStream = end;
  }

  function sendEvent(L: LuaThread): number {
    checkArgumentCount(state, L, 'send', 2);
    const stream = streams.find(L, 1);
    if (!(stream instanceof EventStream)) return state.argumentError(L, 1, 'a stream of events expected');
    const text = readEvent(L);
    const { failure, exchange } = stream;
    if (failure !== undefined) return pushFailure(state, L, failure);
    if (text instanceof GatewayError) return pushFailure(state, L, text);
    // what a client does not take yet stays in the script: the text is made again when there is room
    if (exchange.isFull === true) return waitForRoom(L, stream, (T) => sendEvent(T));
    const room = stream.send(text);
    renewBudget();
    return room ? finish(L, stream) : waitForRoom(L, stream, (T) => finish(T, stream));
  }

  function waitForRoom(L: LuaThread, { exchange }: EventStream, next: (L: LuaThread) => number): number {
    if (!scheduler.canWait(L))
      throw new LuaError('cannot wait for the client here: a yield cannot cross this call');
    const { wake } = scheduler.running;
    exchange.whenDrained(wake);
    return scheduler.running.wait(L, next, () => exchange.cancelDrained(wake));
  }

  /** The client may have gone meanwhile. */
  function finish(L: LuaThread, { exchange }: EventStream): number {
    if (exchange.error !== undefined) return pushFailure(state, L, exchange.error);
    x.lua_pushboolean(L, 1);
    return 1;
  }

  /** Each event has the processor time that a request has. */
  function renewBudget(): void {
    currentRun(scheduler)?.renewBudget();
  }

  /** The lines of the event that is the second argument; raises for misuse. */
  function readEvent(L: LuaThread): string | GatewayError {
    const type = x.lua_type(L, 2);
    if (type === LUA_TYPE.string || type === LUA_TYPE.number) return format({ data: readData(L, 2) });
    if (type !== LUA_TYPE.table) x.luaL_typeerror(L, 2, memory.constant('string or table'));
    let data: string | GatewayError | undefined;
    let event: string | undefined;
    let id: string | undefined;
    let retryMs: number | undefined;
    readOptionTable(state, L, 2, 'send', {
      data: (name) => {
        const given = x.lua_type(L, -1);
        if (given !== LUA_TYPE.string && given !== LUA_TYPE.number)
          throw wrongType(state, L, name, 'a string');
        data = readData(L, -1);
      },
      event: (name) => {
        event = stringOption(state, L, name, EVENT_NAME_BYTES_MAX);
      },
      id: (name) => {
        const isNumber = x.lua_type(L, -1) === LUA_TYPE.number;
        id = isNumber ? state.toString(L, -1) : stringOption(state, L, name, EVENT_NAME_BYTES_MAX);
      },
      retry: (name) => {
        retryMs = readRetry(L, name);
      },
    });
    if (data === undefined && event === undefined && id === undefined && retryMs === undefined)
      throw new LuaError('an event needs data, event, id or retry');
    return format({ data, event, id, retryMs });
  }

  function format(event: {
    data: string | GatewayError | undefined;
    event?: string | undefined;
    id?: string | undefined;
    retryMs?: number | undefined;
  }): string | GatewayError {
    const { data } = event;
    return data instanceof GatewayError ? data : formatEvent({ ...event, data });
  }

  function readData(L: LuaThread, index: number): string | GatewayError {
    const size = x.lua_type(L, index) === LUA_TYPE.string ? Number(x.lua_rawlen(L, index)) : 0;
    if (size > EVENT_BYTES_MAX)
      return new GatewayError(
        'LGW_EVENT_LIMIT',
        `Cannot send an event of ${size} bytes: the limit is ${EVENT_BYTES_MAX}`,
        { luaCode: 'limit' },
      );
    scheduler.guard.pay(size * UNITS_PER_BYTE);
    return state.toString(L, index, EVENT_BYTES_MAX) as string;
  }

  function readOptions(L: LuaThread, exchange: Exchange): SseOptions {
    const options: SseOptions = { retryMs: undefined, heartbeatMs: undefined, headers: [] };
    readOptionTable(state, L, 1, 'sse', {
      retry: (name) => {
        options.retryMs = readRetry(L, name);
      },
      heartbeat: (name) => {
        const isOff = x.lua_type(L, -1) === LUA_TYPE.boolean && x.lua_toboolean(L, -1) === 0;
        options.heartbeatMs = isOff ? 0 : readMs(L, name, HEARTBEAT_MS_MIN, HEARTBEAT_MS_MAX);
      },
      headers: (name) => {
        if (x.lua_type(L, -1) !== LUA_TYPE.table) throw wrongType(state, L, name, 'a table');
        options.headers = readHeaders(L, exchange);
      },
    });
    return options;
  }

  function readHeaders(L: LuaThread, { protocol }: Exchange): readonly string[] {
    script.lazyTables.touch(L, -1);
    const head = readHeadTable(state, L, protocol, x.lua_gettop(L));
    const [pseudo] = [...(head.status === undefined ? [] : [':status']), ...Object.keys(head.pseudo)];
    const own = head.fields.find((name, i) => i % 2 === 0 && NOT_IN_HEADERS.has(name.toLowerCase()));
    const wrong = pseudo ?? own;
    if (wrong !== undefined) throw new LuaError(`the headers of 'sse' cannot hold "${wrong}"`);
    checkFields(head.fields);
    return head.fields;
  }

  function readRetry(L: LuaThread, name: string): number {
    return readMs(L, name, 0, RETRY_MS_MAX);
  }

  /** Seconds on top of the stack, in whole milliseconds. */
  function readMs(L: LuaThread, name: string, min: number, max: number): number {
    if (x.lua_type(L, -1) !== LUA_TYPE.number) throw wrongType(state, L, name, 'a number');
    const ms = Math.round(x.lua_tonumberx(L, -1, NULL) * MS_PER_SECOND);
    if (ms >= min && ms <= max) return ms;
    throw new LuaError(
      `option "${name}" is ${ms / MS_PER_SECOND} (${min / MS_PER_SECOND} to ${max / MS_PER_SECOND} seconds were expected)`,
    );
  }
}
