/**
 * A client that has its answer and still sends a request body (RFC 9113 §8.1): how much is taken in for the sake of the
 * connection, and how long HTTP/2 waits for it to stop by itself. A reset that comes while it sends makes clients in use, such as
 * curl 7.88, drop the answer they have got.
 */

/** So much of a body that no handler has read is taken in and dropped; HTTP/1 does it where no more was declared. */
export const LATE_BODY_BYTES_MAX: number = 256 * 1024;
/** The stream is reset with NO_ERROR once the client has been quiet for this long: it waits for a window, or for us. */
export const LATE_BODY_QUIET_MS = 1_000;
/** A client that goes on sending, within the window it had been given, is reset this long after its answer. */
export const LATE_BODY_MS_MAX = 10_000;
