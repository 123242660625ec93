/** What a session may hold at most, and how long it waits for its client. */
import { CHUNK_BYTES_MAX } from '../exchange/chunk-pool.ts';
import { BUFFER_BYTES_MAX } from '../exchange/response-buffer.ts';

/** Body bytes that a client may send on one stream before a handler reads any of them. */
export const STREAM_WINDOW_BYTES: number = 256 * 1024;
/** Body bytes of all streams that may be on their way or unread, before the window grows: 80 Mbit/s over 100 ms. */
export const CONNECTION_WINDOW_BYTES: number = 1024 * 1024;
/** Response bytes that all exchanges of a connection may hold together; each gets an equal share. */
export const SESSION_WRITE_BYTES: number = 1024 * 1024;
/** A head above the limit is decoded up to this factor of the limit; either way it is answered with 431. */
export const HEAD_SLACK = 2;
/** The client has this long, in milliseconds, to answer the announcing GOAWAY, and to close after the session has ended. */
export const GOAWAY_GRACE_MS = 1_000;

/** Returns how many bytes each exchange of a connection with so many open streams may hold. */
export function exchangeBufferBytes(openStreams: number): number {
  return Math.max(CHUNK_BYTES_MAX, Math.min(BUFFER_BYTES_MAX, SESSION_WRITE_BYTES / openStreams));
}
