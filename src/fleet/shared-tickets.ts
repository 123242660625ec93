/**
 * Keys of session tickets that all machines of a fleet have in common, so that any resumes a session of any other: one set for each hour, made by whoever
 * needs it first. The next hour's are known before it begins, so that clocks need not agree.
 */
import { messageOf } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import { MinuteNotice } from '../base/minute-notice.ts';
import type { SealedEntries } from './sealed-entries.ts';

/** How often the store is asked, and how soon again when it has not answered. */
const CHECK_MS = 60_000;
const RETRY_MS = 1000;

export interface SharedTicketOptions {
  readonly entries: SealedEntries;
  readonly logger: Logger;
  /** How long a set makes tickets; the same on all machines. */
  readonly periodMs: number;
  /** Sets that are in use at a time: those of this hour and the next, and of hours before. */
  readonly count: number;
  /** Makes a set. */
  readonly create: () => Uint8Array;
  /** The sets in common: the first makes tickets, all of them read some. */
  readonly adopt: (keys: readonly Uint8Array[]) => void;
}

export class SharedTickets {
  readonly #options: SharedTicketOptions;
  readonly #known = new Map<number, Uint8Array>();
  #timer: NodeJS.Timeout | undefined;
  #isStopped = false;
  #notice = new MinuteNotice();

  constructor(options: SharedTicketOptions) {
    this.#options = options;
  }

  start(): void {
    void this.#refresh();
  }

  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#timer);
  }

  async #refresh(): Promise<void> {
    const { adopt, logger, periodMs } = this.#options;
    let waitMs = Math.min(CHECK_MS, periodMs);
    try {
      const keys = await this.#read(Math.floor(Date.now() / periodMs));
      if (!this.#isStopped) adopt(keys);
      this.#notice = new MinuteNotice();
    } catch (error) {
      waitMs = Math.min(waitMs, RETRY_MS);
      if (!this.#isStopped && this.#notice.note() !== undefined)
        logger.warn(`Keys of session tickets are not those of the other machines now: ${messageOf(error)}`);
    }
    if (this.#isStopped) return;
    this.#timer = setTimeout(() => void this.#refresh(), waitMs);
    this.#timer.unref();
  }

  async #read(now: number): Promise<Uint8Array[]> {
    const { entries, create, periodMs, count } = this.#options;
    const ttlMs = periodMs * count;
    // a store that has lost them gets them back
    for (const period of [now, now + 1])
      this.#known.set(
        period,
        await entries.agree(nameOf(period), this.#known.get(period) ?? create(), ttlMs),
      );
    const before = Array.from({ length: count - 2 }, (_, i) => now - 1 - i);
    for (const period of before) {
      const key = this.#known.get(period) ?? (await entries.get(nameOf(period)));
      if (key !== undefined) this.#known.set(period, key);
    }
    for (const period of this.#known.keys())
      if (period > now + 1 || period < now - count + 2) this.#known.delete(period);
    return [now, now + 1, ...before].flatMap((period) => this.#known.get(period) ?? []);
  }
}

function nameOf(period: number): string {
  return `tickets:${period}`;
}
