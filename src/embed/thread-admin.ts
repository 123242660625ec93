/** The admin listener of a server without workers: what its one thread counts, in the form that all gateways have. */
import type { Logger } from '../base/logger.ts';
import type { Config } from '../config/config.ts';
import type { ExchangeObserver } from '../http/exchange/exchange-wire.ts';
import type { Mapping } from '../http/exchange/handler.ts';
import type { UpstreamView } from '../proxy/upstreams/upstream-view.ts';
import type { SharedMemory } from '../shared/shared-memory.ts';
import { readSharedUsage } from '../shared/shared-usage.ts';
import { AdminListener } from '../supervisor/admin-listener.ts';
import type { BoundAddress } from '../supervisor/listeners.ts';
import { WorkerMemory } from '../supervisor/worker-memory.ts';
import { chainsOf } from '../supervisor/worker-parts.ts';
import type { TlsSetup } from '../tls/tls-setup.ts';
import { RequestMetrics } from '../worker/request-metrics.ts';

/** The row of the only mapping. */
const MAPPING = { name: '/', row: 0 } as const;

export interface ThreadFacts {
  readonly workerId: number;
  /** It accepts requests. */
  readonly isReady: () => boolean;
  readonly bound: () => readonly BoundAddress[];
  readonly tls: () => TlsSetup | undefined;
  readonly upstreams: () => readonly UpstreamView[];
  readonly shared: SharedMemory;
  readonly reloads: { readonly success: number; readonly failure: number };
}

export class ThreadAdmin {
  readonly memory: WorkerMemory;
  readonly #requests: RequestMetrics | undefined;
  #listener: AdminListener | undefined;

  constructor({ admin }: Pick<Config, 'admin'>, listenerCount: number) {
    this.memory = new WorkerMemory({ capacity: 1, used: 1 }, listenerCount, admin !== undefined);
    const { requests } = this.memory.shared;
    this.#requests = requests && new RequestMetrics(requests);
  }

  /** Count requests; nobody reads what is counted where there is no listener, and then there are none. */
  observers(): ExchangeObserver[] {
    return this.#requests === undefined ? [] : [this.#requests.observe];
  }

  /** Undefined before `open`, and where there is none. */
  get address(): string | undefined {
    return this.#listener?.address;
  }

  /** Resolves when it answers, where the configuration names one. Errors: LGW_LISTEN, LGW_ADMIN_TOKEN. */
  async open(config: Config, mapping: Mapping, facts: ThreadFacts, logger: Logger): Promise<void> {
    const { admin } = config;
    if (admin === undefined) return;
    this.#requests?.add(mapping, MAPPING.row);
    const { memory } = this;
    const { counters } = memory;
    const whyNotReady = (): string | undefined => (facts.isReady() ? undefined : 'the server drains');
    const listener = new AdminListener(
      { ...config, admin },
      {
        whyNotWell: () => undefined,
        whyNotReady,
        trouble: () => undefined,
        counters: () => [counters.snapshot()],
        times: () => [counters.times()],
        mappingCounters: () => [],
        metricSources: () => ({
          workers: [{ workerId: facts.workerId, ready: facts.isReady(), replacements: 0, counters, memory }],
          listeners: facts.bound(),
          mappings: [MAPPING],
          upstreams: facts.upstreams(),
          shared: readSharedUsage(facts.shared),
          fleet: undefined,
          stores: [],
          certificates: chainsOf(facts.tls()),
          reloads: facts.reloads,
          generations: 1,
          lostLines: { log: 0, access: 0 },
        }),
      },
      new Map(),
      logger,
    );
    await listener.open();
    this.#listener = listener;
  }

  close(): void {
    this.#listener?.close();
  }
}
