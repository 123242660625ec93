/** The layout of the memory of one dictionary, and the views of it; memory of zeros is an empty dictionary. */

/** Room for the words of the header; the lock has a cache line of its own. */
const HEADER_BYTES = 256;
/** A cache line: a counter with a short key fits in one block. */
export const BLOCK_BYTES = 64;
/** Words of an entry, before key and value, in its first block. */
export const ENTRY_BYTES = 40;
const WORD_BYTES = 4;
/** Blocks begin at a cache line, so that words of 8 bytes in them are aligned. */
const ALIGNMENT = 64;

/** Words of the header. Blocks are numbered from 1; 0 is none. */
export const HEADER = {
  lock: 0,
  /** Not 0 while an operation changes the structure. */
  dirty: 16,
  /** The entry whose value an operation overwrites; 0: none. */
  writing: 17,
  seed0: 18,
  seed1: 19,
  /** The first of the blocks that were used and given back. */
  free: 20,
  /** The last of these blocks: a chain is given back at this end and taken at the other, so that adjacent blocks stay adjacent. */
  freeLast: 28,
  freeCount: 21,
  /** Blocks with a higher number have never been used. */
  fresh: 22,
  newest: 23,
  oldest: 24,
  entries: 25,
  /** The bucket at which the search for expired entries goes on. */
  hand: 26,
  /** Not 0 as soon as an entry has had a time to live: until then no operation looks for expired entries. */
  mortal: 27,
  /** Counts that outlive everything but the memory, and go round: reads that found an entry, reads that did not, entries removed for room. */
  hits: 29,
  misses: 30,
  evictions: 31,
} as const;

/** Words of an entry, from the beginning of its first block. */
export const ENTRY = {
  hash: 0,
  /** The next entry of the same bucket. */
  next: 1,
  older: 2,
  newer: 3,
  /** A double: ms on the clock of the dictionary, 0 = never. */
  expires: 4,
  keySize: 6,
  /** Size of a string value; the high bits hold the type. */
  sizeAndType: 7,
  /** A double or an integer of 64 bits. */
  number: 8,
} as const;

/** A value is smaller than the largest dictionary, 256 MiB: the bits above its size hold its type. */
export const TYPE_SHIFT = 28;
export const SIZE_MASK: number = 2 ** TYPE_SHIFT - 1;

/** The same memory as bytes, words and numbers. */
export interface Views {
  /** For Atomics. */
  readonly lock: Int32Array;
  readonly words: Int32Array;
  readonly bytes: Uint8Array;
  readonly floats: Float64Array;
  readonly integers: BigInt64Array;
}

/** `at`, `size`: the part of the memory that is the dictionary's (bytes), multiples of 8. */
export function viewsOf(buffer: SharedArrayBuffer, at = 0, size: number = buffer.byteLength - at): Views {
  const words = new Int32Array(buffer, at, size / Int32Array.BYTES_PER_ELEMENT);
  return {
    lock: words,
    words,
    bytes: new Uint8Array(buffer, at, size),
    floats: new Float64Array(buffer, at, size / Float64Array.BYTES_PER_ELEMENT),
    integers: new BigInt64Array(buffer, at, size / BigInt64Array.BYTES_PER_ELEMENT),
  };
}

/** Where the parts of the memory begin, in words. */
export interface Layout {
  readonly blocks: number;
  /** A power of two. */
  readonly buckets: number;
  readonly bucketsAt: number;
  /** For each block, the block that follows it in its chain. */
  readonly chainsAt: number;
  /** Where block 0 would begin, which does not exist. */
  readonly blocksAt: number;
}

/** Returns the layout of a memory of so many bytes: a block takes its own size, a link, and at most one bucket. */
export function layoutOf(byteLength: number): Layout {
  const blocks = Math.floor(
    (byteLength - HEADER_BYTES - ALIGNMENT - WORD_BYTES) / (BLOCK_BYTES + 2 * WORD_BYTES),
  );
  const buckets = 2 ** Math.floor(Math.log2(blocks));
  const bucketsAt = HEADER_BYTES / WORD_BYTES;
  const chainsAt = bucketsAt + buckets;
  const end = (chainsAt + blocks + 1) * WORD_BYTES;
  const firstBlock = Math.ceil(end / ALIGNMENT) * ALIGNMENT;
  return { blocks, buckets, bucketsAt, chainsAt, blocksAt: (firstBlock - BLOCK_BYTES) / WORD_BYTES };
}

/** Empties a dictionary, whole or damaged; the caller holds the lock. The last write notes that no operation changes the structure. */
export function empty(views: Views): void {
  const { words } = views;
  const { buckets, bucketsAt } = layoutOf(views.bytes.length);
  words.fill(0, bucketsAt, bucketsAt + buckets);
  for (const word of EMPTIED_WORDS) words[word] = 0;
  words[HEADER.dirty] = 0;
}

const EMPTIED_WORDS: readonly number[] = [
  HEADER.writing,
  HEADER.free,
  HEADER.freeLast,
  HEADER.freeCount,
  HEADER.fresh,
  HEADER.newest,
  HEADER.oldest,
  HEADER.entries,
  HEADER.hand,
  HEADER.mortal,
];
