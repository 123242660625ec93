/**
 * A pipe to a process, or a FIFO, as C's stdio has it: two directions of bytes without a position.
 *
 * Long because reading, writing and the end of the process share one life.
 */
import { readSync } from 'node:fs';
import type { Socket } from 'node:net';
import { ByteQueue } from '../base/byte-queue.ts';
import type { ByteSink } from '../base/byte-stream.ts';
import { descriptorOf } from '../native/node-internals.ts';
import { BLOCK_BYTES, type BlockPool } from './block-pool.ts';
import type {
  Buffering,
  ByteFile,
  CloseDone,
  FlushDone,
  ProcessExit,
  SeekDone,
  Whence,
} from './byte-file.ts';
import { type Copy, type CopyDone, copyBytes } from './copy-bytes.ts';
import { describeAction, FileError, fileErrorOf } from './file-error.ts';
import type { RunningProcess } from './running-process.ts';
import { errnoOf } from './strerror.ts';

/** The pipe is not read while so many bytes wait for the reader. */
const READ_AHEAD_BYTES_MAX = 128 * 1024;
/** The writer has to wait when so many bytes have not gone into the pipe. */
const UNWRITTEN_BYTES_HIGH = 256 * 1024;
/** Gathered bytes go into the pipe after this time at the latest. */
const GATHER_MS = 50;

export interface PipeFileOptions {
  readonly name: string;
  /** The stream to read from; undefined when the file is only written. */
  readonly readable: Socket | undefined;
  /** The stream to write to; undefined when the file is only read. May be the same stream. */
  readonly writable: Socket | undefined;
  /** The process at the other end; undefined for a FIFO. */
  readonly process: RunningProcess | undefined;
  readonly blocks: BlockPool;
  /** Called once, when the descriptors are closed and the process has ended. */
  readonly onClosed: () => void;
}

interface FlushWaiter {
  readonly target: number;
  readonly done: FlushDone;
}

export class PipeFile implements ByteFile {
  readonly name: string;
  readonly queue: ByteQueue = new ByteQueue();
  readonly #options: PipeFileOptions;
  #state: 'open' | 'closing' | 'closed' = 'open';
  #abandoned = false;
  #error: FileError | undefined;
  /** The other end will send nothing more. */
  #atEnd = false;
  #readers: { readonly size: number; readonly ready: () => void }[] = [];
  #block: Uint8Array | undefined;
  #used = 0;
  #taken = 0;
  #written = 0;
  #buffering: Buffering = 'full';
  #timer: NodeJS.Timeout | undefined;
  #flushWaiters: FlushWaiter[] = [];
  #drainWaiters: (() => void)[] = [];

