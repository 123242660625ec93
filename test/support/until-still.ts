/** Waits until nothing changes any more, for tests that show that something does not happen. */

/**
 * Rounds of the event loop without a change. Each round looks at all sockets, so bytes between two sockets of this process make
 * progress in every round. A busy machine needs the same number of rounds, so a time would be the wrong measure.
 */
const STILL_ROUNDS = 300;
/** Bound of all rounds, far above what any waiting test needs. */
const ROUNDS_MAX = 1_000_000;

/**
 * Waits until `read` returns the same number for so many rounds of the event loop; returns the number. Only for changes that
 * this process alone makes.
 */
export async function untilStill(read: () => number): Promise<number> {
  let last = read();
  for (let rounds = 0, still = 0; still < STILL_ROUNDS; rounds++) {
    if (rounds > ROUNDS_MAX) throw new Error(`It moves on and on: ${last}`);
    await new Promise((resolve) => setImmediate(resolve));
    const now = read();
    still = now === last ? still + 1 : 0;
    last = now;
  }
  return last;
}
