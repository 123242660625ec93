/** Lets something that may happen very often be told at once the first time, and then once a minute. */

const MINUTE_MS = 60_000;

export class MinuteNotice {
  #toldAt = Number.NEGATIVE_INFINITY;
  #times = 0;

  /** It has happened: how often since it was told last, or undefined when it is not to be told now. `now`: a steady clock, ms. */
  note(now: number = performance.now()): number | undefined {
    this.#times += 1;
    if (now - this.#toldAt < MINUTE_MS) return undefined;
    const times = this.#times;
    this.#toldAt = now;
    this.#times = 0;
    return times;
  }
}
