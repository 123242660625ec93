/** The interface of regular files, devices, FIFOs and processes: Lua's FILE* as a byte source and a byte sink. */
import type { ByteQueue } from '../base/byte-queue.ts';
import type { ByteSink, ByteSource } from '../base/byte-stream.ts';
import type { Copy, CopyDone } from './copy-bytes.ts';
import type { FileError } from './file-error.ts';

export type Whence = 'set' | 'cur' | 'end';
export type Buffering = 'no' | 'line' | 'full';

/** How a process ended: its exit status, or the number of the signal that ended it. */
export interface ProcessExit {
  readonly kind: 'exit' | 'signal';
  readonly code: number;
}

export type FlushDone = (error: FileError | undefined) => void;
export type SeekDone = (error: FileError | undefined, position: number) => void;
export type CloseDone = (error: FileError | undefined, exit: ProcessExit | undefined) => void;

/**
 * A file as C's stdio has it: one position for reading and writing, buffered both ways.
 *
 * The error of a gathered write that failed stands in `error` until `takeError` takes it; until then `write` drops its bytes,
 * and every other call reports the error. No callback is called before the function that took it has returned, and none
 * after `destroy`.
 */
export interface ByteFile extends ByteSource, ByteSink {
  readonly queue: ByteQueue;
  /** The name that the file was opened with, or the command of a process. */
  readonly name: string;
  /** A file that is `closing` or `closed` refuses every call with EBADF. */
  readonly state: 'open' | 'closing' | 'closed';
  /** The failure that no call has reported yet (as in ByteSource and ByteSink; flush, seek and close report it, too). */
  readonly error: FileError | undefined;
  /** Bytes that `write` has taken and the system has not. */
  readonly unwritten: number;
  /** Returns `error` and forgets it. */
  takeError(): FileError | undefined;
  /** As C's clearerr: forgets that the end was reached, so that the next read looks at the file again. */
  clearEnd(): void;
  /** As ByteSource; several readers may wait, and are served in order. */
  request(size: number, ready: () => void): void;
  /** Withdraws one reader, or all. */
  cancelRequest(ready?: () => void): void;
  /** As ByteSink; several writers may wait. */
  whenDrained(drained: () => void): void;
  /** Withdraws one writer, or all. */
  cancelDrained(drained?: () => void): void;
  /** Calls `done` when all bytes written so far have reached the system. */
  flush(done: FlushDone): void;
  /** Flushes, moves the position, and passes it to `done` (bytes from the start). */
  seek(whence: Whence, offset: number, done: SeekDone): void;
  /**
   * As setvbuf: with `no` a write is over when the system has its bytes; with `line` this holds for a write that has a line end;
   * `full` (the default) gathers writes up to 64 KiB or 50 ms.
   */
  setBuffering(buffering: Buffering): void;
  /** Flushes and closes; the file of a process also waits for the end of the process. A second close does nothing. */
  close(done: CloseDone): void;

  /** For callers that cannot wait: afterwards `queue` holds `size` bytes, or the end was reached. */
  fillSync(size: number): FileError | undefined;
  flushSync(): FileError | undefined;
  seekSync(whence: Whence, offset: number): number | FileError;
  closeSync(): { readonly error: FileError | undefined; readonly exit: ProcessExit | undefined };

  /** Copies `size` bytes, or all bytes up to the end, to `sink`. */
  sendTo(sink: ByteSink, size: number | undefined, done: CopyDone): Copy;
  /** Closes without callbacks: gathered writes still go to the disk, and a process is ended. */
  destroy(): void;
}
