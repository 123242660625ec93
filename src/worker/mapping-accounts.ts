/** What a worker keeps of each mapping from one generation to the next: its share, its log lines, its row of counters. */
import type { Logger } from '../base/logger.ts';
import type { MappingConfig } from '../config/config.ts';
import { kindOf, type MappingKind } from '../mapping/mapping-kinds.ts';
import { mappingName } from '../mapping/mapping-name.ts';
import { MeteredLogger } from '../mapping/metered-logger.ts';
import { scriptSettingsOf } from '../mapping/script-settings.ts';
import { RESOURCES, type Resource, type Share, type Shares } from '../mapping/shares.ts';
import { MAPPING_METRICS } from '../metrics/mapping-metrics.ts';
import { MetricRow } from '../metrics/metric-row.ts';
import type { WorkerSettings, WorkerSetup } from './messages.ts';
import { createShares } from './worker-shares.ts';

/** What mappings of each kind take of what a worker has. */
const USES: Readonly<Record<MappingKind, readonly Resource[]>> = {
  script: RESOURCES,
  // files, fetches and timers are Node's own for them
  module: ['websockets', 'subscriptions', 'messageBytes'],
  static: ['files'],
  proxy: [],
};

export interface MappingAccount {
  readonly row: number;
  readonly share: Share;
  /** One for all states: a reload is no fresh start. */
  readonly logger: MeteredLogger;
}

export class MappingAccounts {
  readonly #shares: Shares;
  readonly #logger: Logger;
  readonly #memory: SharedArrayBuffer;
  readonly #accounts = new Map<string, MappingAccount>();
  /** Bytes per second that the script of one mapping may write to the log. */
  #logRate: number;

  /** `memory`: as `WorkerStart.mappingCounters`. */
  constructor(setup: WorkerSetup, memory: SharedArrayBuffer, logger: Logger) {
    const { limits } = setup.settings;
    this.#logger = logger;
    this.#memory = memory;
    this.#logRate = limits.logBytesPerSecond;
    this.#shares = createShares(limits.mappingSharePercent, logger);
    for (const [i, mapping] of setup.mappings.entries()) this.of(mappingName(mapping), setup.rows[i] ?? i);
    this.use(setup);
  }

  /** That of a mapping which is being loaded; it may be new. */
  of(name: string, row: number): MappingAccount {
    const known = this.#accounts.get(name);
    if (known?.row === row) return known;
    this.#shares.forget(name);
    const counters = new MetricRow(MAPPING_METRICS, this.#memory, row);
    const share = this.#shares.of(name, counters, []);
    const bytesPerSecond = this.#logRate;
    const logger = new MeteredLogger({ logger: this.#logger, mapping: name, bytesPerSecond, counters });
    const account = { row, share, logger };
    this.#accounts.set(name, account);
    return account;
  }

  /** The mappings of this setup serve from now on, by its settings. */
  use({ mappings, settings }: Pick<WorkerSetup, 'mappings' | 'settings'>): void {
    this.#shares.setUsers(mappings.map((mapping) => USES[kindOf(mapping)]));
    this.#setShares(mappings, settings);
    this.#logRate = settings.limits.logBytesPerSecond;
    for (const { logger } of this.#accounts.values()) logger.setRate(this.#logRate);
  }

  /** Forgets mappings of which nothing is left, which is all but these. */
  keep(names: ReadonlySet<string>): void {
    for (const name of this.#accounts.keys()) {
      if (names.has(name)) continue;
      this.#accounts.delete(name);
      this.#shares.forget(name);
    }
  }

  #setShares(mappings: readonly MappingConfig[], { limits, scripts }: WorkerSettings): void {
    this.#shares.percent = limits.mappingSharePercent;
    for (const mapping of mappings) {
      const name = mappingName(mapping);
      const share = this.#accounts.get(name)?.share;
      if (share !== undefined) share.percent = scriptSettingsOf(scripts, name)?.limits.mappingSharePercent;
    }
  }
}
