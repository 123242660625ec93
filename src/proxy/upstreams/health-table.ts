/** The health of upstreams in memory that all workers share: a row for each, found by its key, changed without locks. */
import { createHash } from 'node:crypto';
import {
  createHealthMemory,
  createWaitingMemory,
  HEALTH_ROWS_MAX,
  healthNow,
  isAbandoned,
  ROW_BYTES,
  ROW_STAMP_MS,
  WORD,
  wordsOf,
  writeName,
} from './health-memory.ts';
import { HealthRow, type RowOwner, type RowPlace } from './health-row.ts';
import { readUpstreams, type UpstreamView } from './upstream-view.ts';

/** Another thread has taken the place that was just found free: so often it is looked for again. */
const SEARCHES_MAX = 8;

export class HealthTable implements RowOwner {
  readonly #memory: SharedArrayBuffer;
  readonly #keys: BigInt64Array;
  readonly #waiting: Int32Array;
  /** Rows that were asked for. */
  readonly #rows = new Map<string, HealthRow>();
  #stamps: NodeJS.Timeout | undefined;

  /** `waiting`: of this worker, from `createWaitingMemory`. */
  constructor(
    memory: SharedArrayBuffer = createHealthMemory(),
    waiting: SharedArrayBuffer = createWaitingMemory(),
  ) {
    this.#memory = memory;
    this.#keys = new BigInt64Array(
      memory,
      0,
      (HEALTH_ROWS_MAX * ROW_BYTES) / BigInt64Array.BYTES_PER_ELEMENT,
    );
    this.#waiting = new Int32Array(waiting);
  }

  /** The row of a server for a mapping: what one mapping makes of it is no other mapping's affair. */
  of(mapping: string, server: string): HealthRow {
    return this.row(`${mapping}\0${server}`);
  }

  /**
   * The row of `key`, the same one in all workers. Where all rows are taken it is this worker's own: the workers then find out each for
   * itself what is down.
   */
  row(key: string): HealthRow {
    let row = this.#rows.get(key);
    if (row !== undefined) return row;
    row = new HealthRow(key, this);
    if (this.#rows.size >= HEALTH_ROWS_MAX) this.#forget();
    this.#rows.set(key, row);
    this.watch();
    return row;
  }

  /** The servers of one mapping, with the requests of this worker that wait. */
  view(mapping: string): readonly UpstreamView[] {
    return readUpstreams(this.#memory, [this.#waiting]).filter((one) => one.mapping === mapping);
  }

  // ---- RowOwner ----

  take(key: string): RowPlace {
    const hash = createHash('sha256').update(key).digest().readBigInt64LE() || 1n;
    const index = this.#find(key, hash);
    if (index === undefined)
      return {
        words: wordsOf(new SharedArrayBuffer(ROW_BYTES), 0),
        mark: 0,
        waiting: new Int32Array(1),
        index: 0,
      };
    const mark = Number(BigInt.asIntN(32, hash));
    return { words: wordsOf(this.#memory, index), mark, waiting: this.#waiting, index };
  }

  watch(): void {
    if (this.#stamps !== undefined) return;
    this.#stamps = setTimeout(() => {
      this.#stamps = undefined;
      if (this.stamp()) this.watch();
    }, ROW_STAMP_MS);
    this.#stamps.unref();
  }

  /** Stamps the rows that are used or held. True: some are held. */
  stamp(now: number = healthNow()): boolean {
    let isAnyHeld = false;
    for (const row of this.#rows.values()) if (row.stamp(now)) isAnyHeld = true;
    return isAnyHeld;
  }

  // ---- inside ----

  /** Rows without a place in common are few, or somebody makes up keys. */
  #forget(): void {
    for (const [key, row] of this.#rows) if (!row.isHeld) this.#rows.delete(key);
  }

  /** The place of a key, or one that nobody has any more, or the first that never had a key; undefined: all are taken. */
  #find(key: string, hash: bigint): number | undefined {
    const first = Number(BigInt.asUintN(32, hash)) % HEALTH_ROWS_MAX;
    for (let search = 0; search < SEARCHES_MAX; search++) {
      const { place, before } = this.#search(hash, first);
      if (place === undefined || before === hash) return place;
      const words = wordsOf(this.#memory, place);
      // what is left of the one before must not count for the next, wherever this thread may be ended
      for (let word: number = WORD.restsUntil; word <= WORD.nameBytes; word++)
        Atomics.store(words, word, word === WORD.usedAt ? healthNow() || 1 : 0);
      if (Atomics.compareExchange(this.#keys, keyAt(place), before, hash) !== before) continue;
      writeName(this.#memory, place, key);
      return place;
    }
    return undefined;
  }

  /** `before`: the key that the place has. */
  #search(hash: bigint, first: number): { readonly place: number | undefined; readonly before: bigint } {
    const now = healthNow();
    let free: number | undefined;
    let freeKey = 0n;
    for (let i = 0; i < HEALTH_ROWS_MAX; i++) {
      const place = (first + i) % HEALTH_ROWS_MAX;
      const before = Atomics.load(this.#keys, keyAt(place));
      if (before === hash) return { place, before };
      if (free === undefined && (before === 0n || isAbandoned(wordsOf(this.#memory, place), now))) {
        free = place;
        freeKey = before;
      }
      // no key has ever gone past a place that has none
      if (before === 0n) break;
    }
    return { place: free, before: freeKey };
  }
}

function keyAt(place: number): number {
  return (place * ROW_BYTES) / BigInt64Array.BYTES_PER_ELEMENT;
}
