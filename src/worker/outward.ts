/** What goes out from scripts with certain rights, to where these rights allow: fetches, and requests that are passed on. */
import { isDeepStrictEqual } from 'node:util';
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
    rights: ScriptRights,
    rooted: boolean,
    health: HealthTable,
  ) {
    const rules = parseConnectRules(entriesOf(rights));
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

/** True when scripts with either rights may connect to the same places. */
export function connectsAlike(one: ScriptRights, other: ScriptRights): boolean {
  return isDeepStrictEqual(entriesOf(one), entriesOf(other));
}

function entriesOf({ connect, sandboxed }: ScriptRights): readonly string[] {
  return connectEntries(connect, sandboxed);
}
