/** Cuts exchanges that wait for their client for too long; those that do not wait cost nothing here. */
import { type Placed, UnorderedList } from '../../base/unordered-list.ts';

/** Something that may wait for a client. One watch has it at a time. */
export interface Stallable extends Placed {
  /** When it last began to wait or saw progress, in milliseconds of `performance.now`. */
  waitingSince: number;
  /** The client has been waited for longer than the limit. */
  stalled(limitMs: number): void;
  /** It waits, and not yet for too long. */
  waits?(now: number): void;
}

export class StallWatch {
  /** Holds for those that wait already, too. */
  limitMs: number;
  readonly #waiting = new UnorderedList<Stallable>();

  constructor(limitMs: number) {
    this.limitMs = limitMs;
  }

  /** Starts the clock of `item`, or starts it anew after progress. */
  start(item: Stallable): void {
    item.waitingSince = performance.now();
    if (!this.#waiting.has(item)) this.#waiting.add(item);
  }

  stop(item: Stallable): void {
    this.#waiting.remove(item);
  }

  /** Cuts everything that has waited for longer than the limit. */
  sweep(now: number): void {
    this.#waiting.forEach((item) => {
      if (now - item.waitingSince < this.limitMs) {
        item.waits?.(now);
        return;
      }
      this.#waiting.remove(item);
      item.stalled(this.limitMs);
    });
  }
}
