/** Rows of numbers in memory that all threads share: each row has one writer, others read it at any time, nobody waits. */
import { HISTOGRAM_SLOTS, Histogram } from './histogram.ts';

/** A gauge goes up and down, a total only up; times are a histogram. The text says what, for docs/metrics.md. */
export type Metric = { readonly gauge: string } | { readonly total: string } | { readonly times: string };

declare const NAME: unique symbol;
/** Where a row has a number; only rows of tables with such a name take it. */
export type Slot<Name extends string> = number & { readonly [NAME]: Name };

/** The names of gauges and totals in a list of metrics. */
export type NumberNames<Metrics> = Exclude<keyof Metrics & string, TimesNames<Metrics>>;
/** The names of times. */
export type TimesNames<Metrics> = {
  [Name in keyof Metrics]: Metrics[Name] extends { readonly times: string } ? Name : never;
}[keyof Metrics] &
  string;
export type Slots<Name extends string> = { readonly [N in Name]: Slot<N> };

/** What rows of one kind hold, in this order. */
export class MetricTable<Number extends string, Times extends string = never> {
  readonly metrics: Readonly<Record<Number | Times, Metric>>;
  /** Gauges and totals. */
  readonly names: readonly Number[];
  readonly timeNames: readonly Times[];
  /** To write through: a step costs 3 ns with a slot, 10 ns with a name that has to be looked up. */
  readonly slots: Slots<Number | Times>;
  /** Doubles in a row. */
  readonly length: number;

  constructor(metrics: Readonly<Record<Number | Times, Metric>>) {
    this.metrics = metrics;
    const all = Object.entries<Metric>(metrics) as [Number | Times, Metric][];
    const slots: Record<string, number> = {};
    let length = 0;
    for (const [name, metric] of all) {
      slots[name] = length;
      length += 'times' in metric ? HISTOGRAM_SLOTS : 1;
    }
    this.slots = slots as Slots<Number | Times>;
    this.length = length;
    this.names = all.filter(([, metric]) => !('times' in metric)).map(([name]) => name as Number);
    this.timeNames = all.filter(([, metric]) => 'times' in metric).map(([name]) => name as Times);
  }

  /** Memory for so many rows. */
  rows(count: number): SharedArrayBuffer {
    return new SharedArrayBuffer(count * this.length * Float64Array.BYTES_PER_ELEMENT);
  }
}

export class MetricRow<Number extends string, Times extends string = never> {
  readonly memory: SharedArrayBuffer;
  readonly #table: MetricTable<Number, Times>;
  readonly #values: Float64Array;

  /** `row`: which one of `memory`, when that holds several. */
  constructor(table: MetricTable<Number, Times>, memory: SharedArrayBuffer = table.rows(1), row = 0) {
    this.memory = memory;
    this.#table = table;
    this.#values = new Float64Array(
      memory,
      row * table.length * Float64Array.BYTES_PER_ELEMENT,
      table.length,
    );
  }

  add(slot: Slot<Number>, amount: number): void {
    this.#values[slot] = (this.#values[slot] as number) + amount;
  }

  /** Counts one that took so long (ms). */
  observe(slot: Slot<Times>, ms: number): void {
    Histogram.add(this.#values, slot, ms);
  }

  get(name: Number): number {
    return this.#values[this.#table.slots[name]] as number;
  }

  /** All gauges and totals by name. */
  snapshot(): Record<Number, number> {
    const { names } = this.#table;
    return Object.fromEntries(names.map((name) => [name, this.get(name)])) as Record<Number, number>;
  }

  /** What has been observed so far, by name. */
  times(): Record<Times, Histogram> {
    const { timeNames, slots } = this.#table;
    const entries = timeNames.map((name) => [name, new Histogram(this.#values, slots[name])] as const);
    return Object.fromEntries(entries) as Record<Times, Histogram>;
  }

  /** Somebody else gets the row. */
  clear(): void {
    this.#values.fill(0);
  }

  /** What is gone with the thread that has counted: gauges are 0 again, totals and times go on. */
  resetGauges(): void {
    const { names, metrics, slots } = this.#table;
    for (const name of names) if ('gauge' in metrics[name]) this.#values[slots[name]] = 0;
  }
}
