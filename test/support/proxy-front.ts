/** A front end whose every request goes to the upstreams of a test, as a mapping passes it on. */
import { GatewayError } from '../../src/base/errors.ts';
import { createLogger } from '../../src/base/logger.ts';
import { DEFAULT_PROXY_RULES, type ProxyRules } from '../../src/mapping/proxy-settings.ts';
import { parseTarget } from '../../src/mapping/proxy-target.ts';
import type { Counters } from '../../src/metrics/worker-metrics.ts';
import { Proxies } from '../../src/proxy/proxies.ts';
import { proxySettings } from '../../src/proxy/proxy-settings.ts';
import type { BalanceRules } from '../../src/proxy/server-group.ts';
import type { HealthTable } from '../../src/proxy/upstreams/health-table.ts';
import { startFrontEnd, type TestFrontEnd, waitFor } from './test-front-end.ts';

export interface ProxyFront extends TestFrontEnd {
  /** Where the requests that come from now on go; of several targets that are up to the first one that has not been tried. */
  passTo(
    targets: readonly string[],
    rules?: Partial<ProxyRules>,
    prefix?: string,
    balance?: BalanceRules,
  ): void;
  /** What the proxy says of servers. */
  readonly log: readonly string[];
  /** Codes of the failures so far. */
  readonly failures: readonly string[];
  /** Their messages, as a mapping logs them. */
  readonly messages: readonly string[];
  /** Waits until nothing is passed on any more. */
  whenPassed(): Promise<void>;
}

interface ProxyFrontOptions {
  /** What it finds out of servers; two fronts over one memory are as two workers. */
  readonly health?: HealthTable;
  readonly cleartext?: boolean;
  readonly limits?: Parameters<typeof startFrontEnd>[1] extends infer Options | undefined
    ? Options extends { readonly limits?: infer Limits }
      ? Limits
      : never
    : never;
}

export const IN_ORDER: BalanceRules = {
  balancing: { kind: 'choice', choose: (_exchange, open) => open[0] },
  health: undefined,
};

export async function startProxyFront(options: ProxyFrontOptions = {}): Promise<ProxyFront> {
  const failures: string[] = [];
  const messages: string[] = [];
  const log: string[] = [];
  const logger = createLogger('info', 'test', (line) => log.push(line));
  let places = 0;
  let proxies: Proxies | undefined;
  let route: Parameters<Proxies['pass']>[1] | undefined;
  const front = await startFrontEnd(
    {},
    {
      ...options,
      // the tests of a file share connections, which are idle between tests, on a busy machine for seconds
      limits: { idleTimeoutMs: 60_000, ...options.limits },
      handle: (exchange) => {
        if (proxies === undefined || route === undefined) throw new Error('No target was given');
        const run = proxies.pass(exchange, route, (result) => {
          exchange.onAbort = undefined;
          if (!(result instanceof GatewayError)) return;
          failures.push(result.code);
          messages.push(result.message);
          if (!exchange.headGiven) exchange.reset(result.status);
        });
        if (!exchange.finished) exchange.onAbort = () => run.cancel();
      },
    },
  );
  const counters: Counters = front.counters;
  proxies = new Proxies(counters, 1, undefined, options.health);
  const made = proxies;
  return {
    ...front,
    failures,
    messages,
    log,
    passTo(targets, rules = {}, prefix = '/', balance = IN_ORDER) {
      const all = proxySettings({ ...DEFAULT_PROXY_RULES, ...rules });
      const upstreams = targets.map((text) => made.upstreamOf(parseTarget(text), all.tls));
      // what has been found out of the servers of one test is nothing to another
      places += 1;
      const group = made.groupOf(`/place${places}`, logger);
      route = { settings: all, balancer: group.balancer(upstreams, balance), prefix };
    },
    whenPassed: () => waitFor(() => counters.get('proxied') === 0, 'all requests to be passed on'),
    async stop() {
      made.stop();
      await front.stop();
    },
  };
}
