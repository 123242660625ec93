/** The servers that the proxies of one mapping choose among, in one worker: their health, their checks, and the balancers over them. */
import type { Logger } from '../base/logger.ts';
import { DEFAULT_BALANCE_SETTINGS, type HealthSettings } from '../mapping/proxy-settings.ts';
import { type Balancing, HealthyBalancer } from './balancers.ts';
import { Candidates } from './candidates.ts';
import { HealthChecks } from './health-checks.ts';
import type { Balancer, Upstream } from './upstream.ts';
import type { HealthTable } from './upstreams/health-table.ts';
import type { UpstreamView } from './upstreams/upstream-view.ts';

/** How a proxy chooses among its servers. */
export interface BalanceRules {
  readonly balancing: Balancing;
  /** How they are checked; undefined: only the requests themselves show how they are. */
  readonly health: HealthSettings | undefined;
}

export const DEFAULT_BALANCE: BalanceRules = {
  balancing: DEFAULT_BALANCE_SETTINGS,
  health: undefined,
};

export class ServerGroup {
  readonly #mapping: string;
  readonly #table: HealthTable;
  readonly #candidates: Candidates;
  readonly #checks: HealthChecks;

  constructor(mapping: string, table: HealthTable, logger: Logger) {
    this.#mapping = mapping;
    this.#table = table;
    this.#candidates = new Candidates(mapping, table, logger);
    this.#checks = new HealthChecks(this.#candidates);
  }

  /** Cheap: a script may ask for one in each request. `weights`: of the upstreams; undefined = all alike. */
  balancer(
    upstreams: readonly Upstream[],
    { balancing, health }: BalanceRules,
    weights?: readonly number[],
  ): Balancer {
    const balancer = new HealthyBalancer(upstreams, this.#candidates, balancing, weights, {
      checks: this.#checks,
      health,
    });
    balancer.renew();
    return balancer;
  }

  /** What is known of the servers, with the requests of this worker that wait. */
  view(): readonly UpstreamView[] {
    return this.#table.view(this.#mapping);
  }

  /** Ends all checks. */
  stop(): void {
    this.#checks.stop();
  }
}
