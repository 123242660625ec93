/**
 * A client that has its answer and still sends a request body (RFC 9113 §8.1): how long HTTP/2 waits for it to stop by
 * itself. A reset that comes while it sends makes clients in use, such as curl 7.88, drop the answer they have got.
 */

/** The stream is reset with NO_ERROR once the client has been quiet for this long: it waits for a window, or for us. */
export const LATE_BODY_QUIET_MS = 1_000;
/** A client that goes on sending, within the window it had been given, is reset this long after its answer. */
export const LATE_BODY_MS_MAX = 10_000;
