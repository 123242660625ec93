/** What regular files, devices, FIFOs and processes have in common: Lua's FILE* as a byte source and a byte sink. */
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
 * A failed write-behind stands in `error` until someone takes it with `takeError`; until then `write` drops its bytes
 * and every other call reports it. No callback is called before the function it was given to has returned, and none
 * after `destroy`.
 */
export interface ByteFile extends ByteSource, ByteSink {
  readonly queue: ByteQueue;
  /** The name it was opened with, or the command. */
  readonly name: string;
  /** `closing` and `closed` refuse everything with EBADF. */
  readonly state: 'open' | 'closing' | 'closed';
  /** What failed and was not reported yet (as ByteSource and ByteSink; also by flush, seek and close). */
  readonly error: FileError | undefined;
  /** Bytes taken by `write` that the system has not got yet. */
  readonly unwritten: number;
  /** `error`, once: it is forgotten. */
  takeError(): FileError | undefined;
  /** As C's clearerr: forgets that the end was seen, so that the reader looks at the file again. */
  clearEnd(): void;
  /** As ByteSource; several readers may wait, and are served in order. */
  request(size: number, ready: () => void): void;
  /** Withdraws one reader, or all. */
  cancelRequest(ready?: () => void): void;
  /** As ByteSink; several writers may wait. */
  whenDrained(drained: () => void): void;
  /** Withdraws one writer, or all. */
  cancelDrained(drained?: () => void): void;
  /** Calls `done` when everything written so far has reached the system. */
  flush(done: FlushDone): void;
  /** Flushes, moves the position and tells it (bytes from the start). */
  seek(whence: Whence, offset: number, done: SeekDone): void;
  /**
   * As setvbuf: with `no` a write is over when the system has it, with `line` one that ends a line; `full` (the default)
   * gathers 64 KiB or 50 ms.
   */
  setBuffering(buffering: Buffering): void;
  /** Flushes and closes; for a process: waits for its end. A second close does nothing. */
  close(done: CloseDone): void;

  /** For code that cannot wait: afterwards `queue` holds `size` bytes, or the end was reached. */
  fillSync(size: number): FileError | undefined;
  flushSync(): FileError | undefined;
  seekSync(whence: Whence, offset: number): number | FileError;
  closeSync(): { readonly error: FileError | undefined; readonly exit: ProcessExit | undefined };

  /** Copies `size` bytes, or all to the end, to `sink`. */
  sendTo(sink: ByteSink, size: number | undefined, done: CopyDone): Copy;
  /** Gives up: no callback any more; gathered writes still go to the disk, a process is ended, all is closed. */
  destroy(): void;
}
