/** The servers that proxies of one mapping choose among: how many requests wait for each, and how healthy each is. */
import type { Logger } from '../base/logger.ts';
import type { Upstream } from './upstream.ts';
import type { HealthRow } from './upstreams/health-row.ts';
import type { HealthTable } from './upstreams/health-table.ts';
import { hashOf } from './upstreams/rendezvous.ts';

/** One server, as the proxies of one mapping in one worker know it. */
export class Candidate {
  readonly upstream: Upstream;
  readonly health: HealthRow;
  /** Of its name, for balancing by hashes. */
  readonly hash: number;
  /** Requests of this worker that wait for its answer. */
  waiting = 0;

  constructor(upstream: Upstream, health: HealthRow) {
    this.upstream = upstream;
    this.health = health;
    this.hash = hashOf(upstream.target.name);
  }

  /** One request more (1) or less (-1) waits. */
  waits(change: 1 | -1): void {
    this.waiting += change;
    this.health.waits(change);
  }
}

export class Candidates {
  readonly #mapping: string;
  readonly #table: HealthTable;
  readonly #logger: Logger;
  /** A script may ask for the same server in each request. */
  readonly #known = new WeakMap<Upstream, Candidate>();
  /** The one that was asked for last: with one server it is always the same. */
  #last: Candidate | undefined;

  /** What one mapping makes of a server is no other mapping's affair: `mapping` is part of the keys. */
  constructor(mapping: string, table: HealthTable, logger: Logger) {
    this.#mapping = mapping;
    this.#table = table;
    this.#logger = logger;
  }

  of(upstream: Upstream): Candidate {
    if (this.#last?.upstream === upstream) return this.#last;
    let candidate = this.#known.get(upstream);
    if (candidate === undefined) {
      const { name, basePath = '' } = upstream.target;
      candidate = new Candidate(upstream, this.#table.of(this.#mapping, name + basePath));
      this.#known.set(upstream, candidate);
    }
    this.#last = candidate;
    return candidate;
  }

  /** Says in the log that a server is up or down; `why`: what has found it out. */
  changed({ upstream }: Candidate, state: 'up' | 'down', why: string): void {
    const facts = { mapping: this.#mapping, upstream: upstream.target.name, why };
    if (state === 'up') this.#logger.info('Upstream is up', facts);
    else this.#logger.warn('Upstream is down', facts);
  }
}
