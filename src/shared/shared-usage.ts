/** What dictionaries hold and how they were used, as any thread can read it without their locks. */
import { BLOCK_BYTES, HEADER } from './layout.ts';
import { type SharedMemory, undeclaredNames } from './shared-memory.ts';

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
  const names = undeclaredNames(memory);
  const spare = memory.spare.slice(0, names.length);
  const all = [...memory.declared, ...spare.map((buffer, i) => ({ name: names[i] as string, buffer }))];
  return all.map(({ name, buffer }) => {
    const words = new Int32Array(buffer);
    const read = (word: number): number => Atomics.load(words, word) >>> 0;
    const blocks = Math.max(0, read(HEADER.fresh) - read(HEADER.freeCount));
    return {
      name,
      bytes: buffer.byteLength,
      usedBytes: blocks * BLOCK_BYTES,
      entries: read(HEADER.entries),
      hits: read(HEADER.hits),
      misses: read(HEADER.misses),
      evictions: read(HEADER.evictions),
    };
  });
}
