/** The clock's faces: the HTTP date, written once a second at most, and a time that only goes forward. */

let cachedSecond = -1;
let cachedDate = '';

/** The current time as an IMF-fixdate (RFC 9110 §5.6.7), e.g. `Sun, 06 Nov 1994 08:49:37 GMT`. */
export function httpDate(now: number = Date.now()): string {
  const second = Math.floor(now / 1000);
  if (second !== cachedSecond) {
    cachedSecond = second;
    cachedDate = new Date(second * 1000).toUTCString();
  }
  return cachedDate;
}

/** `performance.now` begins with each thread; the system's monotonic clock is one for all. */
const threadStart = Number(process.hrtime.bigint()) / 1e6 - performance.now();

/** Milliseconds since some time in the past, the same in all threads; never goes back. */
export function monotonicMs(): number {
  return threadStart + performance.now();
}
