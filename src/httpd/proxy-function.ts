/** httpd.proxy: passes the request on to another server, and its answer to the client, without either passing through Lua. */
import { GatewayError } from '../base/errors.ts';
import type { Exchange } from '../http/exchange/exchange.ts';
import type { HostFunction } from '../lua/host-functions.ts';
import { LuaError } from '../lua/lua-error.ts';
import { LUA_TYPE, type LuaThread } from '../lua/lua-exports.ts';
import { pushFailure } from '../lua/push-failure.ts';
import { type CallCache, DEFAULT_PROXY_RULES } from '../mapping/proxy-settings.ts';
import { isOfRequest } from '../proxy/balancers.ts';
import { CachedCall, callPart } from '../proxy/cached-call.ts';
import { makeRoute } from '../proxy/make-route.ts';
import type { ProxyDone, ProxyResult, ProxyRoute } from '../proxy/proxy-run.ts';
import { proxySettings } from '../proxy/proxy-settings.ts';
import { RouteCache } from '../proxy/route-cache.ts';
import { DEFAULT_BALANCE } from '../proxy/server-group.ts';
import { currentInvocation, type Invocation } from '../script/context/invocation.ts';
import type { ScriptContext } from '../script/context/script-context.ts';
import { waitForBytes } from '../script/objects/byte-wait.ts';
import { checkArgumentCount } from '../script/run/argument-count.ts';
import { balanceRules, newBalanceDraft } from './balance-options.ts';
import { pushEnded } from './copy.ts';
import { readProxyRules, readTargets } from './proxy-options.ts';

/** To begin a call and wait for its end (40 µs). */
const UNITS_PER_CALL = 8000;

/** Where a call goes, and whether its answer may be kept. */
interface CallRoute {
  readonly route: ProxyRoute;
  readonly cached?: { readonly cache: CallCache; readonly part: string } | undefined;
}

/** A call that goes on. */
interface RunningCall {
  /** Bytes that have gone either way. */
  readonly moved: number;
  cancel(): void;
}

/** `httpd.proxy(target or {targets} [, options])`: status and bytes of the body, or nil, message, code. */
export function createProxy(script: ScriptContext): HostFunction {
  const { state, scheduler, proxies } = script;
  const { exports: x } = state;
  const routes = new RouteCache();
  const plainSettings = proxySettings(DEFAULT_PROXY_RULES);
  const servers = proxies.groupOf(script.mappingName, script.logger);

  return (L) => {
    checkArgumentCount(state, L, 'proxy', 1, 2);
    const invocation = currentInvocation(scheduler);
    const { exchange, route } = invocation;
    try {
      const callRoute = routeOf(L, invocation, route.prefix);
      if (exchange.finished && exchange.error === undefined) return pushEnded(script, L);
      if (exchange.headGiven) throw new LuaError('the response has begun');
      if (exchange.identity.hasBody && exchange.body.queue.taken > 0)
        throw new LuaError('a part of the body has been read, and only a whole body is passed on');
      if (!scheduler.canWait(L))
        throw new LuaError('cannot wait for the network here: a yield cannot cross this call');
      scheduler.guard.pay(UNITS_PER_CALL);
      invocation.sendLinks();
      return pass(L, exchange, callRoute);
    } catch (error) {
      if (error instanceof GatewayError) return pushFailure(state, L, error);
      throw error;
    }
  };

  function pass(L: LuaThread, exchange: Exchange, route: CallRoute): number {
    const coroutine = scheduler.running;
    let result: ProxyResult | GatewayError | undefined;
    let waits = false;
    const run = begin(exchange, route, (given) => {
      result = given;
      if (waits) coroutine.wake();
    });
    if (result !== undefined) return finish(L, result);
    waits = true;
    return waitForBytes(
      scheduler,
      L,
      () => run.moved,
      (T) => finish(T, result as ProxyResult | GatewayError),
      () => run.cancel(),
    );
  }

  function begin(exchange: Exchange, { route, cached }: CallRoute, done: ProxyDone): RunningCall {
    if (cached === undefined) return proxies.pass(exchange, route, done);
    const { method, target } = exchange;
    const unheard = ({ message }: GatewayError): void =>
      script.logger.warn(message, { mapping: script.mappingName, method, target });
    const call = new CachedCall(
      exchange,
      { front: script.cached.calls, proxies, route, ...cached, unheard },
      done,
    );
    call.start();
    return call;
  }

  function routeOf(L: LuaThread, invocation: Invocation, prefix: string): CallRoute {
    const isPlain = x.lua_type(L, 1) === LUA_TYPE.string && x.lua_type(L, 2) <= LUA_TYPE.nil;
    if (isPlain) {
      const text = state.checkString(L, 1);
      const route = routes.byKey(text, () =>
        makeRoute(proxies, servers, [{ url: text, weight: 1 }], plainSettings, prefix, DEFAULT_BALANCE),
      );
      return { route };
    }
    const targets = readTargets(script, L);
    const balance = newBalanceDraft(script, invocation);
    const { rules, path, cache } = readProxyRules(script, L, balance);
    const balancing = balanceRules(script, balance, invocation);
    const isOwn = path !== undefined || isOfRequest(balancing.balancing);
    const route = routes.routeOf(isOwn ? undefined : [targets, rules, balancing], () =>
      makeRoute(proxies, servers, targets, proxySettings(rules, path), prefix, balancing),
    );
    const cached = cache && { cache, part: callPart({ targets, rules, path }, cache) };
    return { route, cached };
  }

  function finish(L: LuaThread, result: ProxyResult | GatewayError): number {
    if (result instanceof GatewayError) return pushFailure(state, L, result);
    state.pushInteger(L, result.status);
    state.pushInteger(L, result.bytes);
    return 2;
  }
}
