/** A regular file or a device as C's stdio has it: one position, read ahead, gathered writes, never blocking the event loop. */
import { fstatSync } from 'node:fs';
import { isatty } from 'node:tty';
import { assert } from '../base/assert.ts';
import type { ByteQueue } from '../base/byte-queue.ts';
import type { ByteSink } from '../base/byte-stream.ts';
import type { Logger } from '../base/logger.ts';
import type { BlockPool } from './block-pool.ts';
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
import type { Descriptor } from './descriptor.ts';
import { describeAction, FileError, fileErrorOf } from './file-error.ts';
import type { OpenMode } from './open-mode.ts';
import type { OperationOwner, OperationQueue } from './operation-queue.ts';
import { ReadAhead } from './read-ahead.ts';
import { errnoOf } from './strerror.ts';
import { WriteBehind, type WriteBehindHost } from './write-behind.ts';

export interface OpenFileOptions {
  readonly name: string;
  readonly mode: OpenMode;
  readonly descriptor: Descriptor;
  /** Devices have no positions: their bytes are read and written as they come. */
  readonly kind: 'regular' | 'directory' | 'device';
  /** Size of the file when it was opened (bytes). */
  readonly size: number;
  readonly operations: OperationQueue;
  readonly owner: OperationOwner;
  readonly blocks: BlockPool;
  /** Logs writes that failed after the last caller had gone. */
  readonly logger: Logger | undefined;
}

/** Up to this size (bytes) a file that was only read is closed without a thread of the pool. */
const SMALL_BYTES_MAX = 64 * 1024;

interface Reader {
  readonly size: number;
  readonly ready: () => void;
}

export class OpenFile implements ByteFile, WriteBehindHost {
  readonly name: string;
  readonly kind: 'regular' | 'directory' | 'device';
  readonly queue: ByteQueue;
  readonly #options: OpenFileOptions;
  readonly #reads: ReadAhead;
  readonly #writes: WriteBehind;
  #state: 'open' | 'closing' | 'closed' = 'open';
  #direction: 'reading' | 'turning' | 'writing' = 'reading';
  #error: FileError | undefined;
  /** The first write that failed: the next call reports it, and close does in any case. */
  #writeFailure: FileError | undefined;
  #readers: Reader[] = [];
  #abandoned = false;
  #everWritten = false;

  constructor(options: OpenFileOptions) {
    const { descriptor, operations, owner, mode, size } = options;
    const positional = options.kind !== 'device';
    const parts = { descriptor, positional, operations, owner };
    this.name = options.name;
    this.kind = options.kind;
    this.#options = options;
    this.#reads = new ReadAhead(parts, size, this);
    this.#writes = new WriteBehind(parts, mode.append, options.blocks, this);
    this.queue = this.#reads.queue;
    // as in glibc, "a" begins at the end and "a+" at the start
    if (mode.append && !mode.readable) this.#reads.reset(size);
  }

  get state(): 'open' | 'closing' | 'closed' {
    return this.#state;
  }

  get error(): FileError | undefined {
    return this.#error;
  }

  get ended(): boolean {
    return this.#reads.atEnd || this.#error !== undefined || this.#state !== 'open';
  }

  /** True when nothing was written and nothing has failed: close has nothing to report. */
  get closesSilently(): boolean {
    return !this.#everWritten && this.#error === undefined;
  }

  /** True when close also costs less than a turn in libuv's pool, even where it frees the blocks of a deleted file. */
  get closesAtOnce(): boolean {
    const { kind, size } = this.#options;
    return this.closesSilently && kind === 'regular' && size <= SMALL_BYTES_MAX;
  }

  get unwritten(): number {
    return this.#writes.unwritten;
  }

