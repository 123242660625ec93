/** A path prefix and the servers behind it: every request below it is passed on. */
import { GatewayError } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import type { Exchange } from '../http/exchange/exchange.ts';
import type { Handler, Mapping } from '../http/exchange/handler.ts';
import { mappingName, type OfPlace } from '../mapping/mapping-name.ts';
import type { ProxyMappingSettings } from '../mapping/proxy-settings.ts';
import { parseTarget } from '../mapping/proxy-target.ts';
import type { Proxies } from './proxies.ts';
import type { ProxyRoute } from './proxy-run.ts';
import { proxySettings } from './proxy-settings.ts';
import { DEFAULT_BALANCE } from './server-group.ts';

interface ProxyMappingOptions {
  /** Where it stands, in bytes. */
  readonly place: OfPlace;
  readonly settings: ProxyMappingSettings;
  readonly proxies: Proxies;
  readonly logger: Logger;
}

export class ProxyMapping implements Mapping, Handler {
  readonly host: string | undefined;
  readonly prefix: string;
  readonly answersAll = true;
  readonly #options: ProxyMappingOptions;
  readonly #name: string;
  readonly #route: ProxyRoute;

  /** Throws a GatewayError for a target that is none. */
  constructor(options: ProxyMappingOptions) {
    const { place, settings, proxies } = options;
    this.host = place.host;
    this.prefix = place.prefix;
    this.#options = options;
    this.#name = mappingName(settings.place);
    const upstreams = settings.targets.map((text) => proxies.upstreamOf(parseTarget(text), settings.tls));
    this.#route = {
      settings: proxySettings(settings),
      balancer: proxies.groupOf(this.#name, options.logger).balancer(upstreams, DEFAULT_BALANCE),
      prefix: place.prefix,
    };
  }

  find(_name: string): Handler {
    return this;
  }

  handle(exchange: Exchange): void {
    let hasEnded = false;
    const run = this.#options.proxies.pass(exchange, this.#route, (result) => {
      hasEnded = true;
      exchange.onAbort = undefined;
      if (result instanceof GatewayError) this.#fail(exchange, result);
    });
    if (!hasEnded) exchange.onAbort = () => run.cancel();
  }

  serve(): void {}

  /** Requests under way are those of exchanges, which end by themselves; idle connections end by their time. */
  async retire(): Promise<void> {}

  close(): void {}

  /** The log line and the page of the error have the same id. */
  #fail(exchange: Exchange, error: GatewayError): void {
    const { method, target, answeredBy } = exchange;
    const request = answeredBy?.requestId;
    this.#options.logger.warn(error.message, { mapping: this.#name, request, method, target });
    if (!exchange.headGiven) exchange.reset(error.status);
  }
}
