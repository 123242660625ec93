/**
 * Counts work that a client causes without a use to it, and says when it is too much. Each kind of work has an allowance that is
 * refilled with time, so that an honest client, which causes some of it now and then, is not cut off.
 */
import type { ConnectionLimits } from '../../settings/limits.ts';

/** An allowance is this many seconds' worth at once: a page with all its images is left, or a slow link catches up. */
const BURST_SECONDS = 4;
/** Frames without content, per second: HEADERS or DATA that carry nothing and end nothing. */
const EMPTY_FRAMES_PER_SECOND = 20;
/** WINDOW_UPDATE frames beyond those that answer DATA of ours. */
const WINDOW_UPDATES_PER_SECOND = 500;
/** A DATA frame of ours is answered with two updates, for stream and connection; small windows need some more. */
const WINDOW_UPDATES_PER_DATA = 4;

/** The frames of one request head: even with little in each, a head of the largest size fits. */
export const CONTINUATIONS_MAX = 32;

export type AbuseRates = Pick<ConnectionLimits, 'resetsPerSecond' | 'controlFramesPerSecond'>;

/** An allowance: `rate` a second, `burst` at once. The clock is read only when the burst is used up. */
class Allowance {
  readonly #rate: number;
  readonly #burst: number;
  #used = 0;
  #since = Date.now();

  constructor(rate: number) {
    this.#rate = rate;
    this.#burst = rate * BURST_SECONDS;
  }

  /** True while it is not too much. */
  use(): boolean {
    this.#used += 1;
    if (this.#used <= this.#burst) return true;
    const now = Date.now();
    this.#used = Math.max(0, this.#used - ((now - this.#since) / 1000) * this.#rate);
    this.#since = now;
    return this.#used <= this.#burst;
  }

  giveBack(count: number): void {
    this.#used = Math.max(0, this.#used - count);
  }
}

/** Each allowance is made when it is first used: an idle connection has used one of them. */
export class AbuseLimits {
  readonly #rates: AbuseRates;
  #resets: Allowance | undefined;
  #controlFrames: Allowance | undefined;
  #emptyFrames: Allowance | undefined;
  #windowUpdates: Allowance | undefined;

  constructor(rates: AbuseRates) {
    this.#rates = rates;
  }

  /**
   * A stream was reset before its time: by the client (CVE-2023-44487), or by us because of what the client did on it
   * (CVE-2025-8671). False: too many.
   */
  countReset(): boolean {
    this.#resets ??= new Allowance(this.#rates.resetsPerSecond);
    return this.#resets.use();
  }

  /** SETTINGS, PING, PRIORITY, PRIORITY_UPDATE, frames of unknown types, and those on streams that are closed. */
  countControlFrame(): boolean {
    this.#controlFrames ??= new Allowance(this.#rates.controlFramesPerSecond);
    return this.#controlFrames.use();
  }

  countEmptyFrame(): boolean {
    this.#emptyFrames ??= new Allowance(EMPTY_FRAMES_PER_SECOND);
    return this.#emptyFrames.use();
  }

  countWindowUpdate(): boolean {
    this.#windowUpdates ??= new Allowance(WINDOW_UPDATES_PER_SECOND);
    return this.#windowUpdates.use();
  }

  /** A DATA frame has been sent, which the client answers with updates. */
  dataSent(): void {
    this.#windowUpdates?.giveBack(WINDOW_UPDATES_PER_DATA);
  }
}
