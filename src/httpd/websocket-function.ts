/** `httpd.websocket`: makes a WebSocket of the connection of a request, whose messages the script takes and sends. */
import { isUtf8 } from 'node:buffer';
import { GatewayError } from '../base/errors.ts';
import type { HostFunction } from '../lua/host-functions.ts';
import { LuaError } from '../lua/lua-error.ts';
import { type CString, LUA_TYPE, type LuaThread } from '../lua/lua-exports.ts';
import { pushFailure } from '../lua/push-failure.ts';
import type { Reference } from '../lua/state.ts';
import { currentClient, type Invocation } from '../script/context/invocation.ts';
import type { ScriptContext } from '../script/context/script-context.ts';
import { noteMoved } from '../script/objects/byte-wait.ts';
import type { LuaStream } from '../script/objects/lua-streams.ts';
import { checkArgumentCount } from '../script/run/argument-count.ts';
import { currentRun } from '../script/run/lua-run.ts';
import { checkSeconds } from '../script/run/seconds.ts';
import { CLOSE_CODE, isSendable } from '../websocket/close-codes.ts';
import type { Message } from '../websocket/message-inbox.ts';
import { openWebSocket } from '../websocket/open-websocket.ts';
import { ServerWebSocket } from '../websocket/server-websocket.ts';
import { FRAGMENT_BYTES, REASON_BYTES_MAX } from '../websocket/websocket-limits.ts';
import { readWebSocketOptions } from './websocket-options.ts';

/** To answer the handshake and to make what a WebSocket is made of (60 µs). */
const UNITS_PER_WEBSOCKET = 12_000;
/** To take a message or to send one (2 µs). */
const UNITS_PER_MESSAGE = 400;
/** Text is looked at before it is sent. */
const BYTES_PER_UNIT = 16;
/** Kinds as scripts name them: "binary" is the longest. */
const KIND_BYTES_MAX = 16;

/** A WebSocket as its script holds it. */
interface ScriptSocket extends LuaStream {
  readonly socket: ServerWebSocket;
  /** How long `recv` waits that is told nothing, ms; Infinity: for ever. */
  readonly timeoutMs: number;
}

