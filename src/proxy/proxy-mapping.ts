/** A path prefix and the servers behind it: every request below it is passed on. */
import { readFile } from 'node:fs/promises';
import { GatewayError, messageOf } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import type { Exchange } from '../http/exchange/exchange.ts';
import type { Handler, Mapping } from '../http/exchange/handler.ts';
import { mappingName, type OfPlace } from '../mapping/mapping-name.ts';
import type { ProxyMappingSettings } from '../mapping/proxy-settings.ts';
import { makeRoute } from './make-route.ts';
import type { Proxies } from './proxies.ts';
import type { ProxyRoute } from './proxy-run.ts';
import { proxySettings } from './proxy-settings.ts';

type Front = Handler & {
  /** The mapping ends soon: nothing is looked for elsewhere any more. */
  retire(): void;
  close(): void;
};

interface ProxyMappingOptions {
  /** Where it stands, in bytes. */
  readonly place: OfPlace;
  readonly settings: ProxyMappingSettings;
  readonly proxies: Proxies;
  readonly logger: Logger;
  /** Puts something before it that answers a part of its requests; undefined = it gets all of them. */
  readonly front?: (handler: Handler) => Front;
}

/** What does not begin like this is the name of a file. */
const PEM = /^\s*-----BEGIN /;

/** The settings with certificates in the place of the name of a file. Errors: LGW_CONFIG. */
export async function withCertificates(settings: ProxyMappingSettings): Promise<ProxyMappingSettings> {
  const { tls } = settings;
  if (tls.ca === undefined || PEM.test(tls.ca)) return settings;
  try {
    return { ...settings, tls: { ...tls, ca: await readFile(tls.ca, 'latin1') } };
  } catch (error) {
    const text = `Cannot read the certificates ${JSON.stringify(tls.ca)} for ${mappingName(settings.place)}: ${messageOf(error)}`;
    throw new GatewayError('LGW_CONFIG', text, { cause: error });
  }
}

export class ProxyMapping implements Mapping, Handler {
  readonly host: string | undefined;
  readonly prefix: string;
  readonly answersAll = true;
  readonly #options: ProxyMappingOptions;
  readonly #name: string;
  readonly #route: ProxyRoute;
  readonly #front: Front | undefined;
  /** It serves, and what is known of its servers is kept. */
  #isHeld = false;

  /** Throws a GatewayError for a target that is none. */
  constructor(options: ProxyMappingOptions) {
    const { place, settings, proxies } = options;
    this.host = place.host;
    this.prefix = place.prefix;
    this.#options = options;
    this.#name = mappingName(settings.place);
    this.#route = makeRoute(
      proxies,
      proxies.groupOf(this.#name, options.logger),
      settings.targets,
      proxySettings(settings),
      place.prefix,
      { balancing: settings.balance, health: settings.health },
    );
    this.#front = options.front?.(this);
  }

  find(_name: string): Handler {
    return this.#front ?? this;
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

  serve(): void {
    this.#isHeld = true;
    this.#route.balancer.hold();
  }

  /** Requests under way are those of exchanges, which end by themselves; idle connections end by their time. */
  async retire(): Promise<void> {
    this.close();
  }

  close(): void {
    this.#front?.retire();
    this.#front?.close();
    if (this.#isHeld) this.#route.balancer.release();
    this.#isHeld = false;
  }

  /** The log line and the page of the error have the same id. */
  #fail(exchange: Exchange, error: GatewayError): void {
    const { method, target, answeredBy } = exchange;
    const request = answeredBy?.requestId;
    this.#options.logger.warn(error.message, { mapping: this.#name, request, method, target });
    if (!exchange.headGiven) exchange.reset(error.status);
  }
}
