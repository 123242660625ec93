/**
 * The blocks of a dictionary. Each entry is a chain of blocks, so that free memory cannot become too fragmented for an entry. A
 * table of links names the next block of each, so that adjacent blocks are copied at once.
 */
import { BLOCK_BYTES, ENTRY_BYTES, HEADER, type Layout, type Views } from './layout.ts';

/** A loop copies pieces up to this length, and a native copy longer ones: at this length both take the same time. */
const LOOP_BYTES_MAX = 64;

export class BlockChains {
  readonly #words: Int32Array;
  readonly #bytes: Uint8Array;
  readonly #chainsAt: number;
  readonly #blocks: number;
  /** Byte at which block 0 would begin. */
  readonly #bytesAt: number;

  constructor(views: Views, layout: Layout) {
    this.#words = views.words;
    this.#bytes = views.bytes;
    this.#chainsAt = layout.chainsAt;
    this.#blocks = layout.blocks;
    this.#bytesAt = layout.blocksAt * 4;
  }

  /** Blocks that could be allocated now. */
  get available(): number {
    const words = this.#words;
    return (words[HEADER.freeCount] as number) + this.#blocks - (words[HEADER.fresh] as number);
  }

  /** Takes a chain of `count` available blocks and returns the first. */
  allocate(count: number): number {
    const words = this.#words;
    const used = Math.min(count, words[HEADER.freeCount] as number);
    let first = 0;
    let last = 0;
    if (used > 0) {
      first = words[HEADER.free] as number;
      last = first;
      for (let i = 1; i < used; i++) last = words[this.#chainsAt + last] as number;
      words[HEADER.free] = words[this.#chainsAt + last] as number;
      words[HEADER.freeCount] = (words[HEADER.freeCount] as number) - used;
    }
    for (let i = used; i < count; i++) {
      const block = (words[HEADER.fresh] as number) + 1;
      words[HEADER.fresh] = block;
      if (last === 0) first = block;
      else words[this.#chainsAt + last] = block;
      last = block;
    }
    words[this.#chainsAt + last] = 0;
    return first;
  }

  /** Gives a chain back behind all other free blocks: adjacent blocks stay adjacent in the list. */
  free(first: number): void {
    const words = this.#words;
    let last = first;
    let count = 1;
    for (let next = this.next(last); next !== 0; next = this.next(last)) {
      last = next;
      count += 1;
    }
    const before = words[HEADER.freeLast] as number;
    if ((words[HEADER.freeCount] as number) === 0) words[HEADER.free] = first;
    else words[this.#chainsAt + before] = first;
    words[HEADER.freeLast] = last;
    words[HEADER.freeCount] = (words[HEADER.freeCount] as number) + count;
  }

  /** The block that follows in the chain; 0: none. */
  next(block: number): number {
    return this.#words[this.#chainsAt + block] as number;
  }

  /** Copies bytes into an entry, beginning `offset` bytes behind its words. */
  write(entry: number, offset: number, source: Uint8Array, at: number, size: number): void {
    const bytes = this.#bytes;
    let inside = ENTRY_BYTES + offset;
    let block = entry;
    for (; inside >= BLOCK_BYTES; inside -= BLOCK_BYTES) block = this.next(block);
    let from = at;
    let left = size;
    while (left > 0) {
      const start = this.#bytesAt + block * BLOCK_BYTES + inside;
      let room = BLOCK_BYTES - inside;
      for (; room < left && this.next(block) === block + 1; room += BLOCK_BYTES) block += 1;
      const part = Math.min(room, left);
      if (part > LOOP_BYTES_MAX) bytes.set(source.subarray(from, from + part), start);
      else for (let i = 0; i < part; i++) bytes[start + i] = source[from + i] as number;
      from += part;
      left -= part;
      inside = 0;
      block = this.next(block);
    }
  }

  /** Copies bytes out of an entry, from `offset` bytes behind its words on. */
  read(entry: number, offset: number, target: Uint8Array, at: number, size: number): void {
    const bytes = this.#bytes;
    let inside = ENTRY_BYTES + offset;
    let block = entry;
    for (; inside >= BLOCK_BYTES; inside -= BLOCK_BYTES) block = this.next(block);
    let to = at;
    let left = size;
    while (left > 0) {
      const start = this.#bytesAt + block * BLOCK_BYTES + inside;
      let room = BLOCK_BYTES - inside;
      for (; room < left && this.next(block) === block + 1; room += BLOCK_BYTES) block += 1;
      const part = Math.min(room, left);
      if (part > LOOP_BYTES_MAX) target.set(bytes.subarray(start, start + part), to);
      else for (let i = 0; i < part; i++) target[to + i] = bytes[start + i] as number;
      to += part;
      left -= part;
      inside = 0;
      block = this.next(block);
    }
  }

  /** True if the key of an entry, right behind its words, has these bytes. */
  equals(entry: number, other: Uint8Array, at: number, size: number): boolean {
    const bytes = this.#bytes;
    let block = entry;
    let inside = ENTRY_BYTES;
    let start = this.#bytesAt + block * BLOCK_BYTES;
    for (let i = 0; i < size; i++) {
      if (inside === BLOCK_BYTES) {
        block = this.next(block);
        inside = 0;
        start = this.#bytesAt + block * BLOCK_BYTES;
      }
      if (bytes[start + inside] !== other[at + i]) return false;
      inside += 1;
    }
    return true;
  }
}

/** Returns how many blocks an entry with a key and a string value of these sizes takes. */
export function blocksFor(keySize: number, valueSize: number): number {
  return Math.ceil((ENTRY_BYTES + keySize + valueSize) / BLOCK_BYTES);
}