/** `websocket([options])`: the WebSocket, or nil, message, code; the client has got an answer then. */
export function createWebSocket(script: ScriptContext): HostFunction {
  const { state, scheduler, streams } = script;
  const { exports: x, memory } = state;
  const { guard } = scheduler;
  let methods: Reference | undefined;
  const { next: iterator } = state.addFunctions({ next: nextMessage });

  return (L) => {
    checkArgumentCount(state, L, 'websocket', 0, 1);
    const { timeoutMs, ...options } = readWebSocketOptions(state, L);
    const invocation = currentClient(scheduler);
    const { exchange } = invocation;
    if (exchange.headGiven) throw new LuaError('headers already sent');
    guard.pay(UNITS_PER_WEBSOCKET);
    const socket = openWebSocket(exchange, options, script.share);
    if (socket instanceof GatewayError) return pushFailure(state, L, socket);
    takeOver(invocation, socket);
    if (script.runs.streamsEnd) socket.leave();
    pushMethods(L);
    const stream: ScriptSocket = {
      name: 'WebSocket',
      socket,
      timeoutMs,
      source: undefined,
      sink: undefined,
      outlivesClose: true,
      close: () => socket.close(CLOSE_CODE.normal),
      property: (T) => pushProperty(T, socket),
      read: (T) => receive(T, stream, timeoutMs, pushMessage),
      write: (T) => {
        requireText(T);
        return send(T, socket, false);
      },
    };
    streams.push(L, stream);
    return 1;
  };

  /** The run, and what ends it, end the WebSocket. */
  function takeOver(invocation: Invocation, socket: ServerWebSocket): void {
    invocation.takeover = {
      name: 'WebSocket',
      get isOpen() {
        return socket.isOpen;
      },
      finish: () => socket.close(CLOSE_CODE.normal),
      break: (status) => socket.close(status === 503 ? CLOSE_CODE.goingAway : CLOSE_CODE.internalError),
    };
    invocation.endStream = () => socket.leave();
    socket.onClosed = () => invocation.takeoverClosed();
  }

  /** The methods of all WebSockets of the state, in one table. */
  function pushMethods(L: LuaThread): void {
    if (methods === undefined) {
      const functions = state.addFunctions({ recv, send: sendMethod, messages, close: closeMethod });
      x.lua_createtable(L, 0, 4);
      state.setFunctions(L, -1, functions);
      methods = state.keep(L);
    }
    state.pushReference(L, methods);
  }

  function pushProperty(L: LuaThread, socket: ServerWebSocket): number {
    switch (x.lua_type(L, 2) === LUA_TYPE.string ? state.toString(L, 2, KIND_BYTES_MAX) : undefined) {
      case 'protocol':
        if (socket.protocol === undefined) return 0;
        state.pushString(L, socket.protocol);
        return 1;
      case 'code':
        if (socket.code === undefined) return 0;
        state.pushInteger(L, socket.code);
        return 1;
      case 'reason':
        if (socket.code === undefined) return 0;
        state.pushBytes(L, socket.reason);
        return 1;
      default:
        return 0;
    }
  }

  function check(L: LuaThread): ScriptSocket {
    const stream = streams.find(L, 1);
    if (stream === undefined || !isScriptSocket(stream))
      return state.argumentError(L, 1, 'WebSocket expected');
    return stream;
  }

  // ---- what comes ----

  function recv(L: LuaThread): number {
    checkArgumentCount(state, L, 'recv', 1, 2);
    const stream = check(L);
    const timeoutMs = x.lua_type(L, 2) <= LUA_TYPE.nil ? stream.timeoutMs : checkSeconds(state, L, 2);
    return receive(L, stream, timeoutMs, pushMessageAndKind);
  }

  function messages(L: LuaThread): number {
    checkArgumentCount(state, L, 'messages', 1);
    check(L);
    x.lua_pushcclosure(L, iterator, 0);
    x.lua_pushvalue(L, 1);
    return 2;
  }

  /** The iterator: what ends the loop shows in `code` and `reason`. */
  function nextMessage(L: LuaThread): number {
    const stream = check(L);
    return receive(L, stream, stream.timeoutMs, pushMessageAndKind);
  }

  function receive(
    L: LuaThread,
    { socket }: ScriptSocket,
    timeoutMs: number,
    deliver: (L: LuaThread, message: Message) => number,
  ): number {
    if (socket.isAwaited) throw new LuaError('another task waits for the next message');
    guard.pay(UNITS_PER_MESSAGE);
    const message = socket.take();
    if (message !== undefined) return deliver(L, message);
    if (!socket.isOpen) return pushFailure(state, L, socket.error ?? endedError());
    if (timeoutMs === 0) return pushFailure(state, L, timeoutError(timeoutMs));
    if (!scheduler.canWait(L))
      throw new LuaError('cannot wait for a message here: a yield cannot cross this call');
    const { wake } = scheduler.running;
    socket.whenMessage(wake);
    const timer = timeoutMs === Number.POSITIVE_INFINITY ? undefined : setTimeout(wake, timeoutMs);
    const stop = (): void => {
      clearTimeout(timer);
      socket.cancelMessage();
    };
    return scheduler.running.wait(
      L,
      (T) => {
        stop();
        const come = socket.take();
        if (come !== undefined) return deliver(T, come);
        if (!socket.isOpen) return pushFailure(state, T, socket.error ?? endedError());
        return pushFailure(state, T, timeoutError(timeoutMs));
      },
      stop,
    );
  }

  function pushMessageAndKind(L: LuaThread, message: Message): number {
    pushMessage(L, message);
    state.pushInterned(L, message.isBinary ? 'binary' : 'text');
    return 2;
  }

  /** Each message has the whole budget of processor time. */
  function pushMessage(L: LuaThread, { data }: Message): number {
    const run = currentRun(scheduler);
    if (run !== undefined) {
      run.renewBudget();
      guard.renew(run.cpuLimitMs);
    }
    noteMoved(scheduler, data.length);
    state.pushBytes(L, data);
    return 1;
  }

  // ---- what goes ----

  function sendMethod(L: LuaThread): number {
    checkArgumentCount(state, L, 'send', 2, 3);
    const { socket } = check(L);
    const type = x.lua_type(L, 2);
    if (type !== LUA_TYPE.string && type !== LUA_TYPE.number)
      x.luaL_typeerror(L, 2, memory.constant('string'));
    const kind = state.optionalString(L, 3, KIND_BYTES_MAX) ?? 'text';
    if (kind !== 'text' && kind !== 'binary') state.argumentError(L, 3, '"text" or "binary" expected');
    if (kind === 'text') requireText(L);
    else guard.pay(UNITS_PER_MESSAGE);
    return send(L, socket, kind === 'binary');
  }

  /** Clients end a WebSocket whose text is not UTF-8 (RFC 6455 §8.1). */
  function requireText(L: LuaThread): void {
    const at = x.lua_tolstring(L, 2, memory.sizeOut);
    const size = memory.lastSize;
    guard.pay(UNITS_PER_MESSAGE + size / BYTES_PER_UNIT);
    if (!isUtf8(memory.view(at, size)))
      state.argumentError(L, 2, 'text of a message has to be UTF-8; send it as "binary"');
  }

  function send(L: LuaThread, socket: ServerWebSocket, isBinary: boolean): number {
    if (socket.isLeaving && !socket.output.isClaimed) socket.close(CLOSE_CODE.goingAway);
    if (!socket.isOpen) return pushFailure(state, L, socket.error ?? endedError());
    const { output } = socket;
    const coroutine = scheduler.current;
    const canWait = coroutine !== undefined && scheduler.canWait(L);
    if ((output.isClaimed || output.isFull) && !canWait)
      throw new LuaError('cannot wait for the client here: a yield cannot cross this call');
    if (output.claim(coroutine?.wake ?? nobody)) return sendParts(L, socket, isBinary, 0);
    const { wake } = scheduler.running;
    return scheduler.running.wait(
      L,
      (T) => send(T, socket, isBinary),
      () => output.cancelClaim(wake),
    );
  }

  /** Sends the string at index 2 from byte `from` on, while the client takes it. */
  function sendParts(L: LuaThread, socket: ServerWebSocket, isBinary: boolean, from: number): number {
    const { output } = socket;
    const at = x.lua_tolstring(L, 2, memory.sizeOut);
    const size = memory.lastSize;
    const canWait = scheduler.canWait(L);
    let sent = from;
    do {
      if (!socket.isOpen) {
        output.release();
        return pushFailure(state, L, socket.error ?? endedError());
      }
      if (output.isFull && canWait) return sendLater(L, socket, isBinary, sent);
      const part = Math.min(FRAGMENT_BYTES, size - sent);
      output.send(memory.view((at + sent) as CString, part), isBinary, sent + part === size);
      sent += part;
    } while (sent < size);
    output.release();
    noteMoved(scheduler, size);
    state.exports.lua_pushboolean(L, 1);
    return 1;
  }

  function sendLater(L: LuaThread, socket: ServerWebSocket, isBinary: boolean, sent: number): number {
    const { output } = socket;
    const { wake } = scheduler.running;
    output.whenDrained(wake);
    return scheduler.running.wait(
      L,
      (T) => sendParts(T, socket, isBinary, sent),
      () => {
        output.cancelDrained(wake);
        // what was begun cannot be ended any more, and nothing else may come behind it
        if (sent > 0) socket.close(CLOSE_CODE.internalError);
        output.release();
      },
    );
  }

  // ---- the end ----

  function closeMethod(L: LuaThread): number {
    checkArgumentCount(state, L, 'close', 1, 3);
    const { socket } = check(L);
    const code = x.lua_type(L, 2) <= LUA_TYPE.nil ? CLOSE_CODE.normal : state.checkInteger(L, 2);
    if (!isSendable(code)) state.argumentError(L, 2, 'code from 1000 to 4999 expected that may be sent');
    const reason = Buffer.from(state.optionalString(L, 3, REASON_BYTES_MAX) ?? '', 'latin1');
    if (!isUtf8(reason)) state.argumentError(L, 3, 'reason has to be UTF-8');
    socket.close(code, reason);
    x.lua_pushboolean(L, 1);
    return 1;
  }
}

function isScriptSocket(stream: LuaStream): stream is ScriptSocket {
  return 'socket' in stream && stream.socket instanceof ServerWebSocket;
}

function nobody(): void {}

function endedError(): GatewayError {
  return new GatewayError('LGW_WEBSOCKET_CLOSED', 'WebSocket is closed', { luaCode: 'closed' });
}

function timeoutError(timeoutMs: number): GatewayError {
  return new GatewayError('LGW_WEBSOCKET_TIMEOUT', `No message has come in ${timeoutMs / 1000} s`, {
    luaCode: 'timeout',
  });
}
