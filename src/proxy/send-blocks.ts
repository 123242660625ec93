/** Blocks of memory in which bodies go to upstreams, used again and again: fresh ones would cost the garbage collector time. */

/** Content of one block: what a read of a socket brings at most. */
export const BLOCK_CONTENT_BYTES: number = 64 * 1024;
/** Room before the content for its size in chunked coding, and behind it for the end of the chunk. */
export const BLOCK_HEAD_BYTES = 16;
const BLOCK_TAIL_BYTES = 16;
/** Blocks that a worker keeps: 1 MiB. */
const BLOCKS_KEPT_MAX = 16;

const spare: Buffer[] = [];

export function takeBlock(): Buffer {
  return spare.pop() ?? Buffer.allocUnsafeSlow(BLOCK_HEAD_BYTES + BLOCK_CONTENT_BYTES + BLOCK_TAIL_BYTES);
}

/** Nobody reads it any more. */
export function giveBlock(block: Buffer): void {
  if (spare.length < BLOCKS_KEPT_MAX) spare.push(block);
}
