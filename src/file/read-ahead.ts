/** The reading half of an open file: keeps its queue of bytes ahead of the reader, one block at a time. */
import { fstatSync, read, readSync } from 'node:fs';
import { ByteQueue } from '../base/byte-queue.ts';
import type { Descriptor } from './descriptor.ts';
import type { Operation, OperationOwner, OperationQueue } from './operation-queue.ts';

/** First block of a file read from its start (bytes). */
const BLOCK_BYTES_FIRST = 64 * 1024;
/** First block after a seek (bytes): random access must not read much that nobody uses. */
const BLOCK_BYTES_AFTER_SEEK = 16 * 1024;
/** Blocks double up to this size while the reader goes on; two of them may be held. */
const BLOCK_BYTES_MAX = 256 * 1024;
/** The most bytes of one read: a request for gigabytes allocates no more than this beyond the end of the file. */
const OPERATION_BYTES_MAX = 1024 * 1024;
/** Buffer of a read that finds the end, or reads a file without a known size, as those of /proc (bytes). */
const PROBE_BYTES = 4096;
/** A device that has nothing yet is asked again after this time. */
const RETRY_MS = 20;

/** The owner of both halves, which report to it. `progressed` always follows `failed`. */
export interface FileHost {
  failed(thrown: unknown): void;
  progressed(): void;
}

export interface FileParts {
  readonly descriptor: Descriptor;
  /** False for devices: they have no positions. */
  readonly positional: boolean;
  readonly operations: OperationQueue;
  readonly owner: OperationOwner;
}

