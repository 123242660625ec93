/** Counts the lines of a log that a receiver has not got, and tells of them on standard error, seldom. */
import { write } from 'node:fs';

/** A receiver that is not there is told of, but not more often. */
const COMPLAINT_INTERVAL_MS = 60_000;
const STDERR = 2;
/** Why lines are lost that have no room. */
export const TOO_SLOW = 'it takes them too slowly';

export interface LostLinesOptions {
  /** What messages call the log: `access log`. */
  readonly log: string;
  /** What they call the receiver. */
  readonly name: string;
  /** Hears, at most once a minute, that lines are lost or cannot be sent; default: a line on standard error. */
  readonly complain?: (message: string) => void;
}

export class LostLines {
  readonly #options: LostLinesOptions;
  #total = 0;
  #complainedAt = Number.NEGATIVE_INFINITY;

  constructor(options: LostLinesOptions) {
    this.#options = options;
  }

  /** Since the start. */
  get total(): number {
    return this.#total;
  }

  /** Count 0: lines wait, and cannot be sent for this reason. */
  add(count: number, reason: string): void {
    this.#total += count;
    const now = performance.now();
    if (now - this.#complainedAt < COMPLAINT_INTERVAL_MS) return;
    this.#complainedAt = now;
    const { log, name, complain = complainOnStderr } = this.#options;
    complain(`Cannot send the ${log} to ${name}: ${reason}; ${this.#total} lines are lost so far`);
  }
}

function complainOnStderr(message: string): void {
  write(STDERR, `lgateway: ${message}\n`, () => undefined);
}
