/** What one worker counts: exchanges, files, coroutines, Lua states; `test/` asserts that the gauges return to where they were. */

/** Names of all counters. Gauges go up and down, totals only up. */
export const COUNTER_NAMES = [
  // gauges
  'connections',
  'sessions',
  'exchanges',
  'coroutines',
  'states',
  'files',
  'pipes',
  'fetches',
  'unreadBodyBytes',
  // totals
  'connectionsTotal',
  'handshakesFailedTotal',
  'misdirectedTotal',
  'silentTotal',
  'connectionsRefusedTotal',
  'descriptorsUsedUpTotal',
  'exchangesTotal',
  'pushesTotal',
  'luaErrorsTotal',
  'bytesReceivedTotal',
  'bytesSentTotal',
] as const;
export type CounterName = (typeof COUNTER_NAMES)[number];

const BYTES_PER_COUNTER = 8;

/** A row of doubles in shared memory with one writer (the worker); other threads read it at any time. */
export class CounterRow<Name extends string> {
  readonly memory: SharedArrayBuffer;
  readonly #index: ReadonlyMap<Name, number>;
  readonly #values: Float64Array;

  /** `row`: which one of `memory`, when that holds several of the same names. */
  constructor(names: readonly Name[], memory: SharedArrayBuffer = rowsOf(names, 1), row = 0) {
    this.memory = memory;
    this.#index = new Map(names.map((name, i) => [name, i]));
    this.#values = new Float64Array(memory, row * names.length * BYTES_PER_COUNTER, names.length);
  }

  add(name: Name, amount: number): void {
    const i = this.#index.get(name) as number;
    this.#values[i] = (this.#values[i] as number) + amount;
  }

  get(name: Name): number {
    return this.#values[this.#index.get(name) as number] as number;
  }

  /** All values by name. */
  snapshot(): Record<Name, number> {
    return Object.fromEntries([...this.#index.keys()].map((name) => [name, this.get(name)])) as Record<
      Name,
      number
    >;
  }

  /** What is gone with the thread that has counted: gauges are 0 again, totals go on. */
  resetGauges(): void {
    for (const name of this.#index.keys()) if (!name.endsWith('Total')) this.add(name, -this.get(name));
  }
}

/** Memory for so many rows. */
export function rowsOf(names: readonly string[], rows: number): SharedArrayBuffer {
  return new SharedArrayBuffer(rows * names.length * BYTES_PER_COUNTER);
}

/** Those of a worker. */
export class Counters extends CounterRow<CounterName> {
  constructor(memory?: SharedArrayBuffer) {
    super(COUNTER_NAMES, memory);
  }
}
