/** Writes log lines to standard output, standard error or a file, in order; nobody waits for a write. */
import { closeSync, fstatSync, stat, statSync, write, writeSync } from 'node:fs';
import { GatewayError, messageOf, systemCodeOf } from '../base/errors.ts';
import { giveBack } from '../base/lent-block.ts';
import { formatLine } from '../base/logger.ts';
import type { FormatMessage } from '../base/message-form.ts';
import { openFile } from '../base/open-file.ts';
import type { LogRotation } from '../settings/log-settings.ts';
import { FlushWaiters } from './flush-waiters.ts';
import { rotateFiles } from './log-rotation.ts';

/** Characters that wait for a slow reader of the log; lines beyond them are dropped and counted. */
const QUEUE_BYTES_MAX = 1024 * 1024;
/** Characters of one write(2): so many that a few calls empty the queue. */
const WRITE_BYTES_MAX = 64 * 1024;
/** Pause before a full non-blocking pipe is tried again. */
const RETRY_DELAY_MS = 10;
const STDERR = 2;
const LINE_FEED = 10;
/** A log that cannot be written is told of on standard error, but not more often. */
const COMPLAINT_INTERVAL_MS = 60_000;
/** So often a file that is written is looked for under its name. */
const LOOK_INTERVAL_MS = 5000;

export interface LogSinkOptions {
  /** Undefined: the descriptor. `null`: nowhere. */
  readonly file?: string | null | undefined;
  /** Where lines go without a file; default: standard error. */
  readonly descriptor?: 1 | 2;
  /** Undefined: the file grows. */
  readonly rotation?: LogRotation | undefined;
  readonly queueBytesMax?: number;
  /** How the log says that lines are missing; default: as text. */
  readonly format?: FormatMessage;
  readonly lookIntervalMs?: number;
  /** Hears, at most once a minute, that the log file cannot be written; default: a line on standard error. */
  readonly complain?: (message: string) => void;
}

export class LogSink {
  readonly #file: string | null | undefined;
  readonly #queueBytesMax: number;
  readonly #lookIntervalMs: number;
  readonly #complain: (message: string) => void;
  readonly #format: FormatMessage;
  #rotation: LogRotation | undefined;
  #descriptor: number;
  /** Of the file. */
  #fileBytes = 0;
  /** Lines that are written together, each piece with the end of its last line. */
  #queue: Uint8Array[] = [];
  #queuedBytes = 0;
  /** Lines without room in the queue, and lines whose write failed, since the log said so. */
  #dropped = 0;
  #lost = 0;
  #lostTotal = 0;
  #complainedAt = Number.NEGATIVE_INFINITY;
  #lookedAt: number = performance.now();
  #writing: Uint8Array | undefined;
  /** Where `#writing` goes, also when another file has been opened meanwhile. */
  #writingTo = STDERR;
  #isRotating = false;
  #isClosed = false;
  readonly #flushed = new FlushWaiters();

  /** Opens the file. Errors: LGW_LOG_FILE. */
  constructor(options: LogSinkOptions = {}) {
    this.#file = options.file;
    this.#rotation = options.rotation;
    this.#queueBytesMax = options.queueBytesMax ?? QUEUE_BYTES_MAX;
    this.#lookIntervalMs = options.lookIntervalMs ?? LOOK_INTERVAL_MS;
    this.#complain = options.complain ?? complainOnStderr;
    this.#format = options.format ?? formatLine;
    this.#descriptor = options.descriptor ?? STDERR;
    if (typeof options.file === 'string') this.#use(openLog(options.file));
  }

  /** Takes one line without its line end. Never blocks, never throws. */
  readonly write = (line: string): void => this.#take(Buffer.from(`${line}\n`), 1);

  /** Takes so many lines, each with its line end: all of them, or none. Bytes that are lent are given back when they have been written or dropped. */
  readonly writeLines = (bytes: Uint8Array, lines: number): void => this.#take(bytes, lines);

