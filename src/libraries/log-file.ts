/** What scripts know as stdout and stderr: a file whose lines go to the log. */
import { ByteQueue } from '../base/byte-queue.ts';
import type { Buffering, ByteFile, CloseDone, FlushDone, ProcessExit, SeekDone } from '../file/byte-file.ts';
import { FileError } from '../file/file-error.ts';

/** A line is logged when it ends, or when it has grown to this many bytes. */
const LINE_BYTES_MAX = 8 * 1024;
const EBADF = 9;
const ESPIPE = 29;

/** A standard file: output goes line by line to `log`, input is at its end from the start. */
export class LogFile implements ByteFile {
  readonly name: string;
  readonly queue: ByteQueue = new ByteQueue();
  readonly ended = true;
  readonly state = 'open';
  readonly unwritten = 0;
  /** Each byte may be a line. */
  readonly pieceBytesMax = 256;
  readonly #log: ((line: string) => void) | undefined;
  #line = '';
  #error: FileError | undefined;

  /** `log` undefined: the file is for reading (stdin) and cannot be written. */
  constructor(name: string, log: ((line: string) => void) | undefined) {
    this.name = name;
    this.#log = log;
  }

  get error(): FileError | undefined {
    return this.#error;
  }

  takeError(): FileError | undefined {
    const error = this.#error;
    this.#error = undefined;
    return error;
  }

  write(bytes: Uint8Array): boolean {
    if (this.#log === undefined) {
      this.#error = new FileError(`Cannot write ${this.name}`, EBADF);
      return true;
    }
    const text = Buffer.from(bytes).toString('latin1');
    let from = 0;
    for (let end = text.indexOf('\n'); end !== -1; end = text.indexOf('\n', from)) {
      this.#log(this.#line + text.slice(from, end));
      this.#line = '';
      from = end + 1;
    }
    this.#line += text.slice(from);
    if (this.#line.length > LINE_BYTES_MAX) this.flushSync();
    return true;
  }

  flushSync(): FileError | undefined {
    if (this.#line !== '') this.#log?.(this.#line);
    this.#line = '';
    return undefined;
  }

  flush(done: FlushDone): void {
    this.flushSync();
    queueMicrotask(() => done(undefined));
  }

  seek(_whence: string, _offset: number, done: SeekDone): void {
    queueMicrotask(() => done(this.#notSeekable(), 0));
  }

  seekSync(): FileError {
    return this.#notSeekable();
  }

  close(done: CloseDone): void {
    this.flushSync();
    queueMicrotask(() => done(undefined, undefined));
  }

  closeSync(): { readonly error: FileError | undefined; readonly exit: ProcessExit | undefined } {
    this.flushSync();
    return { error: undefined, exit: undefined };
  }

  request(_size: number, ready: () => void): void {
    queueMicrotask(ready);
  }

  whenDrained(drained: () => void): void {
    queueMicrotask(drained);
  }

  sendTo(): never {
    throw new FileError(`Cannot read ${this.name}`, EBADF);
  }

  fillSync(): FileError | undefined {
    return undefined;
  }

  setBuffering(_buffering: Buffering): void {}
  clearEnd(): void {}
  cancelRequest(): void {}
  cancelDrained(): void {}
  consumed(): void {}

  destroy(): void {
    this.flushSync();
  }

  #notSeekable(): FileError {
    return new FileError(`Cannot seek ${this.name}`, ESPIPE);
  }
}
