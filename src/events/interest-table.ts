/**
 * Which threads have subscribers to what, in memory that all of them see, so that a message goes only where somebody may want it. A channel is
 * known by a hash: two of the same hash only cost a message in vain.
 */

/** Hashes told apart; 16 KiB for each thread. */
const SLOTS = 4096;
const FNV_OFFSET = 0x811c_9dc5;
const FNV_PRIME = 0x0100_0193;

export class InterestTable {
  readonly memory: SharedArrayBuffer;
  readonly #counts: Int32Array;

  /** `threads`: a number, for new memory, whose threads are numbered from 0; or the memory. */
  constructor(threads: number | SharedArrayBuffer) {
    this.memory =
      typeof threads === 'number'
        ? new SharedArrayBuffer(threads * SLOTS * Int32Array.BYTES_PER_ELEMENT)
        : threads;
    this.#counts = new Int32Array(this.memory);
  }

  /** The hash of a channel (FNV-1a). */
  static slotOf(channel: string): number {
    let hash = FNV_OFFSET;
    for (let i = 0; i < channel.length; i++) hash = Math.imul(hash ^ channel.charCodeAt(i), FNV_PRIME);
    return (hash ^ (hash >>> 16)) & (SLOTS - 1);
  }

  /** Only the thread itself changes its row. */
  add(thread: number, channel: string, change: 1 | -1): void {
    Atomics.add(this.#counts, thread * SLOTS + InterestTable.slotOf(channel), change);
  }

  /** The thread wants everything, as long as there is the table. */
  addAll(thread: number): void {
    for (let i = thread * SLOTS; i < (thread + 1) * SLOTS; i++) Atomics.store(this.#counts, i, 1);
  }

  /** How many subscribers the thread may have. */
  count(thread: number, slot: number): number {
    return Atomics.load(this.#counts, thread * SLOTS + slot);
  }

  /** The thread has ended. */
  forget(thread: number): void {
    for (let i = thread * SLOTS; i < (thread + 1) * SLOTS; i++) Atomics.store(this.#counts, i, 0);
  }
}
