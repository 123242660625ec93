/** What a session may hold at most, and how long it waits for its client, whichever layer speaks HTTP/2. */
import { CHUNK_BYTES_MAX } from '../exchange/chunk-pool.ts';
import { BUFFER_BYTES_MAX } from '../exchange/response-buffer.ts';

/** Body bytes a client may send on one stream before a handler has read any. */
export const STREAM_WINDOW_BYTES: number = 256 * 1024;
/** Body bytes that may be on their way on all streams together, and unread here: 80 Mbit/s over 100 ms at first. */
export const CONNECTION_WINDOW_BYTES: number = 1024 * 1024;
/** Response bytes that all exchanges of a connection may hold together; each gets its share. */
export const SESSION_WRITE_BYTES: number = 1024 * 1024;
/** Past the limit, up to this factor, a head is answered with 431; beyond it the stream is reset. */
export const HEAD_SLACK = 2;
/** After GOAWAY and the last stream, the client has this long to close before we do, in milliseconds. */
export const GOAWAY_GRACE_MS = 1_000;

/** Bytes an exchange may hold itself: streams of one connection share what one exchange of HTTP/1 has many times. */
export function exchangeBufferBytes(openStreams: number): number {
  return Math.max(CHUNK_BYTES_MAX, Math.min(BUFFER_BYTES_MAX, SESSION_WRITE_BYTES / openStreams));
}
