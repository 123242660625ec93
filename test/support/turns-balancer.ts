/** Chooses the upstreams of a proxy in turns, so that a test knows who is next. */
import type { Exchange } from '../../src/http/exchange/exchange.ts';
import type { Balancer, Upstream } from '../../src/proxy/upstream.ts';

export class TurnsBalancer implements Balancer {
  readonly #upstreams: readonly Upstream[];
  #next = 0;

  constructor(upstreams: readonly Upstream[]) {
    this.#upstreams = upstreams;
  }

  choose(_exchange: Exchange, tried: readonly Upstream[]): Upstream | undefined {
    const count = this.#upstreams.length;
    for (let i = 0; i < count; i++) {
      const upstream = this.#upstreams[(this.#next + i) % count] as Upstream;
      if (tried.includes(upstream)) continue;
      this.#next = (this.#next + i + 1) % count;
      return upstream;
    }
    return undefined;
  }

  began(): void {}

  ended(): void {}
}