  /** Lines that were dropped or whose write failed, since the start. */
  get lostTotal(): number {
    return this.#lostTotal;
  }

  setRotation(rotation: LogRotation | undefined): void {
    this.#rotation = rotation;
  }

  /** Opens the file anew after it was renamed, and leaves it where it was not; on failure the old one stays and the error is thrown. */
  reopen(): void {
    // a rotation opens it anew, too
    if (typeof this.#file !== 'string' || this.#isRotating || this.#isClosed) return;
    const old = this.#descriptor;
    // after `-u` one that root has made may be out of reach, though it can be written on
    if (hasName(old, this.#file)) {
      this.#use(old);
      return;
    }
    this.#use(openLog(this.#file));
    if (this.#writing === undefined || this.#writingTo !== old) closeSync(old);
  }

  /** Resolves when every line taken so far is written, or after `timeoutMs` at the latest. */
  async flush(timeoutMs: number): Promise<void> {
    if (this.#writing === undefined) return;
    await this.#flushed.wait(timeoutMs);
  }

  /** Takes no more lines, and closes its file behind those that wait. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    const close = (): void => {
      if (typeof this.#file === 'string') closeSync(this.#descriptor);
    };
    if (this.#writing === undefined) close();
    else this.#flushed.add(close);
  }

  /** Writes the last line of a process that ends now, synchronously, behind all waiting lines. */
  writeNow(line: string): void {
    if (this.#file === null) return;
    const all = Buffer.concat([...this.#queue, Buffer.from(`${line}\n`)]);
    this.#queue = [];
    this.#queuedBytes = 0;
    try {
      writeSync(this.#descriptor, all);
    } catch {
      // the process ends, and nothing can report this failure
    }
  }

  #take(bytes: Uint8Array, lines: number): void {
    if (this.#file === null || this.#isClosed) {
      giveBack(bytes);
      return;
    }
    if (this.#queuedBytes + bytes.length > this.#queueBytesMax) {
      this.#dropped += lines;
      this.#lostTotal += lines;
      giveBack(bytes);
    } else {
      this.#queue.push(bytes);
      this.#queuedBytes += bytes.length;
    }
    if (this.#writing === undefined) this.#writeNext();
  }

  #use(descriptor: number): void {
    this.#descriptor = descriptor;
    this.#fileBytes = fstatSync(descriptor).size;
  }

  #writeNext(): void {
    const bytes = this.#takeNext();
    if (bytes === undefined) {
      this.#flushed.release();
      return;
    }
    this.#writing = bytes;
    this.#writingTo = this.#descriptor;
    const { bytesMax = Number.POSITIVE_INFINITY } = this.#rotation ?? {};
    if (this.#fileBytes > 0 && this.#fileBytes + bytes.length > bytesMax) void this.#rotate();
    else if (typeof this.#file === 'string' && performance.now() - this.#lookedAt >= this.#lookIntervalMs)
      this.#look(this.#file);
    else this.#continue();
  }

  /** Begins a new file, where that can be done, and goes on. Never rejects. */
  async #rotate(): Promise<void> {
    const { count } = this.#rotation as LogRotation;
    const file = this.#file as string;
    this.#isRotating = true;
    try {
      await rotateFiles(file, count);
      const old = this.#descriptor;
      this.#use(openLog(file));
      closeSync(old);
    } catch (error) {
      // the old file goes on; it is tried again when as much has been written once more
      this.#fileBytes = 0;
      this.#complainOf(`Cannot begin a new log file "${file}": ${messageOf(error)}`);
    }
    this.#isRotating = false;
    this.#writingTo = this.#descriptor;
    this.#continue();
  }

  /** A file that nobody finds any more is begun again. */
  #look(file: string): void {
    this.#lookedAt = performance.now();
    stat(file, (error) => {
      if (error !== null && systemCodeOf(error) === 'ENOENT' && !this.#isClosed) {
        try {
          const old = this.#descriptor;
          this.#use(openLog(file));
          closeSync(old);
          this.#writingTo = this.#descriptor;
        } catch (failure) {
          this.#complainOf(`${messageOf(failure)}; the file was removed, and lines are lost`);
        }
      }
      this.#continue();
    });
  }

  #continue(): void {
    const bytes = this.#writing;
    if (bytes === undefined) return;
    write(this.#writingTo, bytes, (error, written) => {
      if (error !== null && systemCodeOf(error) === 'EAGAIN') {
        setTimeout(() => this.#continue(), RETRY_DELAY_MS);
        return;
      }
      if (error === null) {
        this.#fileBytes += written;
        if (written < bytes.length) {
          this.#writing = bytes.subarray(written);
          this.#continue();
          return;
        }
      }
      // a closed or broken log (EPIPE, ENOSPC) loses what was in this write; the next one is tried again
      if (error !== null) this.#lose(bytes, error);
      else if (this.#lost > 0) this.#tellLoss();
      giveBack(bytes);
      this.#writing = undefined;
      // the file was opened anew meanwhile
      if (this.#writingTo !== this.#descriptor) closeSync(this.#writingTo);
      this.#writeNext();
    });
  }

  #lose(bytes: Uint8Array, error: Error): void {
    let lines = 0;
    for (const byte of bytes) if (byte === LINE_FEED) lines += 1;
    this.#lost += lines;
    this.#lostTotal += lines;
    if (typeof this.#file !== 'string') return;
    const what = `Cannot write the log file "${this.#file}": ${messageOf(error)}`;
    this.#complainOf(`${what}; ${this.#lost} lines are lost so far`);
  }

  #complainOf(message: string): void {
    const now = performance.now();
    if (now - this.#complainedAt < COMPLAINT_INTERVAL_MS) return;
    this.#complainedAt = now;
    this.#complain(message);
  }

  /** The log can be written again. */
  #tellLoss(): void {
    const bytes = this.#notice(`${this.#lost} log lines were lost: the log could not be written`);
    this.#lost = 0;
    this.#queue.unshift(bytes);
    this.#queuedBytes += bytes.length;
  }

  #notice(message: string): Buffer {
    return Buffer.from(`${this.#format(new Date(), 'warn', 'log', message)}\n`);
  }

  /** The next lines, at most WRITE_BYTES_MAX bytes but at least one piece; undefined: there are none. */
  #takeNext(): Uint8Array | undefined {
    let count = 0;
    let taken = 0;
    for (const bytes of this.#queue) {
      if (count > 0 && taken + bytes.length > WRITE_BYTES_MAX) break;
      taken += bytes.length;
      count += 1;
    }
    const pieces = this.#queue.splice(0, count);
    this.#queuedBytes -= taken;
    if (this.#dropped > 0) {
      // also alone: a line that is longer than the queue may be the last for long
      pieces.push(
        this.#notice(`${this.#dropped} log lines were dropped: the log is written more slowly than it fills`),
      );
      this.#dropped = 0;
    }
    if (pieces.length <= 1) return pieces[0];
    const all = Buffer.concat(pieces);
    for (const piece of pieces) giveBack(piece);
    return all;
  }
}

function complainOnStderr(message: string): void {
  write(STDERR, `lgateway: ${message}\n`, () => undefined);
}

/** The open file is the one that has the name now. */
function hasName(descriptor: number, file: string): boolean {
  try {
    const [open, named] = [fstatSync(descriptor), statSync(file)];
    return open.dev === named.dev && open.ino === named.ino;
  } catch {
    return false;
  }
}

function openLog(file: string): number {
  try {
    return openFile(file, 'append');
  } catch (error) {
    throw new GatewayError('LGW_LOG_FILE', `Cannot open the log file "${file}": ${messageOf(error)}`, {
      cause: error,
    });
  }
}
