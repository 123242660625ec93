/**
 * What the mappings of one worker use of what it has a bounded number of, and how much of that one of them may take, so that
 * none takes all.
 */
import { MAPPING_COUNT, MAPPING_METRICS, type MappingCounterName } from '../metrics/mapping-metrics.ts';
import { MetricRow } from '../metrics/metric-row.ts';

export const RESOURCES = [
  'files',
  'processes',
  'fetches',
  'sockets',
  'tasks',
  'timers',
  'websockets',
  'subscriptions',
  'messageBytes',
  'storeCalls',
] as const;
export type Resource = (typeof RESOURCES)[number];

/** Limits of whoever needs some of these only. */
export const NOTHING: Readonly<Record<Resource, number>> = {
  files: 0,
  processes: 0,
  fetches: 0,
  sockets: 0,
  tasks: 0,
  timers: 0,
  websockets: 0,
  subscriptions: 0,
  messageBytes: 0,
  storeCalls: 0,
};

/** What a message says of each. */
const IN_USE: Readonly<Record<Resource, string>> = {
  files: 'files are open',
  processes: 'processes are running',
  fetches: 'fetches are under way',
  sockets: 'connections are open',
  tasks: 'tasks run',
  timers: 'timers wait or run',
  websockets: 'WebSockets are open',
  subscriptions: 'channels are subscribed to',
  messageBytes: 'bytes of messages wait',
  storeCalls: 'calls wait for a store',
};
/**
 * A script that is being loaded may take so many (of each) beyond all limits: a reload must not depend on what the state
 * that it replaces still holds.
 */
const LOAD_RESERVE = 64;

export interface SharesOptions {
  /** What the worker has of each. */
  readonly limits: Readonly<Record<Resource, number>>;
  /** How much of what the others leave one mapping may take, where there are others (1 to 100); at first. */
  readonly percent: number;
  /** Hears of each refusal. */
  readonly onRefused?: (share: Share, resource: Resource, limit: number) => void;
}

/** All mappings of a worker. */
export class Shares {
  /** Of what the others leave; what mappings have taken already they keep. */
  percent: number;
  readonly #options: SharesOptions;
  readonly #shares = new Map<string, Share>();
  readonly #totals = new Map<Resource, number>();
  /** How many mappings may use each. */
  readonly #users = new Map<Resource, number>();

  constructor(options: SharesOptions) {
    this.#options = options;
    this.percent = options.percent;
  }

  /**
   * That of a mapping, which all its states have in common: what an old one still holds counts. `uses`, which counts the first time, until
   * `setUsers`: a mapping that cannot use a resource makes nobody's part of it smaller.
   */
  of(
    name: string,
    counters: MetricRow<MappingCounterName> = new MetricRow(MAPPING_METRICS),
    uses: readonly Resource[] = RESOURCES,
  ): Share {
    let share = this.#shares.get(name);
    if (share === undefined) {
      share = new Share(name, counters, this);
      this.#shares.set(name, share);
      for (const resource of uses) this.#users.set(resource, (this.#users.get(resource) ?? 0) + 1);
    }
    return share;
  }

  /** From now on the mappings are these, each with what it can use. Others keep what they hold, and make nobody's part smaller. */
  setUsers(uses: Iterable<readonly Resource[]>): void {
    this.#users.clear();
    for (const resources of uses)
      for (const resource of resources) this.#users.set(resource, (this.#users.get(resource) ?? 0) + 1);
  }

  /** Nobody takes more for this mapping. What it still holds is given back to all. */
  forget(name: string): void {
    this.#shares.delete(name);
  }

  /** Undefined until `of` has made it. */
  find(name: string): Share | undefined {
    return this.#shares.get(name);
  }

  /**
   * How many one mapping may have now. A mapping that is alone may have all, unless it has a part of its own. Of several, each may take its
   * part of what the others leave free, so that something is free whatever they do; and always an equal part of a half, but never more
   * than its own part of all.
   */
  limitOf(share: Share, resource: Resource): number {
    const all = this.#options.limits[resource];
    const mappings = this.#users.get(resource) ?? 0;
    const { percent } = share;
    // a mapping that is gone may still hold some
    const left = all - (this.total(resource) - share.used(resource));
    if (mappings <= 1 && percent === undefined) return left;
    const equal = Math.floor(all / (2 * Math.max(1, mappings)));
    const sure = percent === undefined ? equal : Math.min(equal, Math.floor((all * percent) / 100));
    return Math.max(Math.floor((left * (percent ?? this.percent)) / 100), sure, 1);
  }

  /** What all have taken. */
  total(resource: Resource): number {
    return this.#totals.get(resource) ?? 0;
  }

  /** For Share. */
  count(resource: Resource, change: number): void {
    this.#totals.set(resource, this.total(resource) + change);
  }

  /** For Share: the end of a sentence that says why there is no more. */
  refusal(share: Share, resource: Resource, limit: number): string {
    this.#options.onRefused?.(share, resource, limit);
    const all = this.#options.limits[resource];
    const used = share.used(resource);
    if (limit === all) return `${used} ${IN_USE[resource]} and the limit is ${all}`;
    return `${used} ${IN_USE[resource]} for "${share.name}" and its share is ${limit} of ${all}`;
  }

  /** For Share. */
  limitAtLoad(resource: Resource): number {
    return this.#options.limits[resource] + LOAD_RESERVE;
  }
}

/** What one mapping uses. */
export class Share {
  readonly name: string;
  readonly counters: MetricRow<MappingCounterName>;
  /** Its own part of what the others leave, in percent; undefined = that of all. What it has taken already it keeps. */
  percent: number | undefined;
  readonly #shares: Shares;

  constructor(name: string, counters: MetricRow<MappingCounterName>, shares: Shares) {
    this.name = name;
    this.counters = counters;
    this.#shares = shares;
  }

  used(resource: Resource): number {
    return this.counters.get(resource);
  }

  /**
   * Takes one, or `amount`, or says why not: `64 files are open and the limit is 64`. `loading`: for a script that is being
   * loaded.
   */
  take(resource: Resource, loading = false, amount = 1): string | undefined {
    const limit = loading ? this.#shares.limitAtLoad(resource) : this.#shares.limitOf(this, resource);
    if (this.used(resource) + amount > limit) {
      this.counters.add(MAPPING_COUNT.limitsReachedTotal, 1);
      return this.#shares.refusal(this, resource, limit);
    }
    this.counters.add(MAPPING_COUNT[resource], amount);
    this.#shares.count(resource, amount);
    return undefined;
  }

  /** Gives one back, or `amount`. */
  give(resource: Resource, amount = 1): void {
    this.counters.add(MAPPING_COUNT[resource], -amount);
    this.#shares.count(resource, -amount);
  }
}
