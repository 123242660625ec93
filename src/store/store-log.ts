/** Tells in the log when a store is away, why, and when it answers again: each reason once, and then once in a minute. */
import type { Logger } from '../base/logger.ts';
import { MinuteNotice } from '../base/minute-notice.ts';

/** Reasons told apart; more than the servers of a cluster have at a time. The others share one notice. */
const REASONS_MAX = 32;

export class StoreLog {
  readonly #place: string;
  readonly #consequence: string;
  readonly #logger: Logger;
  readonly #changed: (isAway: boolean) => void;
  #isAway = false;
  #isThere = false;
  #toldReason = '';
  /** By reason: the servers of a cluster are away each for a reason of its own, in turns. */
  readonly #notices = new Map<string, MinuteNotice>();

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
    this.#notices.clear();
  }

  away(reason: string, isConfiguration: boolean): void {
    this.#isThere = false;
    if (!this.#isAway) {
      this.#isAway = true;
      this.#changed(true);
    }
    this.#toldReason = reason;
    if (this.#noticeOf(reason).note() === undefined) return;
    const message = `Store ${this.#place} is away: ${reason}. ${this.#consequence}`;
    if (isConfiguration) this.#logger.error(`${message} until this is set right`);
    else this.#logger.warn(`${message} meanwhile`);
  }
  /** The same reason comes with each attempt. */
  #noticeOf(reason: string): MinuteNotice {
    const key = this.#notices.has(reason) || this.#notices.size < REASONS_MAX ? reason : '';
    const known = this.#notices.get(key);
    if (known !== undefined) return known;
    const notice = new MinuteNotice();
    this.#notices.set(key, notice);
    return notice;
  }
}