  constructor(options: PipeFileOptions) {
    this.name = options.name;
    this.#options = options;
    const { readable, writable } = options;
    if (readable !== undefined) {
      readable.on('data', this.#onData);
      readable.on('end', this.#onEnd);
      readable.on('close', this.#onEnd);
      readable.on('error', this.#onError);
    }
    if (writable !== undefined && writable !== readable) writable.on('error', this.#onError);
  }

  get state(): 'open' | 'closing' | 'closed' {
    return this.#state;
  }

  get error(): FileError | undefined {
    return this.#error;
  }

  get ended(): boolean {
    return this.#atEnd || this.#error !== undefined || this.#state !== 'open';
  }

  get unwritten(): number {
    return this.#taken - this.#written;
  }

  get isFull(): boolean {
    return this.#error === undefined && this.unwritten >= UNWRITTEN_BYTES_HIGH;
  }

  /** The process at the other end. */
  get process(): RunningProcess | undefined {
    return this.#options.process;
  }

  takeError(): FileError | undefined {
    const error = this.#error;
    this.#error = undefined;
    return error;
  }

  /** The end of a pipe is final. */
  clearEnd(): void {}

  // --- reading

  request(size: number, ready: () => void): void {
    this.#readers.push({ size, ready });
    this.#refuseUnless(this.#options.readable !== undefined);
    this.#send();
    if (this.queue.length >= size || this.ended) queueMicrotask(() => this.#serve());
    else this.#options.readable?.resume();
  }

  cancelRequest(ready?: () => void): void {
    this.#readers = ready === undefined ? [] : this.#readers.filter((reader) => reader.ready !== ready);
  }

  consumed(): void {
    if (this.queue.length < READ_AHEAD_BYTES_MAX) this.#options.readable?.resume();
  }

  fillSync(size: number): FileError | undefined {
    this.#refuseUnless(this.#options.readable !== undefined);
    if (this.#error !== undefined) return this.takeError();
    this.#send();
    const { readable } = this.#options;
    // bytes that the stream has read already come first, as `data` events
    while (readable !== undefined && readable.readableLength > 0 && readable.read() !== null);
    try {
      while (this.queue.length < size && !this.#atEnd)
        if (!this.#readNow()) return this.#errorOf({ code: 'EAGAIN' });
      return undefined;
    } catch (thrown) {
      return this.#errorOf(thrown);
    }
  }

  sendTo(sink: ByteSink, size: number | undefined, done: CopyDone): Copy {
    return copyBytes(this, sink, size, done);
  }

  // --- writing

  write(bytes: Uint8Array): boolean {
    if (this.#error !== undefined || this.#state !== 'open' || this.#options.writable === undefined) {
      this.#refuseUnless(this.#options.writable !== undefined);
      if (this.#error !== undefined) return true;
    }
    let from = 0;
    while (from < bytes.length) {
      this.#block ??= this.#openBlock();
      const n = Math.min(bytes.length - from, BLOCK_BYTES - this.#used);
      this.#block.set(from === 0 && n === bytes.length ? bytes : bytes.subarray(from, from + n), this.#used);
      this.#used += n;
      this.#taken += n;
      from += n;
      if (this.#used === BLOCK_BYTES) this.#send();
    }
    if (this.#buffering === 'no' || (this.#buffering === 'line' && bytes.includes(10))) {
      this.#send();
      return this.unwritten === 0;
    }
    return this.unwritten < UNWRITTEN_BYTES_HIGH;
  }

  whenDrained(drained: () => void): void {
    this.#drainWaiters.push(drained);
    this.#send();
    if (this.#hasDrained || this.#error !== undefined) queueMicrotask(() => this.#serveDrained());
  }

  /** True when waiting writers may go on: a write that is not gathered is over when the pipe has its bytes. */
  get #hasDrained(): boolean {
    return this.unwritten < (this.#buffering === 'full' ? UNWRITTEN_BYTES_HIGH : 1);
  }

  cancelDrained(drained?: () => void): void {
    this.#drainWaiters =
      drained === undefined ? [] : this.#drainWaiters.filter((waiter) => waiter !== drained);
  }

  setBuffering(buffering: Buffering): void {
    this.#buffering = buffering;
  }

  flush(done: FlushDone): void {
    if (this.#state !== 'open') this.#refuseUnless(false);
    this.#send();
    this.#flushWaiters.push({ target: this.#taken, done });
    if (this.unwritten === 0 || this.#error !== undefined) queueMicrotask(() => this.#serveFlushed());
  }

  /** Gives all bytes to the stream, which keeps their order; what the pipe has no room for is written when the other end reads. */
  flushSync(): FileError | undefined {
    if (this.#state !== 'open') this.#refuseUnless(false);
    this.#send();
    return this.takeError();
  }

  // --- position

  seek(_whence: Whence, _offset: number, done: SeekDone): void {
    const error = this.#noPosition();
    queueMicrotask(() => this.#abandoned || done(error, 0));
  }

  seekSync(_whence: Whence, _offset: number): FileError {
    return this.#noPosition();
  }

  // --- the end

  close(done: CloseDone): void {
    if (this.#state !== 'open') {
      queueMicrotask(() => this.#abandoned || done(undefined, undefined));
      return;
    }
    this.#beginClose((error, exit) => this.#abandoned || done(error, exit));
  }

  closeSync(): { readonly error: FileError | undefined; readonly exit: ProcessExit | undefined } {
    if (this.#state !== 'open') return { error: undefined, exit: undefined };
    const { process, writable } = this.#options;
    const error = this.flushSync();
    this.#beginClose(() => {});
    // closes the descriptor now, not in the next round of the event loop
    if (writable !== undefined && writable.writableLength === 0) writable.destroy();
    if (process === undefined) return { error, exit: undefined };
    const exit = process.look();
    return { error: error ?? (exit === undefined ? this.#errorOf({ code: 'EAGAIN' }) : undefined), exit };
  }

  destroy(): void {
    this.#abandoned = true;
    this.#readers = [];
    this.#flushWaiters = [];
    this.#drainWaiters = [];
    if (this.#state === 'open') this.#beginClose(() => {});
    this.#options.writable?.destroy();
    this.#options.process?.kill();
  }

  #beginClose(done: CloseDone): void {
    const { readable, writable, process, onClosed } = this.#options;
    this.#send();
    this.#state = 'closing';
    clearTimeout(this.#timer);
    let open = 0;
    const finish = (): void => {
      open -= 1;
      if (open > 0) return;
      this.#state = 'closed';
      this.#serve();
      this.#failWaiters();
      onClosed();
      done(this.takeError(), process?.exit);
    };
    const await_ = (socket: Socket): void => {
      open += 1;
      if (socket.closed) queueMicrotask(finish);
      else socket.once('close', finish);
    };
    if (writable !== undefined) {
      await_(writable);
      // a FIFO that is open in both directions is closed as a whole when all is written
      writable.end(() => writable.destroy());
    }
    if (readable !== undefined && readable !== writable) {
      await_(readable);
      readable.destroy();
    }
    if (process !== undefined) {
      open += 1;
      process.whenExited(finish);
    }
  }

  /** Fails the flushes that can no longer succeed. */
  #failWaiters(): void {
    if (this.#written < this.#taken) this.#error ??= this.#errorOf(brokenPipe());
    this.#serveFlushed();
    this.#serveDrained();
  }

  // --- events of the streams

  readonly #onData = (chunk: Buffer): void => {
    this.queue.push(chunk);
    const wanted = this.#readers[0]?.size ?? 0;
    if (this.queue.length >= Math.max(READ_AHEAD_BYTES_MAX, wanted)) this.#options.readable?.pause();
    this.#serve();
  };

  readonly #onEnd = (): void => {
    this.#atEnd = true;
    this.#serve();
  };

  readonly #onError = (thrown: Error): void => {
    this.#error ??= this.#errorOf(thrown);
    this.#written = this.#taken;
    this.#serveFlushed();
    this.#serveDrained();
    this.#serve();
  };

  #serve(): void {
    while (this.#readers.length > 0) {
      const reader = this.#readers[0];
      if (reader === undefined || (this.queue.length < reader.size && !this.ended)) break;
      this.#readers.shift();
      reader.ready();
    }
    if (this.#readers.length > 0) this.#options.readable?.resume();
  }

  #serveFlushed(): void {
    const failed = this.#error;
    while (this.#flushWaiters.length > 0) {
      const waiter = this.#flushWaiters[0] as FlushWaiter;
      if (failed === undefined && waiter.target > this.#written) return;
      this.#flushWaiters.shift();
      // one caller gets the error
      this.#error = undefined;
      waiter.done(failed);
    }
  }

  #serveDrained(): void {
    const waiters = this.#drainWaiters;
    this.#drainWaiters = [];
    for (const drained of waiters) drained();
  }

  // --- parts

  #openBlock(): Uint8Array {
    this.#used = 0;
    this.#timer ??= setTimeout(this.#onTimer, GATHER_MS);
    return this.#options.blocks.take();
  }

  readonly #onTimer = (): void => {
    this.#timer = undefined;
    this.#send();
  };

  /** Hands the gathered bytes to the stream. */
  #send(): void {
    const block = this.#block;
    const { writable, blocks } = this.#options;
    if (block === undefined || writable === undefined) return;
    const size = this.#used;
    this.#block = undefined;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    writable.write(block.subarray(0, size), (thrown) => {
      blocks.give(block);
      if (thrown !== null && thrown !== undefined) {
        // a failure of an open stream comes as an `error` event
        if (writable.destroyed && this.#written < this.#taken) this.#onError(brokenPipe());
        return;
      }
      this.#written = Math.min(this.#taken, this.#written + size);
      this.#serveFlushed();
      if (this.#hasDrained) this.#serveDrained();
    });
  }

  /** Reads the descriptor without waiting; false when nothing is there. */
  #readNow(): boolean {
    const { readable } = this.#options;
    const fd = readable === undefined ? undefined : descriptorOf(readable);
    if (fd === undefined) {
      this.#atEnd = true;
      return true;
    }
    const buffer = Buffer.allocUnsafeSlow(BLOCK_BYTES);
    try {
      const size = readSync(fd, buffer, 0, buffer.length, null);
      if (size === 0) this.#atEnd = true;
      else this.queue.push(buffer.subarray(0, size));
      return true;
    } catch (thrown) {
      if ((thrown as NodeJS.ErrnoException).code === 'EAGAIN') return false;
      throw thrown;
    }
  }

  #refuseUnless(isAllowed: boolean): void {
    if (isAllowed && this.#state === 'open') return;
    this.#error ??= this.#errorOf({ code: 'EBADF' });
  }

  #noPosition(): FileError {
    return new FileError(describeAction('seek in', this.name), errnoOf('ESPIPE'));
  }

  #errorOf(thrown: unknown): FileError {
    return fileErrorOf(describeAction('use', this.name), thrown);
  }
}

/** Returns EPIPE, which Node's streams do not report when the process ended before the write. */
function brokenPipe(): Error {
  return Object.assign(new Error('The other side is closed'), { code: 'EPIPE' });
}
