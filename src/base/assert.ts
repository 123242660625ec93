/** Asserts our own invariants; never used for what the outside world may do wrong. */

/** Throws when `condition` does not hold. `sentence` says what should have been true. */
export function assert(condition: boolean, sentence: string): asserts condition {
  if (!condition) throw new AssertionError(sentence);
}

/** A mistake of the gateway's own: ends the thread, and the supervisor replaces it. */
export class AssertionError extends Error {
  override readonly name = 'AssertionError';
}
