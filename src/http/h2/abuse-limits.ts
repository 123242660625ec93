/**
 * Counts work that a client causes without using it, and says when that work is too much. Each kind of work has an allowance, which
 * time refills. An honest client causes such work now and then, and its connection goes on.
 */
import type { ConnectionLimits } from '../../settings/limits.ts';

/** A client may use this many seconds of its allowance at once: it leaves a page with many images, or a slow link catches up. */
const BURST_SECONDS = 4;
/** Frames without content, per second: HEADERS or DATA that carry nothing and end nothing. */
const EMPTY_FRAMES_PER_SECOND = 20;
/** WINDOW_UPDATE frames beyond those that answer DATA of ours. */
const WINDOW_UPDATES_PER_SECOND = 500;
/** A client answers a DATA frame with two updates, one for the stream and one for the connection; small windows need more. */
const WINDOW_UPDATES_PER_DATA = 4;

/** CONTINUATION frames of one request head: a head of the largest size fits even when each frame holds only a part of what it could. */
export const CONTINUATIONS_MAX = 32;

export type AbuseRates = Pick<ConnectionLimits, 'resetsPerSecond' | 'controlFramesPerSecond'>;

/** An allowance: `rate` a second, `burst` at once. The clock is read only when the burst is used up. */
class Allowance {
  readonly #rate: number;
  readonly #burst: number;
  #used = 0;
  #since = performance.now();

  constructor(rate: number) {
    this.#rate = rate;
    this.#burst = rate * BURST_SECONDS;
  }

  /** Returns false when the allowance is used up. */
  use(): boolean {
    this.#used += 1;
    if (this.#used <= this.#burst) return true;
    const now = performance.now();
    this.#used = Math.max(0, this.#used - ((now - this.#since) / 1000) * this.#rate);
    this.#since = now;
    return this.#used <= this.#burst;
  }

  giveBack(count: number): void {
    this.#used = Math.max(0, this.#used - count);
  }
}

/** Makes each allowance at its first use, as most connections use few of them. */
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
   * Counts a stream that was reset before its response was complete: by the client (CVE-2023-44487), or by the session because of
   * what the client did on the stream (CVE-2025-8671). Returns false when the resets are too many.
   */
  countReset(): boolean {
    this.#resets ??= new Allowance(this.#rates.resetsPerSecond);
    return this.#resets.use();
  }

  /** Counts SETTINGS, PING, PRIORITY, PRIORITY_UPDATE, GOAWAY, frames of unknown types, and frames on closed streams. */
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

  /** Notes a DATA frame that has been sent: the client answers it with updates. */
  dataSent(): void {
    this.#windowUpdates?.giveBack(WINDOW_UPDATES_PER_DATA);
  }
}
