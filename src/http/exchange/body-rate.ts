/**
 * How slowly a request body may come: a client that sends a byte now and then would keep its handler for ever, since each
 * byte is progress. The clock only runs while a handler waits for the client.
 */

/** Waiting that every body is given, whatever its rate (Apache's RequestReadTimeout has the same). */
export const BODY_GRACE_MS = 20_000;

export interface BodyRate {
  /** Bytes a second that buy one more second of waiting; 0 = no limit. */
  readonly bytesPerSecondMin: number;
  readonly graceMs: number;
}

/** True when a body has made others wait for longer than its bytes are worth. */
export function isTooSlow(waitedMs: number, bytesReceived: number, rate: BodyRate): boolean {
  if (rate.bytesPerSecondMin === 0) return false;
  return waitedMs >= rate.graceMs + (bytesReceived / rate.bytesPerSecondMin) * 1000;
}