  /** What fstat(2) says now: size without unwritten bytes, and time of the last change (ms since 1970). */
  stat(): { readonly size: number; readonly modifiedMs: number; readonly isDirectory: boolean } {
    const stats = fstatSync(this.#options.descriptor.fd);
    return { size: stats.size, modifiedMs: stats.mtimeMs, isDirectory: stats.isDirectory() };
  }

  takeError(): FileError | undefined {
    const error = this.#error;
    this.#error = undefined;
    return error;
  }

  clearEnd(): void {
    this.#reads.clearEnd();
  }

  // --- reading

  request(size: number, ready: () => void): void {
    this.#reads.clearEnd();
    this.#readers.push({ size, ready });
    this.#refuseUnless(this.#options.mode.readable);
    if (this.#error === undefined && this.#direction === 'writing') this.#turnToReading();
    if (this.queue.length >= size || this.ended) queueMicrotask(() => this.#serve());
    else if (this.#direction === 'reading') this.#reads.fetch(size);
  }

  cancelRequest(ready?: () => void): void {
    this.#readers = ready === undefined ? [] : this.#readers.filter((reader) => reader.ready !== ready);
  }

  consumed(): void {
    if (this.#direction === 'reading') this.#reads.consumed();
  }

  /** Bytes up to the end, by what fstat(2) says now; files of /proc have a size of 0. */
  get expected(): number | undefined {
    if (this.kind !== 'regular' || this.#direction !== 'reading' || this.#state !== 'open') return undefined;
    return Math.max(0, fstatSync(this.#options.descriptor.fd).size - this.#reads.position);
  }

  fillSync(size: number): FileError | undefined {
    this.#reads.clearEnd();
    this.#refuseUnless(this.#options.mode.readable);
    if (this.#error !== undefined) return this.takeError();
    if (this.#reads.holdsUnrepeatableRead) return this.#busy('read');
    try {
      if (this.#direction !== 'reading') {
        this.#writes.flushSync();
        this.#direction = 'reading';
        this.#reads.reset(this.#positionWritten());
      }
      this.#reads.fillSync(size);
      return undefined;
    } catch (thrown) {
      return this.errorOf(thrown);
    }
  }

  sendTo(sink: ByteSink, size: number | undefined, done: CopyDone): Copy {
    return copyBytes(this, sink, size, done);
  }

  // --- writing

  write(bytes: Uint8Array): boolean {
    if (this.#direction !== 'writing' || this.#error !== undefined || this.#state !== 'open') {
      if (!this.#startWriting()) return true;
    }
    return this.#writes.write(bytes);
  }

  whenDrained(drained: () => void): void {
    this.#writes.whenDrained(drained);
  }

  cancelDrained(drained?: () => void): void {
    this.#writes.cancelDrained(drained);
  }

  setBuffering(buffering: Buffering): void {
    this.#writes.setBuffering(buffering);
  }

  flush(done: FlushDone): void {
    if (this.#state !== 'open') this.#refuseUnless(false);
    if (this.#error === undefined) {
      this.#writes.flush((error) => this.#abandoned || done(error));
      return;
    }
    const error = this.takeError();
    queueMicrotask(() => this.#abandoned || done(error));
  }

  flushSync(): FileError | undefined {
    if (this.#state !== 'open') this.#refuseUnless(false);
    if (this.#error !== undefined) return this.takeError();
    return this.#attempt(() => this.#writes.flushSync());
  }

  // --- position

  seek(whence: Whence, offset: number, done: SeekDone): void {
    this.flush((error) => {
      // another coroutine has written meanwhile
      if (error === undefined && this.#writes.unwritten > 0 && this.#state === 'open') {
        this.seek(whence, offset, done);
        return;
      }
      const position = error ?? this.#moveTo(whence, offset);
      if (typeof position === 'number') done(undefined, position);
      else done(position, 0);
    });
  }

  seekSync(whence: Whence, offset: number): number | FileError {
    return this.flushSync() ?? this.#moveTo(whence, offset);
  }

  /** Moves the position; all bytes have been written before. */
  #moveTo(whence: Whence, offset: number): number | FileError {
    if (this.#state !== 'open') return this.#closedError('seek in');
    const { descriptor, kind, name } = this.#options;
    const action = describeAction('seek in', name);
    if (kind === 'device') return isatty(descriptor.fd) ? new FileError(action, errnoOf('ESPIPE')) : 0;
    const isWriting = this.#direction !== 'reading';
    let from = 0;
    if (whence === 'cur') from = isWriting ? this.#positionWritten() : this.#reads.position;
    else if (whence === 'end') from = fstatSync(descriptor.fd).size;
    const position = from + offset;
    if (position < 0 || Number.isNaN(position)) return new FileError(action, errnoOf('EINVAL'));
    if (!Number.isSafeInteger(position)) return new FileError(action, errnoOf('EOVERFLOW'));
    if (isWriting) this.#reads.reset(position);
    else this.#reads.moveTo(position);
    this.#direction = 'reading';
    return position;
  }

  // --- the end

  close(done: CloseDone): void {
    if (this.#state !== 'open') {
      queueMicrotask(() => this.#abandoned || done(undefined, undefined));
      return;
    }
    const before = this.takeError();
    this.#state = 'closing';
    this.#reads.stop();
    if (this.#readers.length > 0) queueMicrotask(() => this.#serve());
    this.#writes.flush((error) => {
      this.#options.descriptor.close((thrown) => {
        this.#state = 'closed';
        const closing = thrown === undefined ? undefined : this.errorOf(thrown, 'close');
        const failure = before ?? error ?? closing ?? this.#writeFailure;
        if (!this.#abandoned) done(failure, undefined);
        else if (failure !== undefined) this.#options.logger?.warn(failure.message);
      });
    });
  }

  closeSync(): { readonly error: FileError | undefined; readonly exit: ProcessExit | undefined } {
    if (this.#state !== 'open') return { error: undefined, exit: undefined };
    const error = this.flushSync();
    if (this.#writes.unwritten > 0) {
      // an operation in flight cannot be overtaken: the rest is written behind it
      this.close(() => {});
      return { error: undefined, exit: undefined };
    }
    this.#reads.stop();
    this.#state = 'closed';
    if (this.#readers.length > 0) queueMicrotask(() => this.#serve());
    const failure = this.#attempt(() => this.#options.descriptor.closeSync());
    return { error: error ?? failure ?? this.#writeFailure, exit: undefined };
  }

  destroy(): void {
    this.#abandoned = true;
    this.#readers = [];
    this.#writes.cancelDrained();
    if (this.#state === 'open') this.close(() => {});
  }

  // --- reports of the two halves

  failed(thrown: unknown): void {
    this.#error ??= this.errorOf(thrown);
    if (this.#direction !== 'reading') this.#writeFailure ??= this.#error;
    if (this.#abandoned && this.#state === 'open') this.#options.logger?.warn(this.#error.message);
  }

  progressed(): void {
    this.#serve();
  }

  errorOf(thrown: unknown, verb = 'use'): FileError {
    return fileErrorOf(describeAction(verb, this.name), thrown);
  }

  #serve(): void {
    while (this.#readers.length > 0) {
      const reader = this.#readers[0] as Reader;
      if (this.#direction === 'turning') return;
      if (this.queue.length >= reader.size || this.ended) {
        this.#readers.shift();
        reader.ready();
      } else if (this.#direction === 'writing') {
        this.#turnToReading();
        return;
      } else {
        this.#reads.fetch(reader.size);
        return;
      }
    }
  }

  /** Flushes what was written, so that it can be read, and then reads on from the position behind it. */
  #turnToReading(): void {
    this.#direction = 'turning';
    this.#writes.flush((error) => {
      // another coroutine may have written, or changed the direction, meanwhile
      if (this.#direction !== 'turning' || this.#writes.unwritten > 0) return;
      if (error !== undefined) {
        this.#error ??= error;
        this.#writeFailure ??= error;
      }
      this.#direction = 'reading';
      this.#reads.reset(this.#positionWritten());
      this.#serve();
    });
  }

  /** Changes the direction to writing. False when nothing can be written: the reason is in `error`. */
  #startWriting(): boolean {
    this.#refuseUnless(this.#options.mode.writable);
    if (this.#error !== undefined) return false;
    if (this.#direction === 'reading') {
      const position = this.#reads.position;
      this.#reads.reset(position);
      this.#writes.moveTo(position);
    }
    this.#direction = 'writing';
    this.#everWritten = true;
    return true;
  }

  /** The position behind a write; appended bytes are at the end of the file. */
  #positionWritten(): number {
    assert(this.#writes.unwritten === 0, 'the position after a write is known when it is done');
    const { mode, descriptor } = this.#options;
    return mode.append ? fstatSync(descriptor.fd).size : this.#writes.position;
  }

  /** Sets C's EBADF for the wrong direction or for a closed file. */
  #refuseUnless(isAllowed: boolean): void {
    if (isAllowed && this.#state === 'open') return;
    this.#error ??= this.#closedError('use');
  }

  #closedError(verb: string): FileError {
    return new FileError(describeAction(verb, this.name), errnoOf('EBADF'));
  }

  #busy(verb: string): FileError {
    return new FileError(describeAction(verb, this.name), errnoOf('EAGAIN'));
  }

  #attempt(action: () => void): FileError | undefined {
    try {
      action();
      return undefined;
    } catch (thrown) {
      return this.errorOf(thrown);
    }
  }
}
