/** Waits that end when nothing happens any more, for what must not happen. */

/**
 * Rounds of the event loop without a change. Each of them looks at all sockets, so that bytes between two of them in this process
 * move on in every round. Rounds are as many on a busy machine, only slower: time would say nothing there.
 */
const STILL_ROUNDS = 300;
/** More than what moves for a while and then stops takes. */
const ROUNDS_MAX = 1_000_000;

/** Waits until `read` returns the same number in so many rounds of the event loop; returns it. For what this process does alone. */
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
