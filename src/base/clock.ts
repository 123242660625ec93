/** A time that only goes forward, the same in all threads. */

/** `performance.now` begins with each thread; the system's monotonic clock is one for all. */
const threadStart = Number(process.hrtime.bigint()) / 1e6 - performance.now();

/** Milliseconds since some time in the past, the same in all threads; never goes back. */
export function monotonicMs(): number {
  return threadStart + performance.now();
}
