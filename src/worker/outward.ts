/** What goes out from scripts with certain rights, to where these rights allow: fetches, and requests that are passed on. */
import { assert } from '../base/assert.ts';
import { connectEntries, parseConnectRules } from '../base/connect-rules.ts';
import type { ScriptRights } from '../mapping/script-rights.ts';
import type { Counters } from '../metrics/worker-metrics.ts';
import { ConnectPolicy } from '../outbound/connect-policy.ts';
import { Fetcher } from '../outbound/fetcher.ts';
import { Proxies } from '../proxy/proxies.ts';
import type { HealthTable } from '../proxy/upstreams/health-table.ts';

export class Outward {
  readonly fetcher: Fetcher;
  readonly proxies: Proxies;

  /** `rooted`: scripts see the files of a folder only. */
  constructor(
    counters: Counters,
    workerId: number,
    entries: readonly string[],
    rooted: boolean,
    health: HealthTable,
  ) {
    const rules = parseConnectRules(entries);
    assert(rules !== undefined, 'the configuration has been checked');
    const policy = new ConnectPolicy(rules, { rooted });
    this.fetcher = new Fetcher(counters, policy);
    this.proxies = new Proxies(counters, workerId, policy, health);
  }

  /** Closes all connections but those of requests that are passed on, which end with these. */
  stop(): void {
    this.fetcher.stop();
    this.proxies.stop();
  }
}

/** What goes out from the scripts of one generation: one Outward for all that may connect to the same places. */
export interface OutwardSet {
  /** `rooted`: as for Outward. */
  of(rights: ScriptRights, rooted: boolean): Outward;
  /** The scripts have ended. What no other generation uses is stopped; called once. */
  release(): void;
}

interface Entry {
  readonly outward: Outward;
  /** Generations that use it. */
  users: number;
}

/** Those of one worker: connections that another policy has allowed are never used again, and those of the same policy outlive a reload. */
export class OutwardTable {
  readonly #counters: Counters;
  readonly #workerId: number;
  readonly #health: HealthTable;
  readonly #entries = new Map<string, Entry>();

  constructor(counters: Counters, workerId: number, health: HealthTable) {
    [this.#counters, this.#workerId, this.#health] = [counters, workerId, health];
  }

  begin(): OutwardSet {
    const used = new Map<string, Outward>();
    return {
      of: ({ connect, sandboxed }, rooted) => {
        const entries = connectEntries(connect, sandboxed);
        const key = JSON.stringify([entries, rooted]);
        const outward = used.get(key) ?? this.#take(key, entries, rooted);
        used.set(key, outward);
        return outward;
      },
      release: () => {
        for (const key of used.keys()) this.#give(key);
        used.clear();
      },
    };
  }

  /** Closes the connections of all. */
  stop(): void {
    for (const { outward } of this.#entries.values()) outward.stop();
  }

  #take(key: string, entries: readonly string[], rooted: boolean): Outward {
    let entry = this.#entries.get(key);
    if (entry === undefined) {
      const outward = new Outward(this.#counters, this.#workerId, entries, rooted, this.#health);
      entry = { outward, users: 0 };
      this.#entries.set(key, entry);
    }
    entry.users += 1;
    return entry.outward;
  }

  #give(key: string): void {
    const entry = this.#entries.get(key);
    if (entry === undefined) return;
    entry.users -= 1;
    if (entry.users > 0) return;
    this.#entries.delete(key);
    entry.outward.stop();
  }
}
