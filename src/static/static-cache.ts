/** What the static mappings of one worker keep in memory, and how much of it: what nobody asks for goes first. */

import { Loans } from '../base/lent-content.ts';

/** Bytes of files, for all mappings of a worker. */
const CACHE_BYTES_MAX: number = 32 * 1024 * 1024;
/** Paths, for all mappings of a worker. */
const CACHE_ENTRIES_MAX = 4_096;
/** What a path takes beside the bytes of its files: names, heads, objects. */
const ENTRY_OVERHEAD_BYTES = 2 * 1024;

/** What is kept. */
export interface Cached {
  readonly bytes: number;
  /** Set by whoever uses it. */
  isUsed: boolean;
  /** It is not kept any more. */
  forget(): void;
}

interface CacheLimits {
  readonly bytesMax: number;
  readonly entriesMax: number;
}

export class StaticCache {
  readonly #limits: CacheLimits;
  /** With the bytes that each counts for, the next to be looked at first. */
  readonly #entries = new Map<Cached, number>();
  /** What is held beside what is kept. */
  readonly loans: Loans = new Loans();
  #bytes = 0;

  constructor(limits: CacheLimits = { bytesMax: CACHE_BYTES_MAX, entriesMax: CACHE_ENTRIES_MAX }) {
    this.#limits = limits;
  }

  /** What all entries count for. */
  get bytes(): number {
    return this.#bytes;
  }

  get entries(): number {
    return this.#entries.size;
  }

  /** Keeps it, or counts it anew where its size has changed; others may have to go. */
  keep(entry: Cached): void {
    const bytes = entry.bytes + ENTRY_OVERHEAD_BYTES;
    this.#bytes += bytes - (this.#entries.get(entry) ?? 0);
    this.#entries.set(entry, bytes);
    const { bytesMax, entriesMax } = this.#limits;
    // the clock: what was used since the last round stays for one more
    for (const next of this.#entries.keys()) {
      if (this.#bytes <= bytesMax && this.#entries.size <= entriesMax) return;
      if (next.isUsed) this.#postpone(next);
      else this.drop(next);
    }
  }

  drop(entry: Cached): void {
    this.#bytes -= this.#entries.get(entry) ?? 0;
    this.#entries.delete(entry);
    entry.forget();
  }

  #postpone(entry: Cached): void {
    const bytes = this.#entries.get(entry) as number;
    entry.isUsed = false;
    this.#entries.delete(entry);
    this.#entries.set(entry, bytes);
  }
}
