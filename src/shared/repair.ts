/**
 * Repairs a dictionary after a thread has ended in the middle of a change. The entries in the buckets stay, except the one whose
 * value was being written; the order, the free blocks and the counts are made anew from the entries.
 */
import { blocksFor } from './block-chains.ts';
import { ENTRY, empty, HEADER, type Layout, layoutOf, SIZE_MASK, type Views } from './layout.ts';

export type RepairOutcome = 'repaired' | 'emptied';

const WORDS_PER_BLOCK = 16;
/** What is known of a block. */
const USED = 1;
const ENTRY_FOUND = 2;
const ENTRY_ORDERED = 3;

/** Repairs the dictionary. The caller holds the lock, or has found that its holder has ended. */
export function repair(views: Views): RepairOutcome {
  const { words } = views;
  const layout = layoutOf(views.bytes.length);
  const blocks = new Uint8Array(layout.blocks + 1);
  const entries = gather(words, layout, blocks);
  if (entries === undefined) {
    // an ended thread cannot cause this; where something else has, no entry can be trusted
    empty(views);
    return 'emptied';
  }
  linkByUse(words, layout, blocks, entries);
  linkFree(words, layout, blocks);
  words[HEADER.entries] = entries.length;
  words[HEADER.hand] = 0;
  words[HEADER.writing] = 0;
  words[HEADER.dirty] = 0;
  return 'repaired';
}

/** Returns all whole entries, and marks their blocks; undefined if the buckets are damaged. */
function gather(words: Int32Array, layout: Layout, blocks: Uint8Array): number[] | undefined {
  const entries: number[] = [];
  for (let bucket = layout.bucketsAt; bucket < layout.bucketsAt + layout.buckets; bucket++) {
    let link = bucket;
    for (let entry = words[link] as number; entry !== 0; entry = words[link] as number) {
      if (!(entry > 0 && entry <= layout.blocks)) return undefined;
      const base = layout.blocksAt + entry * WORDS_PER_BLOCK;
      if (entry === words[HEADER.writing]) {
        words[link] = words[base + ENTRY.next] as number;
        // an entry may stand in one bucket only
        words[HEADER.writing] = 0;
        continue;
      }
      if (!markChain(words, layout, blocks, entry)) return undefined;
      blocks[entry] = ENTRY_FOUND;
      entries.push(entry);
      link = base + ENTRY.next;
    }
  }
  return entries;
}

/** Marks the blocks of an entry; false if their number is not what the entry needs, or if one belongs to another entry, too. */
function markChain(words: Int32Array, layout: Layout, blocks: Uint8Array, entry: number): boolean {
  const base = layout.blocksAt + entry * WORDS_PER_BLOCK;
  const keySize = words[base + ENTRY.keySize] as number;
  const valueSize = (words[base + ENTRY.sizeAndType] as number) & SIZE_MASK;
  let block = entry;
  for (let left = blocksFor(keySize, valueSize); left > 0; left--) {
    if (!(block > 0 && block <= layout.blocks) || blocks[block] !== 0) return false;
    blocks[block] = USED;
    block = words[layout.chainsAt + block] as number;
  }
  return block === 0;
}

/** Puts all entries into the order of their use, as far as this can be read from either end of the list. */
function linkByUse(words: Int32Array, layout: Layout, blocks: Uint8Array, entries: readonly number[]): void {
  const newestFirst = follow(words, layout, blocks, HEADER.newest, ENTRY.older);
  const oldestFirst = follow(words, layout, blocks, HEADER.oldest, ENTRY.newer);
  const between = entries.filter((entry) => blocks[entry] === ENTRY_FOUND);
  let newer = 0;
  words[HEADER.newest] = 0;
  const link = (entry: number): void => {
    const base = layout.blocksAt + entry * WORDS_PER_BLOCK;
    words[base + ENTRY.newer] = newer;
    words[base + ENTRY.older] = 0;
    if (newer === 0) words[HEADER.newest] = entry;
    else words[layout.blocksAt + newer * WORDS_PER_BLOCK + ENTRY.older] = entry;
    newer = entry;
  };
  for (const entry of between) link(entry);
  for (const entry of newestFirst) link(entry);
  for (const entry of oldestFirst.reverse()) link(entry);
  words[HEADER.oldest] = newer;
}

function follow(
  words: Int32Array,
  layout: Layout,
  blocks: Uint8Array,
  start: number,
  field: number,
): number[] {
  const order: number[] = [];
  let entry = words[start] as number;
  while (blocks[entry] === ENTRY_FOUND) {
    blocks[entry] = ENTRY_ORDERED;
    order.push(entry);
    entry = words[layout.blocksAt + entry * WORDS_PER_BLOCK + field] as number;
  }
  return order;
}

function linkFree(words: Int32Array, layout: Layout, blocks: Uint8Array): void {
  let free = 0;
  let last = 0;
  let count = 0;
  const fresh = Math.min(Math.max(words[HEADER.fresh] as number, 0), layout.blocks);
  words[HEADER.fresh] = fresh;
  for (let block = fresh; block > 0; block--) {
    if (blocks[block] !== 0) continue;
    words[layout.chainsAt + block] = free;
    free = block;
    if (last === 0) last = block;
    count += 1;
  }
  words[HEADER.free] = free;
  words[HEADER.freeLast] = last;
  words[HEADER.freeCount] = count;
}
