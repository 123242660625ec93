/** HPACK's dynamic table (RFC 7541 §2.3.2): a ring of entries, bounded by the sum of their sizes. */

/** What an entry counts beside its name and value (RFC 7541 §4.1). */
export const ENTRY_OVERHEAD_BYTES = 32;

export interface TableEntry {
  readonly name: string;
  readonly value: string;
}

export class DynamicTable<Entry extends TableEntry> {
  #bytesMax: number;
  #bytes = 0;
  /** Entry number `n` since the beginning stands at `n` modulo the length, a power of two. */
  #ring: (Entry | undefined)[] = [];
  #count = 0;
  #inserted = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  get bytesMax(): number {
    return this.#bytesMax;
  }
  get bytes(): number {
    return this.#bytes;
  }
  get count(): number {
    return this.#count;
  }
  /** Entries that were ever added. */
  get inserted(): number {
    return this.#inserted;
  }

  /** An entry that is there; 0 is the latest, `count - 1` the oldest. */
  entry(index: number): Entry {
    return this.#ring[(this.#inserted - 1 - index) & (this.#ring.length - 1)] as Entry;
  }

  /** Adds an entry, for which the oldest make room; one that is larger than the table empties it. */
  add(entry: Entry): void {
    const size = entry.name.length + entry.value.length + ENTRY_OVERHEAD_BYTES;
    this.#evict(this.#bytesMax - size);
    if (size > this.#bytesMax) return;
    if (this.#count === this.#ring.length) this.#grow();
    this.#ring[this.#inserted & (this.#ring.length - 1)] = entry;
    this.#inserted += 1;
    this.#count += 1;
    this.#bytes += size;
  }

  resize(bytesMax: number): void {
    this.#bytesMax = bytesMax;
    this.#evict(bytesMax);
  }

  /** Makes the ring larger: most connections need a few entries, and idle ones none. */
  #grow(): void {
    const length = Math.max(SLOTS_MIN, this.#ring.length * 2);
    const ring = new Array<Entry | undefined>(length).fill(undefined);
    for (let i = 0; i < this.#count; i++) ring[(this.#inserted - 1 - i) & (length - 1)] = this.entry(i);
    this.#ring = ring;
  }

  #evict(bytesMax: number): void {
    while (this.#bytes > bytesMax && this.#count > 0) {
      const { name, value } = this.entry(this.#count - 1);
      this.#bytes -= name.length + value.length + ENTRY_OVERHEAD_BYTES;
      this.#ring[(this.#inserted - this.#count) & (this.#ring.length - 1)] = undefined;
      this.#count -= 1;
    }
  }
}

const SLOTS_MIN = 8;
