/** Collects a worker's log lines, so that one message to the supervisor carries all lines of a turn of the loop. */

/** A message is sent at once when this many lines wait: a turn that logs without end must not grow without bound. */
const LINES_MAX = 256;

export class LogBatch {
  readonly #send: (lines: readonly string[]) => void;
  #lines: string[] = [];

  constructor(send: (lines: readonly string[]) => void) {
    this.#send = send;
  }

  /** Takes one formatted line. */
  readonly write = (line: string): void => {
    if (this.#lines.push(line) === 1) setImmediate(this.flush);
    else if (this.#lines.length >= LINES_MAX) this.flush();
  };

  /** Sends what waits; to be called as a thread's last act. */
  readonly flush = (): void => {
    if (this.#lines.length === 0) return;
    const lines = this.#lines;
    this.#lines = [];
    this.#send(lines);
  };
}
