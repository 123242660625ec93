/** HPACK's dynamic table (RFC 7541 §2.3.2): a ring of names and values, bounded by the sum of their sizes. */

/** What an entry counts beside its name and value (RFC 7541 §4.1). */
export const ENTRY_OVERHEAD_BYTES = 32;

export class DynamicTable {
  #bytesMax: number;
  #bytes = 0;
  /** The ring: entry number `n` since the beginning stands at `n` modulo its length. */
  #names: string[] = [];
  #values: string[] = [];
  #count = 0;
  /** Entries that were ever added. It stays the same as long as the table does, but for `resize`. */
  inserted = 0;

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

  /** The name of an entry; 0 is the latest, `count - 1` the oldest. */
  name(index: number): string {
    return this.#names[(this.inserted - 1 - index) % this.#names.length] as string;
  }
  value(index: number): string {
    return this.#values[(this.inserted - 1 - index) % this.#values.length] as string;
  }

  /** Adds an entry, for which the oldest make room; one that is larger than the table empties it. */
  add(name: string, value: string): void {
    const size = name.length + value.length + ENTRY_OVERHEAD_BYTES;
    this.#evict(this.#bytesMax - size);
    if (size > this.#bytesMax) return;
    if (this.#count === this.#names.length) this.#grow();
    const slot = this.inserted % this.#names.length;
    this.#names[slot] = name;
    this.#values[slot] = value;
    this.inserted += 1;
    this.#count += 1;
    this.#bytes += size;
  }

  resize(bytesMax: number): void {
    this.#bytesMax = bytesMax;
    this.#evict(bytesMax);
  }

  /** Makes the ring larger: most connections need a few entries, and idle ones none. */
  #grow(): void {
    const slots = Math.max(SLOTS_MIN, this.#names.length * 2);
    const names = new Array<string>(slots).fill('');
    const values = names.slice();
    for (let n = this.inserted - this.#count; n < this.inserted; n++) {
      names[n % slots] = this.#names[n % this.#names.length] as string;
      values[n % slots] = this.#values[n % this.#values.length] as string;
    }
    this.#names = names;
    this.#values = values;
  }

  #evict(bytesMax: number): void {
    while (this.#bytes > bytesMax && this.#count > 0) {
      const slot = (this.inserted - this.#count) % this.#names.length;
      const name = this.#names[slot] as string;
      const value = this.#values[slot] as string;
      this.#bytes -= name.length + value.length + ENTRY_OVERHEAD_BYTES;
      this.#names[slot] = '';
      this.#values[slot] = '';
      this.#count -= 1;
    }
  }
}

const SLOTS_MIN = 8;
