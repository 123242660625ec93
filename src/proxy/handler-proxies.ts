/** Requests that the handlers of one mapping pass on, which are written in TypeScript: their routes, and what becomes of failures. */
import { type GatewayError, messageOf } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import type { Exchange } from '../http/exchange/exchange.ts';
import {
  type HandlerProxyOptions,
  type ProxyTargets,
  readHandlerPlan,
  type ServerChoice,
} from '../mapping/proxy-options.ts';
import { type Choice, isOfRequest } from './balancers.ts';
import { makeRoute } from './make-route.ts';
import type { Proxies } from './proxies.ts';
import type { ProxyDone, ProxyRoute, ProxyRun } from './proxy-run.ts';
import { proxySettings } from './proxy-settings.ts';
import { RouteCache } from './route-cache.ts';
import type { ServerGroup } from './server-group.ts';

interface HandlerProxiesOptions {
  /** What log lines call the mapping. */
  readonly mapping: string;
  readonly prefix: string;
  readonly proxies: Proxies;
  readonly logger: Logger;
}

export class HandlerProxies {
  readonly #options: HandlerProxiesOptions;
  readonly #servers: ServerGroup;
  readonly #routes = new RouteCache();

  constructor(options: HandlerProxiesOptions) {
    this.#options = options;
    this.#servers = options.proxies.groupOf(options.mapping, options.logger);
  }

  /** Throws a GatewayError for a target or an option that is none. `done` may be called before this returns. */
  pass(exchange: Exchange, targets: ProxyTargets, options: HandlerProxyOptions, done: ProxyDone): ProxyRun {
    return this.#options.proxies.pass(exchange, this.#routeOf(targets, options), done);
  }

  failed(error: GatewayError, { method, target, answeredBy }: Exchange): void {
    const { logger, mapping } = this.#options;
    logger.warn(error.message, { mapping, request: answeredBy?.requestId, method, target });
  }

  #routeOf(given: ProxyTargets, options: HandlerProxyOptions): ProxyRoute {
    const { proxies, prefix } = this.#options;
    const plan = readHandlerPlan(given, options);
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
