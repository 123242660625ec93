/** The health of upstreams in memory that all workers share: a row for each, found by its key, changed without locks. */
import { createHash } from 'node:crypto';
import { HealthRow, ROW_BYTES } from './health-row.ts';

/** Rows of a gateway: a proxy has up to 64 targets, and few gateways more than a dozen proxies with several. 64 KiB in all. */
export const HEALTH_ROWS_MAX = 1024;

/** Memory for all rows: the supervisor makes it once. */
export function createHealthMemory(): SharedArrayBuffer {
  return new SharedArrayBuffer(HEALTH_ROWS_MAX * ROW_BYTES);
}

export class HealthTable {
  readonly #memory: SharedArrayBuffer;
  readonly #keys: BigInt64Array;
  /** Rows that were asked for. */
  readonly #rows = new Map<string, HealthRow>();

  constructor(memory: SharedArrayBuffer = createHealthMemory()) {
    this.#memory = memory;
    this.#keys = new BigInt64Array(memory);
  }

  /**
   * The row of `key`, the same one in all workers. Where all rows are taken it is this worker's own: the workers then find out each for
   * itself what is down.
   */
  row(key: string): HealthRow {
    let row = this.#rows.get(key);
    if (row !== undefined) return row;
    const place = this.#place(key);
    row =
      place === undefined
        ? new HealthRow(new SharedArrayBuffer(ROW_BYTES), 0)
        : new HealthRow(this.#memory, place * ROW_BYTES);
    // rows without a place in common are few, or somebody makes up keys: then they are forgotten again
    if (this.#rows.size >= HEALTH_ROWS_MAX) this.#rows.clear();
    this.#rows.set(key, row);
    return row;
  }

  /** Takes the first free place from where the hash points to; places are never given back. */
  #place(key: string): number | undefined {
    const hash = createHash('sha256').update(key).digest().readBigInt64LE() || 1n;
    const first = Number(BigInt.asUintN(32, hash)) % HEALTH_ROWS_MAX;
    for (let i = 0; i < HEALTH_ROWS_MAX; i++) {
      const place = (first + i) % HEALTH_ROWS_MAX;
      const before = Atomics.compareExchange(this.#keys, (place * ROW_BYTES) / 8, 0n, hash);
      if (before === 0n || before === hash) return place;
    }
    return undefined;
  }
}
