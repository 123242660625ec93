/** Requests that the handlers of one mapping pass on, which are written in TypeScript: their routes, and what becomes of failures. */
import { type GatewayError, messageOf } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import type { AnswerFront } from '../http/exchange/answer-source.ts';
import type { Exchange } from '../http/exchange/exchange.ts';
import {
  type HandlerProxyOptions,
  type ProxyTargets,
  readHandlerPlan,
  type ServerChoice,
} from '../mapping/proxy-options.ts';
import { type Choice, isOfRequest } from './balancers.ts';
import { CachedCall, callPart } from './cached-call.ts';
import { makeRoute } from './make-route.ts';
import type { Proxies } from './proxies.ts';
import type { ProxyDone, ProxyRoute } from './proxy-run.ts';
import { proxySettings } from './proxy-settings.ts';
import { RouteCache } from './route-cache.ts';
import type { ServerGroup } from './server-group.ts';

interface HandlerProxiesOptions {
  /** What log lines call the mapping. */
  readonly mapping: string;
  readonly prefix: string;
  readonly proxies: Proxies;
  readonly logger: Logger;
  /** For answers of servers. */
  readonly cache: {
    /** `space` names the mapping, on all machines. */
    front(space: string): AnswerFront;
  };
}

/** A request that is being passed on. */
interface RunningCall {
  /** Bytes that have gone either way. */
  readonly moved: number;
  cancel(): void;
}

/** What a call is made of, read. */
type HandlerPlan = ReturnType<typeof readHandlerPlan>;

export class HandlerProxies {
  readonly #options: HandlerProxiesOptions;
  readonly #servers: ServerGroup;
  readonly #routes = new RouteCache();
  /** Made for the first call whose answer may be kept. */
  #front: AnswerFront | undefined;
  #isClosed = false;

  constructor(options: HandlerProxiesOptions) {
    this.#options = options;
    this.#servers = options.proxies.groupOf(options.mapping, options.logger);
  }

  /** Throws a GatewayError for a target or an option that is none. `done` may be called before this returns. */
  pass(
    exchange: Exchange,
    targets: ProxyTargets,
    options: HandlerProxyOptions,
    done: ProxyDone,
  ): RunningCall {
    const { proxies } = this.#options;
    const plan = readHandlerPlan(targets, options);
    const route = this.#routeOf(plan);
    const cache = plan.call;
    if (cache === undefined) return proxies.pass(exchange, route, done);
    const { targets: all, path, ...rules } = plan;
    const part = callPart({ targets: all, rules, path }, cache);
    const unheard = (error: GatewayError): void => this.failed(error, exchange);
    const call = new CachedCall(
      exchange,
      { front: this.#openFront(), proxies, route, part, cache, unheard },
      done,
    );
    call.start();
    return call;
  }

  /** The mapping ends soon. */
  retire(): void {
    this.#front?.retire();
  }

  close(): void {
    this.#isClosed = true;
    this.#front?.close();
  }

  #openFront(): AnswerFront {
    if (this.#front === undefined) {
      const { cache, mapping } = this.#options;
      this.#front = cache.front(`${mapping}\0proxy`);
      if (this.#isClosed) this.#front.close();
    }
    return this.#front;
  }

  failed(error: GatewayError, { method, target, answeredBy }: Exchange): void {
    const { logger, mapping } = this.#options;
    logger.warn(error.message, { mapping, request: answeredBy?.requestId, method, target });
  }

  #routeOf(plan: HandlerPlan): ProxyRoute {
    const { proxies, prefix } = this.#options;
    const { targets, balance, health, choose, path, ...rules } = plan;
    const isOwn = choose !== undefined || path !== undefined || isOfRequest(balance);
    return this.#routes.routeOf(isOwn ? undefined : plan, () => {
      const balancing =
        choose === undefined ? balance : ({ kind: 'choice', choose: this.#choiceOf(choose) } as const);
      const settings = proxySettings(rules, path);
      return makeRoute(proxies, this.#servers, targets, settings, prefix, { balancing, health });
    });
  }

  #choiceOf(choose: ServerChoice): Choice {
    return (_exchange, open) => {
      let why: string;
      try {
        const index = choose(open.map(({ upstream }) => upstream.target.name));
        const chosen = open[index];
        if (chosen !== undefined) return chosen;
        why = `it gave no index from 0 to ${open.length - 1}`;
      } catch (error) {
        why = messageOf(error);
      }
      const { logger, mapping } = this.#options;
      logger.error(`Function of option balance failed: ${why}`, { mapping });
      return undefined;
    };
  }
}
