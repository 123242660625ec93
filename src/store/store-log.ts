/** Tells in the log when a store is away, why, and when it answers again: each reason once, and then once in a minute. */
import type { Logger } from '../base/logger.ts';
import { MinuteNotice } from '../base/minute-notice.ts';

export class StoreLog {
  readonly #place: string;
  readonly #consequence: string;
  readonly #logger: Logger;
  readonly #changed: (isAway: boolean) => void;
  #isAway = false;
  #isThere = false;
  #toldReason = '';
  #notice = new MinuteNotice();

  /** `consequence`: what an absence means, as a sentence without its end. `changed` hears when the store goes or comes back. */
  constructor(place: string, consequence: string, logger: Logger, changed: (isAway: boolean) => void) {
    this.#place = place;
    this.#consequence = consequence;
    this.#logger = logger;
    this.#changed = changed;
  }

  /** A sentence; undefined: the store answers, or nothing is known yet. */
  get fault(): string | undefined {
    return this.#isAway ? `store ${this.#place} is away: ${this.#toldReason}` : undefined;
  }

  /** The store answers, as far as is known; false, too, before it has answered at all. */
  get isThere(): boolean {
    return this.#isThere;
  }

  available(server: string): void {
    this.#isThere = true;
    const text = `Store ${this.#place} answers`;
    if (this.#isAway) {
      this.#isAway = false;
      this.#changed(false);
      this.#logger.info(`${text} again`, { server });
    } else this.#logger.debug(text, { server });
    this.#toldReason = '';
    this.#notice = new MinuteNotice();
  }

  away(reason: string, isConfiguration: boolean): void {
    this.#isThere = false;
    if (!this.#isAway) {
      this.#isAway = true;
      this.#changed(true);
    }
    // the same reason comes with each attempt
    if (reason !== this.#toldReason) this.#notice = new MinuteNotice();
    this.#toldReason = reason;
    if (this.#notice.note() === undefined) return;
    const message = `Store ${this.#place} is away: ${reason}. ${this.#consequence}`;
    if (isConfiguration) this.#logger.error(`${message} until this is set right`);
    else this.#logger.warn(`${message} meanwhile`);
  }
}
