/** Cuts exchanges that wait for their client for too long; those that do not wait cost nothing here. */

/** Something that may wait for a client. */
export interface Stallable {
  /** When it last began to wait or saw progress, in milliseconds of `Date.now`. */
  waitingSince: number;
  /** The client has been waited for longer than the limit. */
  stalled(limitMs: number): void;
  /** It waits, and not yet for too long. */
  waits?(now: number): void;
}

export class StallWatch {
  /** Holds for those that wait already, too. */
  limitMs: number;
  readonly #waiting = new Set<Stallable>();

  constructor(limitMs: number) {
    this.limitMs = limitMs;
  }

  /** Starts the clock of `item`, or starts it anew after progress. */
  start(item: Stallable): void {
    item.waitingSince = Date.now();
    this.#waiting.add(item);
  }

  stop(item: Stallable): void {
    this.#waiting.delete(item);
  }

  /** Cuts everything that has waited for longer than the limit. */
  sweep(now: number): void {
    for (const item of this.#waiting) {
      if (now - item.waitingSince < this.limitMs) {
        item.waits?.(now);
        continue;
      }
      this.#waiting.delete(item);
      item.stalled(this.limitMs);
    }
  }
}
