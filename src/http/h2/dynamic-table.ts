/** HPACK's dynamic table (RFC 7541 §2.3.2): a ring of entries, bounded by the sum of their sizes. */

/** What the size of an entry counts in addition to its name and value (RFC 7541 §4.1). */
export const ENTRY_OVERHEAD_BYTES = 32;

export interface TableEntry {
  readonly name: string;
  readonly value: string;
}

export class DynamicTable<Entry extends TableEntry> {
  #bytesMax: number;
  #bytes = 0;
  /** The entry that was added as number `n` stands at `n` modulo the length of the ring, a power of two. */
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
  /** Entries added since the beginning, evicted ones included. */
  get inserted(): number {
    return this.#inserted;
  }

  /** Returns an entry of the table; 0 is the latest, `count - 1` the oldest. */
  entry(index: number): Entry {
    return this.#ring[(this.#inserted - 1 - index) & (this.#ring.length - 1)] as Entry;
  }

  /** Adds an entry and evicts the oldest ones to make room; an entry that is larger than the table only empties the table. */
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

  /** Makes the ring larger. It begins empty because most connections need few entries or none. */
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
