/** Keeps the buffers that gather writes for the next file, so that a small file needs no new allocation of 64 KiB. */

/** Writes are gathered into blocks of this size (bytes): for more bytes, a system call costs less than copying them. */
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
