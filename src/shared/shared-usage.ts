/** What dictionaries hold and how they were used, as any thread can read it without their locks. */
import { BLOCK_BYTES, HEADER } from './layout.ts';
import { dictionariesOf, type SharedMemory } from './shared-memory.ts';

export interface SharedUsage {
  readonly name: string;
  /** Bytes of its memory, and of those the bytes that entries take. */
  readonly bytes: number;
  readonly usedBytes: number;
  /** Those that have expired and have not been removed yet are among them. */
  readonly entries: number;
  /** Each goes round at 2^32. */
  readonly hits: number;
  readonly misses: number;
  readonly evictions: number;
}

/** Each number by itself is right; together they may be of moments during a change. */
export function readSharedUsage(memory: SharedMemory): SharedUsage[] {
  return dictionariesOf(memory).map(({ name, views: { words, bytes } }) => {
    const read = (word: number): number => Atomics.load(words, word) >>> 0;
    const blocks = Math.max(0, read(HEADER.fresh) - read(HEADER.freeCount));
    return {
      name,
      bytes: bytes.length,
      usedBytes: blocks * BLOCK_BYTES,
      entries: read(HEADER.entries),
      hits: read(HEADER.hits),
      misses: read(HEADER.misses),
      evictions: read(HEADER.evictions),
    };
  });
}
