/**
 * Collects a worker's log lines, so that one message to the supervisor carries all lines of a turn of the loop. Lines that
 * the supervisor has not taken yet are bounded: when it is slow, further ones are dropped and counted.
 */
import type { FormatMessage } from '../base/message-form.ts';

/** A message is sent at once when this many lines wait: a turn that logs without end must not grow without bound. */
const LINES_MAX = 256;
/** Characters of lines that wait here and on the way to the supervisor. */
const WAITING_MAX = 2 * 1024 * 1024;

export class LogBatch {
  readonly #send: (lines: readonly string[], size: number) => void;
  readonly #countDropped: () => void;
  readonly #source: string;
  readonly #format: FormatMessage;
  /** Characters that were sent and that the supervisor has not taken. */
  readonly #onTheWay: Int32Array;
  #lines: string[] = [];
  #size = 0;
  #dropped = 0;

  /** `format`: as all lines are written. `onTheWay`: one Int32. `send` adds its `size` to it, and the receiver of the lines subtracts it again. `countDropped` hears of each line that is. */
  constructor(
    source: string,
    format: FormatMessage,
    onTheWay: SharedArrayBuffer,
    send: (lines: readonly string[], size: number) => void,
    countDropped: () => void,
  ) {
    this.#source = source;
    this.#format = format;
    this.#onTheWay = new Int32Array(onTheWay);
    this.#send = send;
    this.#countDropped = countDropped;
  }

  /** Takes one formatted line. */
  readonly write = (line: string): void => {
    if (this.#size + line.length + Atomics.load(this.#onTheWay, 0) > WAITING_MAX) {
      this.#dropped += 1;
      this.#countDropped();
      return;
    }
    if (this.#dropped > 0) this.#tellDropped();
    this.#size += line.length;
    if (this.#lines.push(line) === 1) setImmediate(this.flush);
    else if (this.#lines.length >= LINES_MAX) this.flush();
  };

  /** Sends all waiting lines; the thread also calls this before it ends. */
  readonly flush = (): void => {
    if (this.#lines.length === 0) return;
    const lines = this.#lines;
    const size = this.#size;
    this.#lines = [];
    this.#size = 0;
    Atomics.add(this.#onTheWay, 0, size);
    this.#send(lines, size);
  };

  #tellDropped(): void {
    const text = `${this.#dropped} log lines were dropped: they came faster than they are taken`;
    this.#dropped = 0;
    this.#lines.push(this.#format(new Date(), 'warn', this.#source, text));
  }
}
