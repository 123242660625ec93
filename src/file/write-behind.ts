/**
 * The writing half of an open file: gathers small writes into blocks and brings them to the disk in order.
 *
 * Long because each way to flush, to fail and to close has to keep the order of one queue.
 */
import { readFileSync, write, writeSync, writev } from 'node:fs';
import { assert } from '../base/assert.ts';
import { BLOCK_BYTES, type BlockPool } from './block-pool.ts';
import type { FileError } from './file-error.ts';
import type { Operation } from './operation-queue.ts';
import type { FileHost, FileParts } from './read-ahead.ts';
import { sleepSync } from './system-call.ts';

/** The writer has to wait when so many bytes have not reached the system. */
const UNWRITTEN_BYTES_HIGH = 512 * 1024;
/** The writer goes on when no more bytes than these are left. */
const UNWRITTEN_BYTES_LOW = 256 * 1024;
/** Blocks that one system call writes. */
const BLOCKS_PER_OPERATION = 8;
/** Gathered bytes reach the disk after this time at the latest. */
const GATHER_MS = 50;
/** A device that takes nothing now is tried again after this time. */
const RETRY_MS = 20;
/** How long a caller that cannot suspend blocks for an append that a thread of the pool is making. */
const APPEND_WAIT_MS_MAX = 2000;

interface FlushWaiter {
  /** Total of bytes that has to be written. */
  readonly target: number;
  readonly done: (error: FileError | undefined) => void;
}

export interface WriteBehindHost extends FileHost {
  /** Makes a FileError of a thrown value. */
  errorOf(thrown: unknown): FileError;
}

export class WriteBehind implements Operation {
  readonly #parts: FileParts;
  readonly #append: boolean;
  readonly #blocks: BlockPool;
  readonly #host: WriteBehindHost;
  /** The block that gathers small writes, and how many of its bytes are used. */
  #block: Uint8Array | undefined;
  #used = 0;
  /** Full blocks, in order. */
  #full: Uint8Array[] = [];
  /** What libuv is writing: views, and the blocks that the views lie in. */
  #inFlight: Uint8Array[] = [];
  #inFlightBlocks: Uint8Array[] = [];
  #inFlightAt = 0;
  #inFlightBytes = 0;
  /** A call that could not wait has written the blocks in flight a second time: the result of the operation does not count. */
  #superseded = false;
  /** Totals of bytes taken and of bytes that have reached the system. */
  #taken = 0;
  #written = 0;
  /** Position in the file of byte 0 of these totals. */
  #base = 0;
  #state: 'idle' | 'waiting' | 'inFlight' | 'pausing' = 'idle';
  /** The next operation also writes the block that gathers. */
  #urgent = false;
  #eager: 'no' | 'line' | 'full' = 'full';
  #timer: NodeJS.Timeout | undefined;
  #retry: NodeJS.Timeout | undefined;
  #flushWaiters: FlushWaiter[] = [];
  #drainWaiters: (() => void)[] = [];
  #appendPosition = '';

  constructor(parts: FileParts, append: boolean, blocks: BlockPool, host: WriteBehindHost) {
    this.#parts = parts;
    this.#append = append;
    this.#blocks = blocks;
    this.#host = host;
  }

  get unwritten(): number {
    return this.#taken - this.#written;
  }

  /** The position of the next byte in the file; without meaning when appending. */
  get position(): number {
    return this.#base + this.#taken;
  }

  /** Sets the position of the next byte; only when all bytes are written. */
  moveTo(position: number): void {
    assert(this.unwritten === 0, 'the position moves when all is written');
    this.#base = position - this.#taken;
  }

  setBuffering(buffering: 'no' | 'line' | 'full'): void {
    this.#eager = buffering;
  }

