/** The deadlines of a connection. A sweep looks at all of them every now and then: none has a timer of its own. */
import type { ConnectionLimits } from '../../settings/limits.ts';
import { GOAWAY_GRACE_MS } from './session-bounds.ts';

export type SessionClocks = Pick<ConnectionLimits, 'idleTimeoutMs' | 'headTimeoutMs' | 'stallTimeoutMs'>;

/** A client that speaks HTTP/2 at all answers SETTINGS within a round trip (RFC 9113 §6.5.3). */
export const SETTINGS_ACKNOWLEDGED_MS = 10_000;

/** Times are those of Date.now. */
export class SessionClock {
  readonly startedAt: number = Date.now();
  /** When a sweep last saw that a stream had been opened or closed, or the connection was made. */
  #activeSince: number = this.startedAt;
  /** When the end was announced, or came; 0 before. */
  #closingSince = 0;
  /** When a sweep last saw that output went on. */
  #sendingSince = 0;
  /** Where the last sweep found the reader, and since when it has stood still there. */
  #readerAt = -1;
  #readingSince = 0;
  /** Since when the answer to our settings is waited for. */
  #settingsSince = this.startedAt;

  /** The end is announced or has come: the grace begins. */
  closes(): void {
    this.#closingSince = Date.now();
  }

  isGraceOver(now: number): boolean {
    return now - this.#closingSince >= GOAWAY_GRACE_MS;
  }

  isIdleTooLong(now: number, changed: boolean, { idleTimeoutMs }: SessionClocks): boolean {
    if (changed) this.#activeSince = now;
    return now - this.#activeSince >= idleTimeoutMs;
  }

  sendsTooSlowly(now: number, progressed: boolean, { stallTimeoutMs }: SessionClocks): boolean {
    if (progressed) {
      this.#sendingSince = now;
      return false;
    }
    return now - this.#sendingSince >= stallTimeoutMs;
  }

  /** `waits`: the client has begun to say something; `at` tells how far it has come. */
  readsTooSlowly(now: number, waits: boolean, at: number, { headTimeoutMs }: SessionClocks): boolean {
    const goesOn = !waits || at !== this.#readerAt;
    this.#readerAt = at;
    if (goesOn) {
      this.#readingSince = now;
      return false;
    }
    return now - this.#readingSince >= headTimeoutMs;
  }

  /** What the client says is not heard at present. */
  isDeaf(now: number): void {
    this.#readingSince = now;
    this.#settingsSince = now;
  }

  isSettingsAnswerDue(now: number): boolean {
    return now - this.#settingsSince >= SETTINGS_ACKNOWLEDGED_MS;
  }
}
