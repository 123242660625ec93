/** A first-in first-out queue of bytes that keeps the chunks it was given and copies only what is taken. */
import { assert } from './assert.ts';

const EMPTY: Uint8Array = new Uint8Array(0);
const LF = 10;
/** Chunks already read are dropped from the array in bulk once this many stand at its front. */
const COMPACT_AFTER_CHUNKS = 32;
/** Chunks up to this size are joined. */
const SHORT_BYTES_MAX = 256;
const JOINT_BYTES = 4096;
/** Copies are gathered in blocks of this size: what readers ask for and files are written in. */
const COPY_BYTES = 64 * 1024;
/** Blocks that a worker keeps for reuse, 4 MiB: each fresh block costs the garbage collector time. */
const BLOCKS_KEPT_MAX = 64;

const spareBlocks: Uint8Array[] = [];

/** What a reader does with bytes that wait, whether they are a whole queue or the front of one. */
export type ReadableBytes = Pick<
  ByteQueue,
  'length' | 'takeInto' | 'take' | 'takeChunk' | 'isReusable' | 'lend' | 'lineLength'
>;

export class ByteQueue {
  #chunks: Uint8Array[] = [];
  /** Index of the first chunk that has unread bytes. */
  #head = 0;
  /** Offset of the first unread byte in that chunk. */
  #offset = 0;
  #length = 0;
  #taken = 0;
  /** Memory of the chunks, read or not yet: a chunk goes as a whole. */
  #memory = 0;
  /** The block that holds the last chunk, if that chunk is a copy; the block may have room behind it. */
  #copy: Uint8Array = EMPTY;
  /** Holds the last chunk, where that was made of short ones. */
  #joint: Uint8Array | undefined;
  /** The memory of the blocks in this queue that were filled by copies. */
  #blocks: Set<ArrayBufferLike> | undefined;
  /** Somebody has a view of the first chunk. */
  #viewed = false;
  readonly #recycle: ((chunk: Uint8Array) => void) | undefined;

  /** `recycle` gets each chunk whose bytes were all copied out and of which no view exists. */
  constructor(recycle?: (chunk: Uint8Array) => void) {
    this.#recycle = recycle;
  }

  /** Bytes waiting. */
  get length(): number {
    return this.#length;
  }

  /** Bytes that were taken out so far: whoever reads alone sees by it that somebody else reads, too. */
  get taken(): number {
    return this.#taken;
  }

  /** Memory that the queue holds: whole chunks, including the bytes of the first chunk that were read and the room behind the last one. */
  get memory(): number {
    return this.#memory;
  }

  /** Appends a chunk; the queue owns it from now on and never changes it. */
  push(chunk: Uint8Array): void {
    if (chunk.length === 0) return;
    this.#length += chunk.length;
    if (chunk.length > SHORT_BYTES_MAX || this.#recycle !== undefined || !this.#join(chunk)) {
      this.#chunks.push(chunk);
      this.#memory += chunk.buffer.byteLength;
    }
  }

  /**
   * Appends bytes that are only lent, by a copy. Copies are gathered in chunks of at most COPY_BYTES; `following` is how many
   * more bytes are known to come.
   */
  pushCopy(bytes: Uint8Array, following = 0): void {
    const size = bytes.length;
    if (size === 0) return;
    let at = this.#chunks.length - 1;
    const last = at < this.#head ? undefined : (this.#chunks[at] as Uint8Array);
    let copy = this.#copy;
    let start = 0;
    if (
      last !== undefined &&
      last.buffer === copy.buffer &&
      last.byteOffset === copy.byteOffset &&
      last.length + size <= copy.length
    ) {
      start = last.length;
    } else {
      copy = this.#allocate(Math.max(size, Math.min(size + following, COPY_BYTES)));
      this.#copy = copy;
      this.#memory += copy.buffer.byteLength;
      at = this.#chunks.length;
    }
    copy.set(bytes, start);
    this.#chunks[at] = start + size === copy.length ? copy : copy.subarray(0, start + size);
    this.#length += size;
  }

