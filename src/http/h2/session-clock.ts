/** The deadlines of a connection. Regular sweeps look at all of them, so that none needs a timer of its own. */
import type { ConnectionLimits } from '../../settings/limits.ts';
import { GOAWAY_GRACE_MS } from './session-bounds.ts';

export type SessionClocks = Pick<ConnectionLimits, 'idleTimeoutMs' | 'headTimeoutMs' | 'stallTimeoutMs'>;

/** A client acknowledges SETTINGS as soon as it has read them (RFC 9113 §6.5.3): this allows for a slow one. */
export const SETTINGS_ACKNOWLEDGED_MS = 10_000;

/** Times are those of performance.now. */
export class SessionClock {
  readonly startedAt: number = performance.now();
  /** When a sweep last saw that a stream had been opened or closed; before that, when the connection was made. */
  #activeSince: number = this.startedAt;
  /** When the end was announced or came; 0 before that. */
  #closingSince = 0;
  /** When a sweep last saw that output made progress. */
  #sendingSince = 0;
  /** Where the last sweep found the reader, and since when the reader has been there. */
  #readerAt = -1;
  #readingSince = 0;
  /** Since when the session waits for the acknowledgement of its settings. */
  #settingsSince = this.startedAt;

  /** The end is announced or has come: GOAWAY_GRACE_MS begin. */
  closes(): void {
    this.#closingSince = performance.now();
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

  /** `waits`: the client has begun a frame or a head and not ended it; `at` tells how far it is. */
  readsTooSlowly(now: number, waits: boolean, at: number, { headTimeoutMs }: SessionClocks): boolean {
    const goesOn = !waits || at !== this.#readerAt;
    this.#readerAt = at;
    if (goesOn) {
      this.#readingSince = now;
      return false;
    }
    return now - this.#readingSince >= headTimeoutMs;
  }

  /** The session does not read the socket at present: deadlines for what the client sends begin anew. */
  isDeaf(now: number): void {
    this.#readingSince = now;
    this.#settingsSince = now;
  }

  isSettingsAnswerDue(now: number): boolean {
    return now - this.#settingsSince >= SETTINGS_ACKNOWLEDGED_MS;
  }
}
