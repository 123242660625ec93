/** A log line for something that strangers can make happen at any rate: one a minute, which says how many were left out. */
import type { Logger } from './logger.ts';

/** Often enough to be seen, too seldom to fill a disk. */
const LINE_INTERVAL_MS = 60_000;

export class LimitedLine {
  readonly #logger: Logger;
  readonly #message: string;
  #nextAt = 0;
  #unlogged = 0;

  constructor(logger: Logger, message: string) {
    this.#logger = logger;
    this.#message = message;
  }

  log(facts: Readonly<Record<string, string | number | undefined>>): void {
    const now = performance.now();
    if (now < this.#nextAt) {
      this.#unlogged += 1;
      return;
    }
    this.#nextAt = now + LINE_INTERVAL_MS;
    this.#logger.info(this.#message, {
      ...facts,
      unlogged: this.#unlogged === 0 ? undefined : this.#unlogged,
    });
    this.#unlogged = 0;
  }
}
