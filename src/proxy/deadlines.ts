/** Ends what has waited for too long; one clock for all, which stands still while nobody waits. */
import { DEADLINE_SWEEP_MS } from './proxy-limits.ts';

export interface Waiting {
  /** A time of performance.now; Infinity = it does not wait for an upstream now. */
  readonly deadline: number;
  expired(): void;
}

export class Deadlines {
  readonly #waiting = new Set<Waiting>();
  #clock: NodeJS.Timeout | undefined;

  add(item: Waiting): void {
    this.#waiting.add(item);
    if (this.#clock !== undefined) return;
    this.#clock = setInterval(() => this.#sweep(), DEADLINE_SWEEP_MS);
    this.#clock.unref();
  }

  remove(item: Waiting): void {
    this.#waiting.delete(item);
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
    for (const item of this.#waiting) if (now >= item.deadline) item.expired();
  }
}
