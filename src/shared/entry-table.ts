/**
 * The entries of a dictionary: buckets by hash, and a list of all entries in the order of their last use. The order of writes
 * leaves every bucket whole after each of them: from the buckets alone repair.ts can make all other structures anew.
 */
import type { BlockChains } from './block-chains.ts';
import { ENTRY, HEADER, type Layout, SIZE_MASK, TYPE_SHIFT, type Views } from './layout.ts';

/** Buckets that each new entry searches for expired entries: more than one, so that expired entries cannot accumulate. */
const SWEPT_BUCKETS = 2;
const WORDS_PER_BLOCK = 16;

export class EntryTable {
  readonly #words: Int32Array;
  readonly #floats: Float64Array;
  readonly #chains: BlockChains;
  readonly #layout: Layout;

  constructor(views: Views, layout: Layout, chains: BlockChains) {
    this.#words = views.words;
    this.#floats = views.floats;
    this.#layout = layout;
    this.#chains = chains;
  }

  get newest(): number {
    return this.#words[HEADER.newest] as number;
  }

  get oldest(): number {
    return this.#words[HEADER.oldest] as number;
  }

  /** Finds the entry with this key, expired or not; 0: none. */
  find(hash: number, key: Uint8Array, at: number, size: number): number {
    const words = this.#words;
    let entry = words[this.#bucket(hash)] as number;
    while (entry !== 0) {
      const base = this.#base(entry);
      if (
        words[base + ENTRY.hash] === hash &&
        words[base + ENTRY.keySize] === size &&
        this.#chains.equals(entry, key, at, size)
      )
        return entry;
      entry = words[base + ENTRY.next] as number;
    }
    return 0;
  }

  /** Makes an entry, the newest one, of a chain whose content has been written. */
  insert(entry: number, hash: number): void {
    const words = this.#words;
    const base = this.#base(entry);
    const bucket = this.#bucket(hash);
    words[base + ENTRY.hash] = hash;
    words[base + ENTRY.next] = words[bucket] as number;
    words[bucket] = entry;
    words[HEADER.entries] = (words[HEADER.entries] as number) + 1;
    this.#linkNewest(entry);
  }

  /** Takes an entry out and frees its blocks. */
  remove(entry: number): void {
    const words = this.#words;
    const base = this.#base(entry);
    let link = this.#bucket(words[base + ENTRY.hash] as number);
    while (words[link] !== entry) link = this.#base(words[link] as number) + ENTRY.next;
    words[link] = words[base + ENTRY.next] as number;
    words[HEADER.entries] = (words[HEADER.entries] as number) - 1;
    this.#unlink(entry);
    this.#chains.free(entry);
  }

  /** Makes an entry the one used last. */
  touch(entry: number): void {
    if (this.#words[HEADER.newest] === entry) return;
    this.#unlink(entry);
    this.#linkNewest(entry);
  }

  /** The entry that was used before this one; 0: none. */
  older(entry: number): number {
    return this.#words[this.#base(entry) + ENTRY.older] as number;
  }

  keySize(entry: number): number {
    return this.#words[this.#base(entry) + ENTRY.keySize] as number;
  }

  setKeySize(entry: number, size: number): void {
    this.#words[this.#base(entry) + ENTRY.keySize] = size;
  }

  valueType(entry: number): number {
    return (this.#words[this.#base(entry) + ENTRY.sizeAndType] as number) >>> TYPE_SHIFT;
  }

  /** The size of a string value; 0 for others. */
  valueSize(entry: number): number {
    return (this.#words[this.#base(entry) + ENTRY.sizeAndType] as number) & SIZE_MASK;
  }

  setTypeAndSize(entry: number, type: number, size: number): void {
    this.#words[this.#base(entry) + ENTRY.sizeAndType] = (type << TYPE_SHIFT) | size;
  }

  /** Index of the number of an entry in the views of 8 bytes. */
  numberAt(entry: number): number {
    return (this.#base(entry) + ENTRY.number) >> 1;
  }

  /** When the entry expires, ms on the clock of the dictionary; 0: never. */
  expires(entry: number): number {
    return this.#floats[(this.#base(entry) + ENTRY.expires) >> 1] as number;
  }

  setExpires(entry: number, time: number): void {
    if (time !== 0 && this.#words[HEADER.mortal] === 0) this.#words[HEADER.mortal] = 1;
    this.#floats[(this.#base(entry) + ENTRY.expires) >> 1] = time;
  }

  /** Looks for expired entries in the next few buckets and removes them. */
  sweep(clock: () => number): void {
    const words = this.#words;
    if (words[HEADER.mortal] === 0) return;
    const now = clock();
    for (let i = 0; i < SWEPT_BUCKETS; i++) {
      const hand = words[HEADER.hand] as number;
      words[HEADER.hand] = (hand + 1) & (this.#layout.buckets - 1);
      let entry = words[this.#layout.bucketsAt + hand] as number;
      while (entry !== 0) {
        const next = words[this.#base(entry) + ENTRY.next] as number;
        const time = this.expires(entry);
        if (time !== 0 && time <= now) this.remove(entry);
        entry = next;
      }
    }
  }

  #linkNewest(entry: number): void {
    const words = this.#words;
    const base = this.#base(entry);
    const before = words[HEADER.newest] as number;
    words[base + ENTRY.newer] = 0;
    words[base + ENTRY.older] = before;
    if (before === 0) words[HEADER.oldest] = entry;
    else words[this.#base(before) + ENTRY.newer] = entry;
    words[HEADER.newest] = entry;
  }

  #unlink(entry: number): void {
    const words = this.#words;
    const base = this.#base(entry);
    const newer = words[base + ENTRY.newer] as number;
    const older = words[base + ENTRY.older] as number;
    if (newer === 0) words[HEADER.newest] = older;
    else words[this.#base(newer) + ENTRY.older] = older;
    if (older === 0) words[HEADER.oldest] = newer;
    else words[this.#base(older) + ENTRY.newer] = newer;
  }

  #bucket(hash: number): number {
    return this.#layout.bucketsAt + (hash & (this.#layout.buckets - 1));
  }

  #base(entry: number): number {
    return this.#layout.blocksAt + entry * WORDS_PER_BLOCK;
  }
}
