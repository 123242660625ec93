/**
 * Collects a worker's lines of the access log: a message to the supervisor carries those of some milliseconds as bytes. Lines
 * that the supervisor has not taken yet are bounded: when it is slow, further ones are dropped and counted.
 */
import type { LineBuffer, LineSource } from '../access/line-buffer.ts';
import { LentBlock } from '../base/lent-block.ts';

/** A batch is sent when the first of its lines has waited this long: a message costs as much as a hundred lines (ms). */
const WAIT_MS = 50;
/** A batch of this many bytes is sent at once: two thousand lines pay for a message. */
const BATCH_BYTES_MAX = 256 * 1024;
/** Blocks that batches leave in: what a worker has ready where the disk is slow (2 MiB). */
const BLOCKS_MAX = 8;
/** A shorter batch is not worth a block. */
const BLOCK_BYTES_MIN = 32 * 1024;
/** Bytes of lines that wait here and on the way to the supervisor. */
const WAITING_MAX = 4 * 1024 * 1024;
/** Dropped lines are told of once in so many milliseconds. */
const NOTICE_MS = 5000;
const LINE_FEED = 10;

export class AccessBatch implements LineBuffer {
  readonly #send: (bytes: Uint8Array, count: number) => void;
  readonly #onTheWay: Int32Array;
  readonly #tell: (dropped: number) => void;
  readonly #countDropped: () => void;
  /** Lines are bytes at once: texts that wait, made of many pieces, would have to be moved by each collection. Made at the first line. */
  bytes: Buffer = Buffer.alloc(0);
  #length = 0;
  #count = 0;
  #waiting = false;
  /** Has lines that are not written yet. */
  #source: LineSource | undefined;
  readonly #blocks: LentBlock[] = [];
  #dropped = 0;

  /**
   * `onTheWay`: the second of two Int32 counts the bytes that were sent; the receiver takes off what it has taken. `send` gets bytes that
   * are its own, or lent by a block. `tell` hears, once in five seconds, how many lines were dropped,
   * and `countDropped` of each.
   */
  constructor(
    onTheWay: SharedArrayBuffer,
    send: (bytes: Uint8Array, count: number) => void,
    tell: (dropped: number) => void,
    countDropped: () => void,
  ) {
    this.#onTheWay = new Int32Array(onTheWay);
    this.#send = send;
    this.#tell = tell;
    this.#countDropped = countDropped;
  }

  claim(bytesMax: number): number {
    const needed = bytesMax + 1;
    if (this.#length > 0 && this.#length + needed > BATCH_BYTES_MAX) this.#sendBatch();
    if (this.#length === 0 && Atomics.load(this.#onTheWay, 1) > WAITING_MAX - BATCH_BYTES_MAX) {
      this.#drop();
      return -1;
    }
    if (this.#length + needed > this.bytes.length)
      this.bytes = Buffer.allocUnsafeSlow(Math.max(BATCH_BYTES_MAX, needed));
    return this.#length;
  }

  commit(end: number): void {
    this.bytes[end] = LINE_FEED;
    this.#length = end + 1;
    this.#count += 1;
    if (!this.#waiting) this.#wait();
  }

  willWrite(source: LineSource): void {
    if (this.#source === source) return;
    // the lines of one source stand before those of the next
    this.#source?.writeLines(this);
    this.#source = source;
    if (!this.#waiting) this.#wait();
  }

  #wait(): void {
    this.#waiting = true;
    setTimeout(this.flush, WAIT_MS);
  }

  /** Sends all waiting lines; the thread also calls this before it ends. */
  readonly flush = (): void => {
    this.#waiting = false;
    const source = this.#source;
    this.#source = undefined;
    source?.writeLines(this);
    if (this.#count > 0) this.#sendBatch();
  };

  #sendBatch(): void {
    const bytes = this.#copy(this.bytes.subarray(0, this.#length));
    const count = this.#count;
    this.#length = 0;
    this.#count = 0;
    Atomics.add(this.#onTheWay, 1, bytes.length);
    this.#send(bytes, count);
  }

  #copy(lines: Buffer): Uint8Array {
    if (lines.length >= BLOCK_BYTES_MIN && lines.length <= BATCH_BYTES_MAX) {
      const block = this.#freeBlock();
      if (block !== undefined) return block.lend(lines);
    }
    const own = Buffer.allocUnsafeSlow(lines.length);
    lines.copy(own);
    return own;
  }

  #freeBlock(): LentBlock | undefined {
    const free = this.#blocks.find(({ isFree }) => isFree);
    if (free !== undefined || this.#blocks.length === BLOCKS_MAX) return free;
    const made = new LentBlock(BATCH_BYTES_MAX);
    this.#blocks.push(made);
    return made;
  }

  #drop(): void {
    if (this.#dropped === 0) {
      setTimeout(() => {
        this.#tell(this.#dropped);
        this.#dropped = 0;
      }, NOTICE_MS).unref();
    }
    this.#dropped += 1;
    this.#countDropped();
  }
}
