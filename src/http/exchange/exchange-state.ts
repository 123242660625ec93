/** The ranks of an exchange's life: it only ever moves to a higher one. */

export const OPEN = 0;
/** The head is known and nothing has been sent. */
export const HEAD_GIVEN = 1;
/** `end` was called and nothing has been sent. */
export const ENDED_UNSENT = 2;
export const HEAD_SENT = 3;
/** `end` was called and bytes are still waiting for the client. */
export const ENDING = 4;
/** Everything is with the wire, or the exchange was broken off. */
export const DONE = 5;
/** Nothing is held any more. */
export const CLOSED = 6;
export type ExchangeState =
  | typeof OPEN
  | typeof HEAD_GIVEN
  | typeof ENDED_UNSENT
  | typeof HEAD_SENT
  | typeof ENDING
  | typeof DONE
  | typeof CLOSED;
