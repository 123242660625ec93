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
  // totals
  'connectionsTotal',
  'exchangesTotal',
  'pushesTotal',
  'luaErrorsTotal',
  'bytesReceivedTotal',
  'bytesSentTotal',
] as const;
export type CounterName = (typeof COUNTER_NAMES)[number];

const BYTES_PER_COUNTER = 8;
const INDEX: ReadonlyMap<CounterName, number> = new Map(COUNTER_NAMES.map((name, i) => [name, i]));

/** A row of doubles in shared memory with one writer (the worker); other threads read it at any time. */
export class Counters {
  readonly memory: SharedArrayBuffer;
  readonly #values: Float64Array;

  constructor(memory: SharedArrayBuffer = new SharedArrayBuffer(COUNTER_NAMES.length * BYTES_PER_COUNTER)) {
    this.memory = memory;
    this.#values = new Float64Array(memory);
  }

  add(name: CounterName, amount: number): void {
    const i = INDEX.get(name) as number;
    this.#values[i] = (this.#values[i] as number) + amount;
  }

  get(name: CounterName): number {
    return this.#values[INDEX.get(name) as number] as number;
  }

  /** All values by name. */
  snapshot(): Record<CounterName, number> {
    return Object.fromEntries(COUNTER_NAMES.map((name) => [name, this.get(name)])) as Record<
      CounterName,
      number
    >;
  }
}