  /** Adds a short chunk to a short chunk before it: many short chunks take many times the memory of their bytes. */
  #join(chunk: Uint8Array): boolean {
    const at = this.#chunks.length - 1;
    const last = at < this.#head ? undefined : (this.#chunks[at] as Uint8Array);
    if (last === undefined) return false;
    const size = last.length + chunk.length;
    let joint = this.#joint;
    if (joint === undefined || last.buffer !== joint.buffer || last.byteOffset !== joint.byteOffset) {
      if (last.length > SHORT_BYTES_MAX) return false;
      joint = new Uint8Array(JOINT_BYTES);
      joint.set(last);
      this.#joint = joint;
      this.#memory += JOINT_BYTES - last.buffer.byteLength;
    } else if (size > JOINT_BYTES) return false;
    joint.set(chunk, last.length);
    this.#chunks[at] = joint.subarray(0, size);
    return true;
  }

  /** Copies the next `size` bytes (at most `length`) into `target` at `at` and removes them. */
  takeInto(target: Uint8Array, at: number, size: number): void {
    assert(size <= this.#length, 'no more bytes are taken than the queue holds');
    let left = size;
    let position = at;
    while (left > 0) {
      const chunk = this.#chunks[this.#head] as Uint8Array;
      const n = Math.min(left, chunk.length - this.#offset);
      if (n <= 16) for (let i = 0; i < n; i++) target[position + i] = chunk[this.#offset + i] as number;
      else target.set(chunk.subarray(this.#offset, this.#offset + n), position);
      this.#advance(n, chunk);
      position += n;
      left -= n;
    }
  }

  /** Removes and returns the next `size` bytes (at most `length`); a view of a chunk where one chunk has them all. */
  take(size: number): Uint8Array {
    assert(size <= this.#length, 'no more bytes are taken than the queue holds');
    if (size === 0) return EMPTY;
    const chunk = this.#chunks[this.#head] as Uint8Array;
    if (chunk.length - this.#offset >= size) {
      const view = chunk.subarray(this.#offset, this.#offset + size);
      this.#viewed = true;
      this.#advance(size, chunk);
      return view;
    }
    const joined = new Uint8Array(size);
    this.takeInto(joined, 0, size);
    return joined;
  }

  /** True when the first chunk is used again as soon as its bytes have been copied out: the caller makes no view of it. */
  get isReusable(): boolean {
    if (this.#viewed) return false;
    return (
      this.#recycle !== undefined || this.#blocks?.has((this.#chunks[this.#head] ?? EMPTY).buffer) === true
    );
  }

  /** Calls `use` with the rest of the first chunk, at most `sizeMax` bytes, and removes these bytes. `use` keeps no view of them. */
  lend<T>(sizeMax: number, use: (bytes: Uint8Array) => T): T {
    if (this.#length === 0) return use(EMPTY);
    const chunk = this.#chunks[this.#head] as Uint8Array;
    const size = Math.min(sizeMax, chunk.length - this.#offset);
    const result = use(chunk.subarray(this.#offset, this.#offset + size));
    // whoever used them may have ended it all
    if (this.#chunks[this.#head] === chunk) this.#advance(size, chunk);
    return result;
  }

  /** Removes and returns what is left of the first chunk, at most `sizeMax` bytes of it; empty when the queue is. */
  takeChunk(sizeMax: number = Number.POSITIVE_INFINITY): Uint8Array {
    if (this.#length === 0) return EMPTY;
    return this.take(Math.min(sizeMax, (this.#chunks[this.#head] as Uint8Array).length - this.#offset));
  }

  /** Puts bytes back at the front, so that they are the next to be taken. */
  unshift(chunk: Uint8Array): void {
    if (chunk.length === 0) return;
    const rest = this.#chunks.slice(this.#head);
    if (this.#offset > 0 && rest[0] !== undefined) rest[0] = rest[0].subarray(this.#offset);
    this.#chunks = [chunk, ...rest];
    this.#head = 0;
    this.#offset = 0;
    // the chunk that was the first may have views too
    this.#viewed = true;
    this.#length += chunk.length;
    this.#memory += chunk.buffer.byteLength;
  }

  /** Number of bytes up to and including the first line feed found at or after byte `from`; -1 when there is none. */
  lineLength(from = 0): number {
    let passed = 0;
    for (let i = this.#head; i < this.#chunks.length; i++) {
      const chunk = this.#chunks[i] as Uint8Array;
      const start = i === this.#head ? this.#offset : 0;
      const size = chunk.length - start;
      if (passed + size > from) {
        const at = chunk.indexOf(LF, start + Math.max(0, from - passed));
        if (at !== -1) return passed + at - start + 1;
      }
      passed += size;
    }
    return -1;
  }

  /** Byte number `index` (0 is the next to be taken) without taking it; undefined past the end. */
  peek(index: number): number | undefined {
    let left = index;
    for (let i = this.#head; i < this.#chunks.length; i++) {
      const chunk = this.#chunks[i] as Uint8Array;
      const start = i === this.#head ? this.#offset : 0;
      if (left < chunk.length - start) return chunk[start + left];
      left -= chunk.length - start;
    }
    return undefined;
  }

  /**
   * The bytes from number `from` (0 is the next to be taken) to the end of the chunk that holds it, without taking them; empty past the
   * end. The caller keeps no view of them.
   */
  peekChunk(from: number): Uint8Array {
    let left = from;
    for (let i = this.#head; i < this.#chunks.length; i++) {
      const chunk = this.#chunks[i] as Uint8Array;
      const start = i === this.#head ? this.#offset : 0;
      if (left < chunk.length - start) return chunk.subarray(start + left);
      left -= chunk.length - start;
    }
    return EMPTY;
  }

  /** Drops all bytes. */
  clear(): void {
    this.#chunks = [];
    this.#head = 0;
    this.#offset = 0;
    this.#length = 0;
    this.#memory = 0;
    this.#viewed = false;
    this.#blocks = undefined;
    this.#copy = EMPTY;
  }

  /** Buffer's memory need not be cleared first. */
  #allocate(size: number): Uint8Array {
    if (size !== COPY_BYTES) return Buffer.allocUnsafeSlow(size);
    const block = spareBlocks.pop() ?? Buffer.allocUnsafeSlow(COPY_BYTES);
    this.#blocks ??= new Set();
    this.#blocks.add(block.buffer);
    return block;
  }

  /** All bytes of a block are taken: another queue may fill the block next, unless a view of it exists. */
  #leaveBlock(chunk: Uint8Array): void {
    if (this.#copy.buffer === chunk.buffer) this.#copy = EMPTY;
    if (!this.#viewed && spareBlocks.length < BLOCKS_KEPT_MAX) spareBlocks.push(new Uint8Array(chunk.buffer));
  }

  #advance(n: number, chunk: Uint8Array): void {
    this.#length -= n;
    this.#taken += n;
    this.#offset += n;
    if (this.#offset < chunk.length) return;
    this.#memory -= chunk.buffer.byteLength;
    if (this.#blocks?.delete(chunk.buffer) === true) this.#leaveBlock(chunk);
    else if (!this.#viewed) this.#recycle?.(chunk);
    this.#viewed = false;
    this.#chunks[this.#head] = EMPTY;
    this.#head += 1;
    this.#offset = 0;
    if (this.#head === this.#chunks.length) {
      this.#chunks.length = 0;
      this.#head = 0;
    } else if (this.#head >= COMPACT_AFTER_CHUNKS) {
      this.#chunks.splice(0, this.#head);
      this.#head = 0;
    }
  }
}
