/**
 * Makes a dictionary whole again after a thread has ended in the middle of a change: what the buckets hold stays, but
 * for the one entry whose value was being written; order, free blocks and counts are made anew from it.
 */
import { blocksFor } from './block-chains.ts';
import { ENTRY, empty, HEADER, type Layout, layoutOf, SIZE_MASK, type Views } from './layout.ts';

export type RepairOutcome = 'repaired' | 'emptied';

const WORDS_PER_BLOCK = 16;
/** What is known of a block. */
const USED = 1;
const ENTRY_FOUND = 2;
const ENTRY_ORDERED = 3;

/** The caller holds the lock, or has found that its holder is dead. */
export function repair(views: Views): RepairOutcome {
  const { words } = views;
  const layout = layoutOf(views.bytes.length);
  const blocks = new Uint8Array(layout.blocks + 1);
  const entries = gather(words, layout, blocks);
  if (entries === undefined) {
    // no death leaves this behind; but if something else has, nothing in it can be trusted
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

/** All whole entries, with their blocks marked; undefined if the buckets themselves are damaged. */
function gather(words: Int32Array, layout: Layout, blocks: Uint8Array): number[] | undefined {
  const entries: number[] = [];
  for (let bucket = layout.bucketsAt; bucket < layout.bucketsAt + layout.buckets; bucket++) {
    let link = bucket;
    for (let entry = words[link] as number; entry !== 0; entry = words[link] as number) {
      if (!(entry > 0 && entry <= layout.blocks)) return undefined;
      const base = layout.blocksAt + entry * WORDS_PER_BLOCK;
      if (entry === words[HEADER.writing]) {
        words[link] = words[base + ENTRY.next] as number;
        // it may come but once
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

/** Marks the blocks of an entry; false if they are not exactly as many as it needs, or belong to another as well. */
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

/** Puts all entries in the order of use, as far as it can be read from either end. */
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