  /** Copies `bytes`. False when the writer should wait: for room, or for the system where writes are not gathered. */
  write(bytes: Uint8Array): boolean {
    const size = bytes.length;
    const block = this.#block;
    if (block !== undefined && this.#used + size < BLOCK_BYTES) {
      if (size <= 16) for (let i = 0; i < size; i++) block[this.#used + i] = bytes[i] as number;
      else block.set(bytes, this.#used);
      this.#used += size;
      this.#taken += size;
    } else {
      this.#gather(bytes);
    }
    if (this.#eager !== 'full' && (this.#eager === 'no' || bytes.includes(10))) {
      this.#hurry();
      return this.#written === this.#taken;
    }
    return this.#taken - this.#written < UNWRITTEN_BYTES_HIGH;
  }

  whenDrained(drained: () => void): void {
    this.#drainWaiters.push(drained);
    this.#hurry();
    if (this.#hasDrained(UNWRITTEN_BYTES_HIGH - 1)) queueMicrotask(() => this.#serveDrained());
  }

  /** True when waiting writers may go on: a write that is not gathered is over when the system has its bytes. */
  #hasDrained(unwrittenMax: number): boolean {
    return this.unwritten <= (this.#eager === 'full' ? unwrittenMax : 0);
  }

  cancelDrained(drained?: () => void): void {
    this.#drainWaiters =
      drained === undefined ? [] : this.#drainWaiters.filter((waiter) => waiter !== drained);
  }

  /** Calls `done` when all bytes taken so far are written or have failed, never before this method returns. */
  flush(done: (error: FileError | undefined) => void): void {
    const waiter: FlushWaiter = { target: this.#taken, done };
    this.#flushWaiters.push(waiter);
    if (this.unwritten > 0) this.#hurry();
    else queueMicrotask(() => this.#serveFlushed(undefined));
  }

  /** Writes all bytes before it returns; throws the error of write(2). */
  flushSync(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#state === 'waiting' && this.#parts.operations.withdraw(this.#parts.owner, this))
      this.#state = 'idle';
    if (this.#state === 'pausing') {
      clearTimeout(this.#retry);
      this.#state = 'idle';
    }
    if (this.#state === 'inFlight' && !this.#superseded) this.#overtake();
    this.#urgent = false;
    try {
      // the rest of an operation that wrote only a part
      while (this.#state === 'idle' && this.#inFlight.length > 0) {
        this.#writeNow(this.#inFlight[0] as Uint8Array);
        this.#inFlight.shift();
      }
      if (this.#state === 'idle') this.#releaseInFlight();
      while (this.#full.length > 0) {
        const block = this.#full[0] as Uint8Array;
        this.#writeNow(block);
        this.#full.shift();
        this.#blocks.give(block);
      }
      const block = this.#block;
      if (block !== undefined) {
        this.#writeNow(block.subarray(0, this.#used));
        this.#block = undefined;
        this.#blocks.give(block);
      }
    } catch (thrown) {
      if (this.#state === 'idle') this.#releaseInFlight();
      this.#drop();
      this.#serveSoon(this.#host.errorOf(thrown));
      throw thrown;
    }
    this.#serveSoon(undefined);
  }

  /** Writes full blocks, as the queue has given this operation a turn. */
  start(): void {
    if (this.#inFlight.length > 0) {
      this.#submit();
      return;
    }
    const views = this.#full.splice(0, BLOCKS_PER_OPERATION);
    this.#inFlightBlocks = views.slice();
    if (
      this.#urgent &&
      this.#full.length === 0 &&
      this.#block !== undefined &&
      views.length < BLOCKS_PER_OPERATION
    ) {
      views.push(this.#block.subarray(0, this.#used));
      this.#inFlightBlocks.push(this.#block);
      this.#block = undefined;
      this.#urgent = false;
      clearTimeout(this.#timer);
      this.#timer = undefined;
    }
    this.#inFlight = views;
    this.#inFlightAt = this.#base + this.#written;
    this.#submit();
  }

  #submit(): void {
    const views = this.#inFlight;
    this.#state = 'inFlight';
    this.#superseded = false;
    this.#inFlightBytes = 0;
    for (const view of views) this.#inFlightBytes += view.length;
    const { descriptor, positional } = this.#parts;
    const position = positional && !this.#append ? this.#inFlightAt : null;
    if (this.#append && positional) this.#appendPosition = offsetOf(descriptor.fd);
    descriptor.acquire();
    if (views.length === 1) {
      const view = views[0] as Uint8Array;
      write(descriptor.fd, view, 0, view.length, position, this.#onWritten);
    } else {
      writev(descriptor.fd, views, position as number, this.#onWritten);
    }
  }

  #gather(bytes: Uint8Array): void {
    let from = 0;
    while (from < bytes.length) {
      this.#block ??= this.#openBlock();
      const n = Math.min(bytes.length - from, BLOCK_BYTES - this.#used);
      this.#block.set(bytes.subarray(from, from + n), this.#used);
      this.#used += n;
      this.#taken += n;
      from += n;
      if (this.#used === BLOCK_BYTES) {
        this.#full.push(this.#block);
        this.#block = undefined;
      }
    }
    if (this.#full.length > 0) this.#pump();
  }

  #openBlock(): Uint8Array {
    this.#used = 0;
    this.#timer ??= setTimeout(this.#onTimer, GATHER_MS);
    return this.#blocks.take();
  }

  readonly #onTimer = (): void => {
    this.#timer = undefined;
    this.#hurry();
  };

  /** Writes what is gathered without waiting for a full block. */
  #hurry(): void {
    if (this.#block !== undefined) this.#urgent = true;
    this.#pump();
  }

  #pump(): void {
    if (this.#state !== 'idle') return;
    if (this.#full.length === 0 && (!this.#urgent || this.#block === undefined)) return;
    this.#state = 'waiting';
    this.#parts.operations.submit(this.#parts.owner, this);
  }

  readonly #onWritten = (thrown: NodeJS.ErrnoException | null, size: number): void => {
    const { descriptor, operations } = this.#parts;
    this.#state = 'idle';
    if (this.#superseded) {
      this.#releaseInFlight();
    } else if (thrown === null) {
      this.#advance(size);
    } else if (thrown.code === 'EAGAIN') {
      this.#pause();
    } else {
      this.#fail(thrown);
    }
    this.#pump();
    operations.finished(this.#parts.owner);
    descriptor.release();
    this.#host.progressed();
  };

  #advance(size: number): void {
    this.#written += size;
    if (size < this.#inFlightBytes) this.#keepRest(size);
    else this.#releaseInFlight();
    this.#serveFlushed(undefined);
    if (this.#hasDrained(UNWRITTEN_BYTES_LOW)) this.#serveDrained();
  }

  /** Only a part was written, as on a disk that is nearly full: the next operation begins with the rest. */
  #keepRest(written: number): void {
    let skip = written;
    const rest: Uint8Array[] = [];
    for (const view of this.#inFlight) {
      if (skip < view.length) rest.push(view.subarray(skip));
      skip = Math.max(0, skip - view.length);
    }
    this.#inFlight = rest;
    this.#inFlightAt += written;
    this.#resume();
  }

  #pause(): void {
    this.#state = 'pausing';
    this.#retry = setTimeout(() => this.#resume(), RETRY_MS);
  }

  #resume(): void {
    this.#state = 'waiting';
    this.#parts.operations.submit(this.#parts.owner, this);
  }

  #releaseInFlight(): void {
    for (const block of this.#inFlightBlocks) this.#blocks.give(block);
    this.#inFlightBlocks = [];
    this.#inFlight = [];
    this.#superseded = false;
  }

  /** A write has failed: drops all bytes that are not yet written, and tells the owner. */
  #fail(thrown: unknown): void {
    this.#releaseInFlight();
    this.#drop();
    if (this.#flushWaiters.length > 0) this.#serveFlushed(this.#host.errorOf(thrown));
    else this.#host.failed(thrown);
    this.#serveDrained();
  }

  #drop(): void {
    for (const block of this.#full) this.#blocks.give(block);
    this.#full = [];
    if (this.#block !== undefined) this.#blocks.give(this.#block);
    this.#block = undefined;
    this.#urgent = false;
    this.#written = this.#taken;
  }

  #serveFlushed(error: FileError | undefined): void {
    while (this.#flushWaiters.length > 0) {
      const waiter = this.#flushWaiters[0] as FlushWaiter;
      if (error === undefined && waiter.target > this.#written) return;
      this.#flushWaiters.shift();
      waiter.done(error);
    }
  }

  /** Calls the waiting callbacks, after the present call has returned. */
  #serveSoon(error: FileError | undefined): void {
    if (this.#flushWaiters.length === 0 && this.#drainWaiters.length === 0) return;
    queueMicrotask(() => {
      this.#serveFlushed(error);
      this.#serveDrained();
    });
  }

  #serveDrained(): void {
    const waiters = this.#drainWaiters;
    this.#drainWaiters = [];
    for (const drained of waiters) drained();
  }

  /** A write is in flight and the caller cannot wait for it: writes the same bytes here, or blocks until an append is done. */
  #overtake(): void {
    const { descriptor, positional } = this.#parts;
    if (!positional) throw Object.assign(new Error('a write is in flight'), { code: 'EAGAIN' });
    if (this.#append) {
      awaitOffset(descriptor.fd, this.#appendPosition);
    } else {
      // to write the same bytes at the same position twice does no harm
      let at = this.#inFlightAt;
      for (const view of this.#inFlight) {
        writeAll(descriptor.fd, view, at);
        at += view.length;
      }
    }
    this.#superseded = true;
    this.#written += this.#inFlightBytes;
  }

  #writeNow(bytes: Uint8Array): void {
    const { descriptor, positional } = this.#parts;
    const at = this.#base + this.#written;
    if (this.#superseded && !this.#append) this.#patch(bytes, at);
    writeAll(descriptor.fd, bytes, positional && !this.#append ? at : null);
    this.#written += bytes.length;
  }

  /**
   * Copies bytes that overlap a write in flight into the buffer of that write, too: should it come second, it writes the same
   * bytes (the kernel serialises writes to one file).
   */
  #patch(bytes: Uint8Array, at: number): void {
    let viewAt = this.#inFlightAt;
    for (const view of this.#inFlight) {
      const from = Math.max(at, viewAt);
      const to = Math.min(at + bytes.length, viewAt + view.length);
      if (from < to) view.set(bytes.subarray(from - at, to - at), from - viewAt);
      viewAt += view.length;
    }
  }
}

function writeAll(fd: number, bytes: Uint8Array, position: number | null): void {
  let written = 0;
  while (written < bytes.length) {
    const at = position === null ? null : position + written;
    written += writeSync(fd, bytes, written, bytes.length - written, at);
  }
}

/** Returns the offset of the descriptor, which every append moves. */
function offsetOf(fd: number): string {
  const line = readFileSync(`/proc/self/fdinfo/${fd}`, 'latin1');
  return line.slice(0, line.indexOf('\n'));
}

/** Blocks until an append of another thread has moved the offset of the descriptor away from `before`. */
function awaitOffset(fd: number, before: string): void {
  const deadline = performance.now() + APPEND_WAIT_MS_MAX;
  while (offsetOf(fd) === before) {
    if (performance.now() > deadline)
      throw Object.assign(new Error('an append is in flight'), { code: 'EAGAIN' });
    sleepSync(0.2);
  }
}