export class ReadAhead implements Operation {
  readonly queue: ByteQueue = new ByteQueue((chunk) => this.#keep(chunk));
  readonly #parts: FileParts;
  readonly #host: FileHost;
  /** Position in the file behind the last byte of the queue. */
  #end = 0;
  #fileBytes: number;
  #blockBytes = BLOCK_BYTES_FIRST;
  #buffer: Buffer | undefined;
  /** A block whose bytes have been read, kept for reuse: each fresh block of this size costs the garbage collector time. */
  #spare: Buffer | undefined;
  /** The number of the present series of blocks. The result of a read for an older series is discarded. */
  #generation = 0;
  #generationInFlight = 0;
  #state: 'idle' | 'waiting' | 'inFlight' | 'pausing' = 'idle';
  #wantedBytes = 0;
  #retry: NodeJS.Timeout | undefined;
  /** The last block was full: the file is read sequentially. */
  #sequential = false;
  #atEnd = false;

  /** `fileBytes`: size of the file when it was opened. */
  constructor(parts: FileParts, fileBytes: number, host: FileHost) {
    this.#parts = parts;
    this.#fileBytes = fileBytes;
    this.#host = host;
  }

  /** Position of the next unread byte. */
  get position(): number {
    return this.#end - this.queue.length;
  }

  get atEnd(): boolean {
    return this.#atEnd;
  }

  /** Looks again for more at the next `fetch`. */
  clearEnd(): void {
    this.#atEnd = false;
  }

  /** Moves to `position`, within the queue where the bytes have been read already. */
  moveTo(position: number): void {
    const skipped = position - this.position;
    if (skipped >= 0 && skipped <= this.queue.length) this.queue.take(skipped);
    else this.reset(position);
    this.#atEnd = false;
  }

  /** Forgets everything read ahead and starts again at `position`. */
  reset(position: number): void {
    this.queue.clear();
    this.#atEnd = false;
    this.#sequential = false;
    if (position !== this.#end)
      this.#blockBytes = position === 0 ? BLOCK_BYTES_FIRST : BLOCK_BYTES_AFTER_SEEK;
    this.#end = position;
    this.#generation += 1;
    clearTimeout(this.#retry);
    if (this.#state === 'pausing') this.#state = 'idle';
    if (this.#state === 'waiting' && this.#parts.operations.withdraw(this.#parts.owner, this)) {
      this.#state = 'idle';
    }
  }

  /** Starts a read, unless one is running, when the queue has fewer than `size` bytes. */
  fetch(size: number): void {
    this.#wantedBytes = size;
    if (this.#state !== 'idle') return;
    this.#state = 'waiting';
    this.#parts.operations.submit(this.#parts.owner, this);
  }

  /** The reader has taken bytes: reads the next block while the reader uses this one. */
  consumed(): void {
    if (this.#sequential && this.#state === 'idle' && this.queue.length < this.#blockBytes >> 1)
      this.#prefetch();
  }

  /** Reads the next block, as the operation queue has given this file a turn. */
  start(): void {
    const length = this.#nextLength();
    const buffer = this.#takeSpare(length) ?? Buffer.allocUnsafeSlow(length);
    this.#buffer = buffer;
    this.#generationInFlight = this.#generation;
    this.#state = 'inFlight';
    this.#parts.descriptor.acquire();
    const position = this.#parts.positional ? this.#end : null;
    read(this.#parts.descriptor.fd, buffer, 0, length, position, this.#onRead);
  }

  /** Reads before it returns until the queue holds `size` bytes or the end is reached; throws the error of read(2). */
  fillSync(size: number): void {
    if (this.#state === 'waiting' && this.#parts.operations.withdraw(this.#parts.owner, this))
      this.#state = 'idle';
    // a read in flight begins at the same position: its result is discarded
    if (this.#state === 'inFlight' && this.#parts.positional) this.#generation += 1;
    this.#wantedBytes = size;
    while (this.queue.length < size && !this.#atEnd) {
      const buffer = Buffer.allocUnsafeSlow(this.#nextLength());
      const position = this.#parts.positional ? this.#end : null;
      this.#accept(buffer, readSync(this.#parts.descriptor.fd, buffer, 0, buffer.length, position));
    }
  }

  /** True while a read of a device is in flight, whose bytes cannot be read again. */
  get holdsUnrepeatableRead(): boolean {
    return this.#state === 'inFlight' && !this.#parts.positional;
  }

  /** Starts no further read. */
  stop(): void {
    this.reset(this.#end);
    this.#spare = undefined;
    this.#sequential = false;
  }

  #keep(chunk: Uint8Array): void {
    if (chunk.length === BLOCK_BYTES_MAX && Buffer.isBuffer(chunk)) this.#spare = chunk;
  }

  #takeSpare(length: number): Buffer | undefined {
    if (length !== BLOCK_BYTES_MAX) return undefined;
    const spare = this.#spare;
    this.#spare = undefined;
    return spare;
  }

  #prefetch(): void {
    if (this.#atEnd || this.#end >= this.#fileBytes || !this.#parts.positional) return;
    this.fetch(0);
  }

  /** The rest of the file by its size, and one byte more: a short read then proves the end. */
  #nextLength(): number {
    const missing = this.#wantedBytes - this.queue.length;
    if (!this.#parts.positional) return Math.min(Math.max(missing, 1), BLOCK_BYTES_FIRST);
    const length = Math.min(Math.max(this.#blockBytes, missing), OPERATION_BYTES_MAX);
    if (this.#end >= this.#fileBytes) this.#fileBytes = fstatSync(this.#parts.descriptor.fd).size;
    return Math.min(length, Math.max(this.#fileBytes - this.#end + 1, PROBE_BYTES));
  }

  readonly #onRead = (thrown: NodeJS.ErrnoException | null, size: number): void => {
    const buffer = this.#buffer as Buffer;
    this.#buffer = undefined;
    this.#state = 'idle';
    const isCurrent = this.#generationInFlight === this.#generation;
    const hasNothingYet = isCurrent && thrown?.code === 'EAGAIN';
    if (isCurrent && thrown === null) this.#accept(buffer, size);
    else if (hasNothingYet) this.#pause();
    else if (isCurrent) this.#host.failed(thrown);
    this.#parts.operations.finished(this.#parts.owner);
    this.#parts.descriptor.release();
    if (!hasNothingYet) this.#host.progressed();
  };

  #pause(): void {
    this.#state = 'pausing';
    this.#retry = setTimeout(() => {
      this.#state = 'idle';
      this.#host.progressed();
    }, RETRY_MS);
  }

  #accept(buffer: Buffer, size: number): void {
    this.#end += size;
    const isFull = size === buffer.length;
    this.#atEnd = size === 0 || (this.#parts.positional && !isFull && this.#isKnownEnd());
    this.#sequential = isFull;
    if (isFull && this.#blockBytes < BLOCK_BYTES_MAX) this.#blockBytes *= 2;
    if (size > 0) this.queue.push(isFull ? buffer : buffer.subarray(0, size));
  }

  /** Files of /proc have a size of 0 and give their bytes in short reads. */
  #isKnownEnd(): boolean {
    return this.#fileBytes > 0 && this.#end >= this.#fileBytes;
  }
}
