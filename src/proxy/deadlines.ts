/** Ends what has waited for too long; one clock for all, which stands still while nobody waits. */
import { type Placed, UnorderedList } from '../base/unordered-list.ts';
import { DEADLINE_SWEEP_MS } from './proxy-limits.ts';

export interface Waiting extends Placed {
  /** A time of performance.now; Infinity = it does not wait for an upstream now. */
  readonly deadline: number;
  expired(): void;
}

export class Deadlines {
  readonly #waiting = new UnorderedList<Waiting>();
  #clock: NodeJS.Timeout | undefined;

  add(item: Waiting): void {
    this.#waiting.add(item);
    if (this.#clock !== undefined) return;
    this.#clock = setInterval(() => this.#sweep(), DEADLINE_SWEEP_MS);
    this.#clock.unref();
  }

  remove(item: Waiting): void {
    this.#waiting.remove(item);
  }

  get size(): number {
    return this.#waiting.size;
  }

  #sweep(): void {
    if (this.#waiting.size === 0) {
      clearInterval(this.#clock);
      this.#clock = undefined;
      return;
    }
    const now = performance.now();
    this.#waiting.forEach((item) => {
      if (now >= item.deadline) item.expired();
    });
  }
}
