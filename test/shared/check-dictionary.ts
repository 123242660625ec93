/** Reads the memory of a dictionary and fails when an invariant is broken. */
import assert from 'node:assert/strict';
import { blocksFor } from '../../src/shared/block-chains.ts';
import {
  BLOCK_BYTES,
  ENTRY,
  ENTRY_BYTES,
  HEADER,
  layoutOf,
  SIZE_MASK,
  TYPE_SHIFT,
  viewsOf,
} from '../../src/shared/layout.ts';
import { sipHash } from '../../src/shared/sip-hash.ts';

/** Checks the invariants of a dictionary that no thread is using; returns its entries, the most recently used first. */
export function checkDictionary(buffer: SharedArrayBuffer): { key: string; blocks: number }[] {
  const { words, bytes } = viewsOf(buffer);
  const layout = layoutOf(buffer.byteLength);
  const word = (index: number): number => words[index] as number;
  const base = (block: number): number => layout.blocksAt + block * (BLOCK_BYTES / 4);
  assert.ok((base(layout.blocks) + BLOCK_BYTES / 4) * 4 <= buffer.byteLength, 'the last block is inside');
  assert.equal(word(HEADER.lock), 0, 'nobody holds the lock');
  assert.equal(word(HEADER.dirty), 0, 'no change is under way');
  assert.equal(word(HEADER.writing), 0, 'no value is being written');
  const owner = new Map<number, string>();
  const take = (block: number, what: string): void => {
    assert.ok(block >= 1 && block <= layout.blocks, `block ${block} of ${what} exists`);
    assert.equal(owner.get(block), undefined, `block ${block} of ${what} belongs to nothing else`);
    owner.set(block, what);
  };

  const found = new Map<number, { key: string; blocks: number }>();
  for (let bucket = 0; bucket < layout.buckets; bucket++) {
    for (let entry = word(layout.bucketsAt + bucket); entry !== 0; entry = word(base(entry) + ENTRY.next)) {
      const keySize = word(base(entry) + ENTRY.keySize);
      const valueSize = word(base(entry) + ENTRY.sizeAndType) & SIZE_MASK;
      const type = word(base(entry) + ENTRY.sizeAndType) >>> TYPE_SHIFT;
      assert.ok(type >= 1 && type <= 5, `type ${type}`);
      const parts: Uint8Array[] = [];
      let blocks = 0;
      for (let block = entry; block !== 0; block = word(layout.chainsAt + block)) {
        take(block, `entry ${entry}`);
        const skipped = blocks === 0 ? ENTRY_BYTES : 0;
        parts.push(bytes.subarray(base(block) * 4 + skipped, base(block) * 4 + BLOCK_BYTES));
        blocks += 1;
      }
      assert.equal(blocks, blocksFor(keySize, valueSize), 'an entry has the blocks it needs');
      const content = Buffer.concat(parts);
      const hash = sipHash(content, 0, keySize, word(HEADER.seed0), word(HEADER.seed1));
      assert.equal(word(base(entry) + ENTRY.hash), hash, 'the hash is that of the key');
      assert.equal(hash & (layout.buckets - 1), bucket, 'an entry stands in its bucket');
      found.set(entry, { key: content.toString('latin1', 0, keySize), blocks });
    }
  }
  assert.equal(word(HEADER.entries), found.size, 'entries are counted');

  const order: { key: string; blocks: number }[] = [];
  let newer = 0;
  for (let entry = word(HEADER.newest); entry !== 0; entry = word(base(entry) + ENTRY.older)) {
    const one = found.get(entry);
    assert.ok(one !== undefined, 'an entry in the order of use stands in a bucket, and once');
    found.delete(entry);
    order.push(one);
    assert.equal(word(base(entry) + ENTRY.newer), newer, 'the order of use is the same both ways');
    newer = entry;
  }
  assert.equal(word(HEADER.oldest), newer);
  assert.equal(found.size, 0, 'each entry stands in the order of use');

  let free = 0;
  let last = 0;
  for (let block = word(HEADER.free); block !== 0; block = word(layout.chainsAt + block)) {
    take(block, 'the free blocks');
    free += 1;
    last = block;
  }
  if (free > 0) assert.equal(word(HEADER.freeLast), last, 'the last free block is known');
  assert.equal(word(HEADER.freeCount), free, 'free blocks are counted');
  assert.equal(owner.size, word(HEADER.fresh), 'every block that was ever used is in use or free');
  for (const block of owner.keys()) assert.ok(block <= word(HEADER.fresh), 'blocks are taken in order');
  return order;
}
