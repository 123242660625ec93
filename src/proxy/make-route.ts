/** Joins targets, settings and rules to what requests of a proxy have in common. */
import type { WeightedTarget } from '../mapping/proxy-settings.ts';
import { parseTarget } from '../mapping/proxy-target.ts';
import type { Proxies } from './proxies.ts';
import type { ProxyRoute } from './proxy-run.ts';
import type { ProxySettings } from './proxy-settings.ts';
import type { BalanceRules, ServerGroup } from './server-group.ts';

/** Throws a GatewayError for a target that is none, or where requests may not go. */
export function makeRoute(
  proxies: Proxies,
  servers: ServerGroup,
  targets: readonly WeightedTarget[],
  settings: ProxySettings,
  prefix: string,
  rules: BalanceRules,
): ProxyRoute {
  const upstreams = targets.map(({ url }) => proxies.upstreamOf(parseTarget(url), settings.tls));
  const isEven = targets.every(({ weight }) => weight === targets[0]?.weight);
  const weights = isEven ? undefined : targets.map(({ weight }) => weight);
  return { settings, balancer: servers.balancer(upstreams, rules, weights), prefix };
}
