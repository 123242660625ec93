/** Writes all log lines of the process to standard error or a file, in order; nobody waits for a write. */
import { closeSync, openSync, write, writeSync } from 'node:fs';
import { GatewayError, messageOf, systemCodeOf } from '../base/errors.ts';
import { formatLine } from '../base/logger.ts';

/** Characters that wait for a slow reader of the log; lines beyond them are dropped and counted. */
const QUEUE_BYTES_MAX = 1024 * 1024;
/** Characters of one write(2): so many that a few calls empty the queue. */
const WRITE_BYTES_MAX = 64 * 1024;
/** Pause before a full non-blocking pipe is tried again. */
const RETRY_DELAY_MS = 10;
/** Log files are for the owner and the group. */
const FILE_MODE = 0o640;
const STDERR = 2;
const LINE_FEED = 10;
/** A log that cannot be written is told of on standard error, but not more often. */
const COMPLAINT_INTERVAL_MS = 60_000;

export interface LogSinkOptions {
  /** Undefined: standard error. `null`: nowhere. */
  readonly file?: string | null | undefined;
  readonly queueBytesMax?: number;
  /** Hears, at most once a minute, that the log file cannot be written; default: a line on standard error. */
  readonly complain?: (message: string) => void;
}

export class LogSink {
  readonly #file: string | null | undefined;
  readonly #queueBytesMax: number;
  #descriptor: number;
  #queue: string[] = [];
  #queuedBytes = 0;
  /** Lines without room in the queue, and lines whose write failed, since the log said so. */
  #dropped = 0;
  #lost = 0;
  #complainedAt = Number.NEGATIVE_INFINITY;
  readonly #complain: (message: string) => void;
  #writing: Buffer | undefined;
  #flushed: (() => void)[] = [];

  /** Opens the file. Errors: LGW_LOG_FILE. */
  constructor(options: LogSinkOptions = {}) {
    this.#file = options.file;
    this.#queueBytesMax = options.queueBytesMax ?? QUEUE_BYTES_MAX;
    this.#complain = options.complain ?? complainOnStderr;
    this.#descriptor = typeof options.file === 'string' ? openLog(options.file) : STDERR;
  }

  /** Takes one line without its line end. Never blocks, never throws. */
  readonly write = (line: string): void => {
    if (this.#file === null) return;
    const bytes = Buffer.byteLength(line) + 1;
    if (this.#queuedBytes + bytes > this.#queueBytesMax) {
      this.#dropped += 1;
    } else {
      this.#queue.push(line);
      this.#queuedBytes += bytes;
    }
    if (this.#writing === undefined) this.#writeNext();
  };

  /** Opens the file anew after it was renamed; on failure the old one stays and the error is thrown. */
  reopen(): void {
    if (typeof this.#file !== 'string') return;
    const old = this.#descriptor;
    this.#descriptor = openLog(this.#file);
    if (this.#writing === undefined) closeSync(old);
    else this.#flushed.push(() => closeSync(old));
  }

  /** Resolves when every line taken so far is written, or after `timeoutMs` at the latest. */
  async flush(timeoutMs: number): Promise<void> {
    if (this.#writing === undefined) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, timeoutMs);
      this.#flushed.push(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  /** Writes the last line of a process that ends now, synchronously, behind all waiting lines. */
  writeNow(line: string): void {
    if (this.#file === null) return;
    const text = [...this.#queue.splice(0), line].map((one) => `${one}\n`).join('');
    this.#queuedBytes = 0;
    try {
      writeSync(this.#descriptor, text);
    } catch {
      // the process ends, and nothing can report this failure
    }
  }

  #writeNext(): void {
    const text = this.#takeText();
    if (text === '') {
      for (const done of this.#flushed.splice(0)) done();
      return;
    }
    this.#writing = Buffer.from(text);
    this.#continue();
  }

  #continue(): void {
    const bytes = this.#writing;
    if (bytes === undefined) return;
    write(this.#descriptor, bytes, (error, written) => {
      if (error !== null && systemCodeOf(error) === 'EAGAIN') {
        setTimeout(() => this.#continue(), RETRY_DELAY_MS);
        return;
      }
      if (error === null && written < bytes.length) {
        this.#writing = bytes.subarray(written);
        this.#continue();
        return;
      }
      // a closed or broken log (EPIPE, ENOSPC) loses what was in this write; the next one is tried again
      if (error !== null) this.#lose(bytes, error);
      else if (this.#lost > 0) this.#tellLoss();
      this.#writing = undefined;
      this.#writeNext();
    });
  }

  #lose(bytes: Buffer, error: Error): void {
    for (const byte of bytes) if (byte === LINE_FEED) this.#lost += 1;
    const now = performance.now();
    if (typeof this.#file !== 'string' || now - this.#complainedAt < COMPLAINT_INTERVAL_MS) return;
    this.#complainedAt = now;
    this.#complain(
      `Cannot write the log file "${this.#file}": ${messageOf(error)}; ${this.#lost} lines are lost so far`,
    );
  }

  /** The log can be written again. */
  #tellLoss(): void {
    const line = notice(`${this.#lost} log lines were lost: the log could not be written`).trimEnd();
    this.#lost = 0;
    this.#queue.unshift(line);
    this.#queuedBytes += Buffer.byteLength(line) + 1;
  }

  /** The next lines, at most WRITE_BYTES_MAX characters but at least one line. */
  #takeText(): string {
    let text = '';
    let count = 0;
    for (const line of this.#queue) {
      if (count > 0 && text.length + line.length > WRITE_BYTES_MAX) break;
      text += `${line}\n`;
      count += 1;
    }
    this.#queue.splice(0, count);
    this.#queuedBytes -= Buffer.byteLength(text);
    if (this.#dropped > 0) {
      // also alone: a line that is longer than the queue may be the last for long
      text += notice(`${this.#dropped} log lines were dropped: the log is written more slowly than it fills`);
      this.#dropped = 0;
    }
    return text;
  }
}

function notice(message: string): string {
  return `${formatLine(new Date(), 'warn', 'log', message)}\n`;
}

function complainOnStderr(message: string): void {
  write(STDERR, `lgateway: ${message}\n`, () => undefined);
}

function openLog(file: string): number {
  try {
    return openSync(file, 'a', FILE_MODE);
  } catch (error) {
    throw new GatewayError('LGW_LOG_FILE', `Cannot open the log file "${file}": ${messageOf(error)}`, {
      cause: error,
    });
  }
}
