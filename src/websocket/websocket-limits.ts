/** What bounds WebSockets beside the options of a script, each with its unit and reason. */

/** Bytes of a message where the option `max` says nothing: what chats and games send is far shorter. */
export const MESSAGE_BYTES_DEFAULT: number = 1024 * 1024;
/** The most that the option `max` may say: a message is whole before a script sees it. */
export const MESSAGE_BYTES_MAX: number = 64 * 1024 * 1024;
/** Frames of one message that somebody else has divided: browsers send messages whole. */
export const FRAGMENTS_MAX = 1024;
/** Messages that wait for their script; with so many, or so many bytes, nothing more is read. */
export const INBOX_MESSAGES_MAX = 16;
export const INBOX_BYTES_MAX: number = 1024 * 1024;
/** Frames that one client has taken before others have a turn: each costs 5 to 30 µs. */
export const FRAMES_IN_TURN_MAX = 64;
/** A longer message leaves in frames of this size, between which the sender waits for its client (bytes). */
export const FRAGMENT_BYTES: number = 64 * 1024;
/** A frame that comes slowly is taken in pieces of this size (bytes): each is a buffer of its own. */
export const PIECE_BYTES: number = 16 * 1024;
/** Messages of one WebSocket of a TypeScript handler that wait for their client, and their bytes; a longer message may wait alone. */
export const SENDS_WAITING_MAX = 1024;
export const SENDS_WAITING_BYTES_MAX: number = 16 * 1024 * 1024;
/** Bytes that may wait to be compressed for one client. */
export const DEFLATING_BYTES_MAX: number = 64 * 1024;
/** Shorter messages go as they are (bytes): compressed ones would hardly be shorter. */
export const DEFLATE_BYTES_MIN = 128;
/** What the two contexts of one WebSocket take: 128 KiB and 32 KiB to deflate, 40 KiB to inflate. */
const DEFLATE_CONTEXT_BYTES: number = 200 * 1024;
/** Memory for contexts in one worker: further WebSockets are not compressed. */
const DEFLATE_CONTEXTS_BYTES_MAX: number = 64 * 1024 * 1024;
export const DEFLATED_MAX: number = Math.floor(DEFLATE_CONTEXTS_BYTES_MAX / DEFLATE_CONTEXT_BYTES);
/** zlib's memory level: a context of 32 KiB beside its window in place of 128 KiB, for answers some percent longer. */
export const DEFLATE_MEMORY_LEVEL = 6;
export const DEFLATE_LEVEL = 4;
/** Jobs of one worker in libuv's pool at once: two of its four threads stay for files. */
export const POOL_JOBS_MAX = 2;
/** From one ping to the next where the option `ping` says nothing: proxies drop what is silent for a minute. */
export const PING_MS_DEFAULT = 30_000;
/** How long a client may take to answer a close frame. */
export const CLOSE_TIMEOUT_MS = 10_000;
/**
 * The close frame of a client waits for the answers to the messages before it as long as its script takes one of them in this time:
 * scripts that only send take none.
 */
export const GOODBYE_MS_MAX = 5000;
/** Bytes of the reason in a close frame (RFC 6455 §5.5). */
export const REASON_BYTES_MAX = 123;
/** Protocols that a client may offer, or a script may name. */
export const PROTOCOLS_MAX = 64;
/** Origins that a script may name. */
export const ORIGINS_MAX = 64;
/** WebSockets of one worker: twice the connections that it has by default, since a connection of HTTP/2 may have many. */
export const WEBSOCKETS_MAX = 20_000;
