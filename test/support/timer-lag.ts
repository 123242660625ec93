/** How late timers of this process are: a part of each time that a test measures is the machine's. */

const EVERY_MS = 10;

/** Measures from its construction until `stop`. */
export class TimerLag {
  maxMs = 0;
  #sumMs = 0;
  #ticks = 0;
  #due: number = performance.now() + EVERY_MS;
  readonly #timer: NodeJS.Timeout = setInterval(() => {
    const now = performance.now();
    this.maxMs = Math.max(this.maxMs, now - this.#due);
    this.#sumMs += Math.max(0, now - this.#due);
    this.#ticks += 1;
    this.#due = now + EVERY_MS;
  }, EVERY_MS);

  /** The greatest so far, with that of a timer that is late at this moment. */
  mostMs(): number {
    return Math.max(this.maxMs, performance.now() - this.#due);
  }

  /** All of it so far: what other threads do meanwhile is not what this one has waited for. */
  sumMs(): number {
    return this.#sumMs + Math.max(0, performance.now() - this.#due);
  }

  /** Of each timer; some 1 where nothing else runs, as the loop counts in whole milliseconds. */
  meanMs(): number {
    return this.sumMs() / (this.#ticks + 1);
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}
