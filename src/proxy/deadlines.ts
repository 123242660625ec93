/** Ends what has waited for too long; one clock for all, which stands still while nobody waits. */
import { DEADLINE_SWEEP_MS } from './proxy-limits.ts';

export interface Waiting {
  /** A time of performance.now; Infinity = it does not wait for an upstream now. */
  readonly deadline: number;
  /** Belongs to the Deadlines: where it stands. */
  place: number;
  expired(): void;
}

export class Deadlines {
  /**
   * Whoever goes leaves its place to the last one. A Set would make a new table for each few hundred that come and go, and the engine
   * keeps what old tables held until its next full collection: most of the time of a request would go to the garbage collector.
   */
  readonly #waiting: Waiting[] = [];
  #clock: NodeJS.Timeout | undefined;

  add(item: Waiting): void {
    item.place = this.#waiting.length;
    this.#waiting.push(item);
    if (this.#clock !== undefined) return;
    this.#clock = setInterval(() => this.#sweep(), DEADLINE_SWEEP_MS);
    this.#clock.unref();
  }

  remove(item: Waiting): void {
    const waiting = this.#waiting;
    const { place } = item;
    if (waiting[place] !== item) return;
    const last = waiting.pop() as Waiting;
    if (last === item) return;
    waiting[place] = last;
    last.place = place;
  }

  get size(): number {
    return this.#waiting.length;
  }

  #sweep(): void {
    const waiting = this.#waiting;
    if (waiting.length === 0) {
      clearInterval(this.#clock);
      this.#clock = undefined;
      return;
    }
    const now = performance.now();
    // from the end: what takes the place of one that goes has been looked at
    for (let i = waiting.length - 1; i >= 0; i--) {
      const item = waiting[i];
      if (item !== undefined && now >= item.deadline) item.expired();
    }
  }
}
