/** When streams of events show that they live, and when each of them ends where many have to. */

/** What stands between closes connections that are silent for longer, most after 30 s or 60 s. */
const HEARTBEAT_MS = 15_000;
export const HEARTBEAT_MS_MIN = 100;
export const HEARTBEAT_MS_MAX = 3_600_000;
/** Heartbeats in the time that a handler may be silent. */
const BEATS_PER_TIME_LIMIT = 2;
/**
 * Streams that end because of a reload or a drain do so one after the other, as their clients come back at once: so many a millisecond, and
 * all within this time.
 */
const ENDS_PER_MS = 2;
const ENDS_MS_MAX = 5000;

/** A shorter time limit needs more heartbeats: it is the client that is to be waited for, not the next event. */
export function usualHeartbeatMs(timeLimitMs: number): number {
  return Math.max(HEARTBEAT_MS_MIN, Math.min(HEARTBEAT_MS, Math.floor(timeLimitMs / BEATS_PER_TIME_LIMIT)));
}

/** How long one of so many open streams goes on when all of them are to end. */
export function endDelayMs(openStreams: number): number {
  return Math.random() * Math.min(ENDS_MS_MAX, openStreams / ENDS_PER_MS);
}
