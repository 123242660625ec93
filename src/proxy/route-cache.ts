/** Routes by what they were made of: scripts and handlers give the same targets and options again and again, and what a route keeps is kept with it. */
import type { ProxyRoute } from './proxy-run.ts';

/** Routes of one mapping; where there are more they are all forgotten. */
export const ROUTES_KEPT_MAX = 64;

export class RouteCache {
  readonly #routes = new Map<string, ProxyRoute>();

  /** `plan`: plain data, all that the route is made of; undefined = it is made for this request only. */
  routeOf(plan: unknown, make: () => ProxyRoute): ProxyRoute {
    return plan === undefined ? make() : this.byKey(JSON.stringify(plan), make);
  }

  byKey(key: string, make: () => ProxyRoute): ProxyRoute {
    const known = this.#routes.get(key);
    if (known !== undefined) {
      known.balancer.renew();
      return known;
    }
    const route = make();
    if (this.#routes.size === ROUTES_KEPT_MAX) this.#routes.clear();
    this.#routes.set(key, route);
    return route;
  }
}
