/** Lets a number of events through per second and counts the others. */

const WINDOW_MS = 1000;

export class RateLimit {
  readonly #max: number;
  #windowStart = 0;
  #admitted = 0;
  #suppressed = 0;

  constructor(perSecondMax: number) {
    this.#max = perSecondMax;
  }

  /** The number of events suppressed since the last admitted one; undefined when this one is suppressed as well. */
  admit(now: number = performance.now()): number | undefined {
    if (now - this.#windowStart >= WINDOW_MS) {
      this.#windowStart = now;
      this.#admitted = 0;
    }
    if (this.#admitted === this.#max) {
      this.#suppressed += 1;
      return undefined;
    }
    this.#admitted += 1;
    const suppressed = this.#suppressed;
    this.#suppressed = 0;
    return suppressed;
  }
}
