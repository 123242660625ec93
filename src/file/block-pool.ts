/** Keeps the gather buffers of write-behind for the next file, so that a small file does not pay for a fresh 64 KiB. */

/** Writes are gathered into blocks of this size (bytes): past it, a system call costs less than its copy. */
export const BLOCK_BYTES: number = 64 * 1024;
/** Blocks kept for reuse: 4 MiB per worker. */
const BLOCKS_KEPT_MAX = 64;

export class BlockPool {
  readonly #free: Uint8Array[] = [];

  take(): Uint8Array {
    return this.#free.pop() ?? Buffer.allocUnsafeSlow(BLOCK_BYTES);
  }

  give(block: Uint8Array): void {
    if (this.#free.length < BLOCKS_KEPT_MAX) this.#free.push(block);
  }
}
