/** The clocks of the cache. */

/** Tests put their own times here. */
export const cacheClock: { now: () => number; wall: () => number } = {
  /** Milliseconds since some time in the past; never goes back, as the clock of the machine may. */
  now: () => performance.now(),
  /** Milliseconds since 1970, as servers have it, too. */
  wall: () => Date.now(),
};
