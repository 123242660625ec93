/** Leads an exchange to its handler: target to path, path to route, and the gateway's own answer where none exists. */
import { messageOf } from '../../base/errors.ts';
import type { Logger } from '../../base/logger.ts';
import { respondWithError } from '../exchange/error-response.ts';
import type { Exchange } from '../exchange/exchange.ts';
import type { Fields } from '../semantics/fields.ts';
import { ALLOWED_METHODS } from '../semantics/methods.ts';
import { splitTarget } from '../semantics/path.ts';
import type { Router } from './router.ts';

export class Dispatcher {
  readonly router: Router;
  readonly #logger: Logger;

  constructor(router: Router, logger: Logger) {
    this.router = router;
    this.#logger = logger;
  }

  /** Hands the exchange to its handler, or answers it: 204 `OPTIONS *`, 400 bad path, 404 nothing there, 501 CONNECT. */
  dispatch(exchange: Exchange): void {
    if (exchange.method === 'CONNECT') {
      respondWithError(exchange, 501);
      return;
    }
    const split = splitTarget(exchange.target);
    if (split === undefined || split.path === '*') {
      if (exchange.target === '*' && exchange.method === 'OPTIONS') respondToServerOptions(exchange);
      else respondWithError(exchange, 400);
      return;
    }
    const route = this.router.match(split.path, split.query, exchange.method);
    if (route === undefined) {
      respondWithError(exchange, 404);
      return;
    }
    try {
      route.handler.handle(exchange, route);
    } catch (error) {
      this.#logger.error('Handler failed', { handler: route.handlerName, error: messageOf(error) });
      exchange.reset(500);
    }
  }

  /** True when a target has a handler: only such targets are worth a push promise. */
  resolves(target: string): boolean {
    const split = splitTarget(target);
    return split !== undefined && this.router.match(split.path, split.query, 'GET') !== undefined;
  }
}

/** `OPTIONS *` asks about the server, not about anything it has (RFC 9110 §9.3.7). */
function respondToServerOptions(exchange: Exchange): void {
  exchange.head(204, SERVER_OPTIONS);
  exchange.end();
}

const SERVER_OPTIONS: Fields = Object.freeze(['allow', ALLOWED_METHODS]);
