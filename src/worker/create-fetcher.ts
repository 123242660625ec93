/** Makes the fetcher for scripts with certain rights, which connects only where these rights allow. */
import { isDeepStrictEqual } from 'node:util';
import { assert } from '../base/assert.ts';
import { connectEntries, parseConnectRules } from '../base/connect-rules.ts';
import type { ScriptRights } from '../mapping/script-rights.ts';
import type { Counters } from '../metrics/worker-metrics.ts';
import { ConnectPolicy } from '../outbound/connect-policy.ts';
import { Fetcher } from '../outbound/fetcher.ts';

export function createFetcher(counters: Counters, rights: ScriptRights): Fetcher {
  const rules = parseConnectRules(entriesOf(rights));
  assert(rules !== undefined, 'the configuration has been checked');
  return new Fetcher(counters, new ConnectPolicy(rules));
}

/** True when scripts with either rights may connect to the same places. */
export function connectsAlike(one: ScriptRights, other: ScriptRights): boolean {
  return isDeepStrictEqual(entriesOf(one), entriesOf(other));
}

function entriesOf({ connect, sandboxed }: ScriptRights): readonly string[] {
  return connectEntries(connect, sandboxed);
}
