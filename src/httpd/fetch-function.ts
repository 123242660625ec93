/** httpd.fetch: a request that goes out, its response as a stream, both bound to the invocation that asked for it. */

import { GatewayError } from '../base/errors.ts';
import type { Scope } from '../base/scope.ts';
import { type TraceContext, traceFields } from '../base/trace-context.ts';
import type { HostFunction } from '../lua/host-functions.ts';
import { LuaError } from '../lua/lua-error.ts';
import type { LuaThread } from '../lua/lua-exports.ts';
import { pushFailure } from '../lua/push-failure.ts';
import type { Share } from '../mapping/shares.ts';
import type { Fetch, FetchResponse } from '../outbound/fetch.ts';
import { withFetchDepth } from '../outbound/fetch-loop.ts';
import type { FetchRequest } from '../outbound/fetch-request.ts';
import type { FetchOwner } from '../outbound/fetcher.ts';
import type { ScriptContext } from '../script/context/script-context.ts';
import { waitForBytes } from '../script/objects/byte-wait.ts';
import { currentRun } from '../script/run/lua-run.ts';
import { readFetchRequest } from './fetch-options.ts';
import type { PushFields } from './field-tables.ts';
import { withTlsFiles } from './tls-options.ts';

/** How many fetches each scope has under way. */
const owners = new WeakMap<Scope, FetchOwner>();

/** `httpd.fetch(url [, options])`: the response, or nil, message, code. */
export function createFetch(script: ScriptContext, pushFields: PushFields): HostFunction {
  const { state, scheduler, fetcher, streams } = script;
  const { exports: x } = state;

  return (L) => {
    const run = currentRun(scheduler);
    if (run === undefined) throw new LuaError('called outside of a request');
    const { scope } = run;
    if (!scheduler.canWait(L))
      throw new LuaError('cannot wait for the network here: a yield cannot cross this call');
    try {
      const request = withTrace(withFetchDepth(readFetchRequest(script, L), run.fetchDepth ?? 0), run.trace);
      return withTlsFiles(script, L, run, request.tls, (T, tls) =>
        fetch(T, scope, tls === request.tls ? request : { ...request, tls }),
      );
    } catch (error) {
      if (error instanceof GatewayError) return pushFailure(script.state, L, error);
      throw error;
    }
  };

  function fetch(L: LuaThread, scope: Scope, request: FetchRequest): number {
    const coroutine = scheduler.running;
    let result: FetchResponse | GatewayError | undefined;
    let isReleased = false;
    const closing = (): void => running.cancel();
    const running: Fetch = fetcher.start(
      request,
      ownerOf(scope, script.share),
      (answer) => {
        result = answer;
        coroutine.wake();
      },
      () => {
        isReleased = true;
        scope.remove(closing);
      },
    );
    if (!isReleased) scope.add(closing);
    return waitForBytes(
      scheduler,
      L,
      () => running.piecesGiven,
      (T) => {
        if (result === undefined || result instanceof GatewayError)
          return pushFailure(script.state, T, result ?? lost());
        return pushResponse(T, result, running, scope);
      },
      () => running.cancel(),
    );
  }

  function pushResponse(L: LuaThread, response: FetchResponse, fetch: Fetch, scope: Scope): number {
    const { status, url, fields, body } = response;
    x.lua_createtable(L, 0, 3);
    state.pushInteger(L, status);
    x.lua_setfield(L, -2, state.memory.constant('status'));
    state.pushMessage(L, url.href);
    x.lua_setfield(L, -2, state.memory.constant('url'));
    pushFields(L, fields);
    x.lua_setfield(L, -2, state.memory.constant('headers'));
    const forget = (): void => scope.remove(close);
    const close = streams.push(L, {
      name: 'response',
      source: body,
      sink: undefined,
      close: () => {
        forget();
        fetch.cancel();
        body.queue.clear();
      },
    });
    scope.add(close);
    return 1;
  }
}

const TRACE_FIELDS: ReadonlySet<string> = new Set(['traceparent', 'tracestate']);

/** The trace goes on, unless the script says itself which. */
function withTrace(request: FetchRequest, trace: TraceContext | undefined): FetchRequest {
  if (
    trace === undefined ||
    request.fields.some((name, i) => i % 2 === 0 && TRACE_FIELDS.has(name.toLowerCase()))
  )
    return request;
  return { ...request, fields: [...request.fields, ...traceFields(trace)] };
}

function ownerOf(scope: Scope, share: Share): FetchOwner {
  let owner = owners.get(scope);
  if (owner === undefined) {
    owner = { share, fetches: 0 };
    owners.set(scope, owner);
  }
  return owner;
}

function lost(): GatewayError {
  return new GatewayError('LGW_FETCH_CLOSED', 'Cannot fetch: it was ended', { luaCode: 'closed' });
}
