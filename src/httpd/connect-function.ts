/** httpd.connect: a connection to another server as a stream, bound to the run that asked for it, and its method `keepalive`. */
import { GatewayError } from '../base/errors.ts';
import type { Scope } from '../base/scope.ts';
import type { HostFunction } from '../lua/host-functions.ts';
import { LuaError } from '../lua/lua-error.ts';
import { LUA_TYPE, type LuaThread } from '../lua/lua-exports.ts';
import { pushFailure } from '../lua/push-failure.ts';
import type { SocketOwner } from '../outbound/connector.ts';
import { IDLE_SOCKET_MS } from '../outbound/outbound-limits.ts';
import type { ScriptSocket } from '../outbound/script-socket.ts';
import { socketFailure } from '../outbound/socket-error.ts';
import { placeOf, type SocketRequest } from '../outbound/socket-request.ts';
import type { ScriptContext } from '../script/context/script-context.ts';
import type { LuaStream } from '../script/objects/lua-streams.ts';
import { checkArgumentCount } from '../script/run/argument-count.ts';
import { currentRun } from '../script/run/lua-run.ts';
import { waitInScope } from '../script/run/scoped-wait.ts';
import { checkSeconds } from '../script/run/seconds.ts';
import { readSocketRequest } from './connect-options.ts';
import { withTlsFiles } from './tls-options.ts';

/** To open a connection, which the system and two timers have to do with (100 µs). */
const UNITS_PER_CONNECTION = 20_000;

/** How many connections each scope has. */
const owners = new WeakMap<Scope, SocketOwner>();

/** `httpd.connect(host, port [, options])`: a stream, or nil, message, code. */
export function createConnect(script: ScriptContext): HostFunction {
  const { state, scheduler, streams } = script;
  const { connector } = script.fetcher;
  const { exports: x, memory } = state;
  const sockets = new WeakMap<LuaStream, ScriptSocket>();
  const { keepalive } = state.addFunctions({ keepalive: (L) => keepAlive(L) });

  return (L) => {
    checkArgumentCount(state, L, 'connect', 1, 3);
    const run = currentRun(scheduler);
    if (run === undefined) throw new LuaError('called outside of a request');
    if (!scheduler.canWait(L))
      throw new LuaError('cannot wait for the network here: a yield cannot cross this call');
    const { scope } = run;
    try {
      const request = readSocketRequest(state, L);
      return withTlsFiles(script, L, run, request.tls, (T, tls) =>
        connect(T, scope, tls === request.tls ? request : { ...request, tls }),
      );
    } catch (error) {
      if (error instanceof GatewayError) return pushFailure(state, L, error);
      throw error;
    }
  };

  function connect(L: LuaThread, scope: Scope, request: SocketRequest): number {
    const coroutine = scheduler.running;
    scheduler.guard.pay(UNITS_PER_CONNECTION);
    let result: ScriptSocket | GatewayError | undefined;
    const connecting = connector.start(request, ownerOf(scope), (answer) => {
      result = answer;
      coroutine.wake();
    });
    return waitInScope(
      scheduler,
      L,
      (T) => {
        if (result === undefined || result instanceof GatewayError)
          return pushFailure(state, T, result ?? ended(request));
        return pushSocket(T, result, scope);
      },
      () => {
        connecting.cancel();
        if (result !== undefined && !(result instanceof GatewayError)) result.close();
      },
    );
  }

  function pushSocket(L: LuaThread, socket: ScriptSocket, scope: Scope): number {
    x.lua_createtable(L, 0, 2);
    x.lua_pushcclosure(L, keepalive, 0);
    x.lua_setfield(L, -2, memory.constant('keepalive'));
    state.pushInteger(L, socket.reused);
    x.lua_setfield(L, -2, memory.constant('reused'));
    const stream: LuaStream = {
      name: 'connection',
      source: socket.source,
      sink: socket.sink,
      close: () => {
        scope.remove(close);
        socket.close();
      },
    };
    sockets.set(stream, socket);
    const close = streams.push(L, stream);
    scope.add(close);
    return 1;
  }

  /** `stream:keepalive([seconds])`: true, or nil, message, code, and then it is closed. */
  function keepAlive(L: LuaThread): number {
    checkArgumentCount(state, L, 'keepalive', 1, 2);
    const stream = streams.find(L, 1);
    const socket = stream === undefined ? undefined : sockets.get(stream);
    if (socket === undefined) return state.argumentError(L, 1, 'a connection of httpd.connect expected');
    const ms = x.lua_type(L, 2) <= LUA_TYPE.nil ? IDLE_SOCKET_MS : checkSeconds(state, L, 2);
    const reason = socket.source.ended ? 'closed' : 'invalid';
    const refusal = connector.keep(socket, script.share, Math.max(1, ms));
    streams.close(L, 1);
    if (refusal === undefined) return 1;
    return pushFailure(state, L, socketFailure(reason, 'keep', placeOf(socket.request), refusal));
  }

  function ownerOf(scope: Scope): SocketOwner {
    let owner = owners.get(scope);
    if (owner === undefined) {
      owner = { share: script.share, sockets: 0 };
      owners.set(scope, owner);
    }
    return owner;
  }
}

function ended(request: SocketRequest): GatewayError {
  return socketFailure('closed', 'connect to', placeOf(request), 'it was ended');
}
