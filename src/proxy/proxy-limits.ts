/** Limits of proxies: how many connections, how large, how long. No upstream can make the gateway hold more. */

/** Requests of one worker that proxies have under way: each may hold a connection and twice 128 KiB. */
export const CALLS_MAX = 4096;
/** Connections to one upstream that are kept while nothing uses them: as many as a burst of ten clients with twenty streams each leaves. */
export const IDLE_LINKS_MAX = 256;
/** Idle connections that a worker keeps to all its upstreams together, of either version: four upstreams may have all of theirs. */
export const IDLE_LINKS_WORKER_MAX = 1024;
/** An idle connection is closed after this time, or earlier when the server has said so: most servers keep theirs for longer. */
export const LINK_IDLE_MS = 10_000;
/** A request that cannot be repeated takes a connection that was used so lately: its server does hardly close it at this moment. */
export const LINK_FRESH_MS = 1000;
/** Idle connections are looked at so often. */
export const LINK_SWEEP_MS = 1000;

/** Bytes of the head of an answer: as much as a fetch takes. */
export const ANSWER_HEAD_BYTES_MAX: number = 64 * 1024;
/** Bytes of the trailers of an answer. */
export const ANSWER_TRAILER_BYTES_MAX: number = 64 * 1024;
/** Informational heads (1xx) before an answer: a server has one for each stage of its work, and honest ones have few. */
export const INFORMATIONAL_HEADS_MAX = 32;
/** A body up to this size that comes with its head is one piece with it. */
export const WHOLE_BODY_BYTES_MAX: number = 16 * 1024;
/** Bytes of a request's body that wait in the socket to an upstream before its client is held back. */
export const UNSENT_BYTES_MAX: number = 128 * 1024;

/** Rounds of the event loop in which nothing comes of an answer before a connection is given up that takes no more of its request. */
export const QUIET_ROUNDS_MAX = 2;

/** Deadlines are looked at so often, and passed by no more. */
export const DEADLINE_SWEEP_MS = 100;

/** Upstreams with connections that scripts of a worker may have: one that makes up targets uses up its own. */
export const UPSTREAMS_MAX = 1024;

/** Servers of one mapping that one worker checks; further ones are not checked. */
export const CHECKS_MAX = 256;
/** A server that no request has named for so long is not checked any more, or after two intervals if these are longer. */
export const CHECK_KEPT_MS = 60_000;
/** Calls at a time on one connection of HTTP/2, where its server allows as many: what servers allow as a rule. Further ones get another connection. */
export const SESSION_STREAMS_MAX = 100;
/** Connections of HTTP/2 to one upstream: with a hundred calls each they are as many as a worker has. */
export const SESSIONS_MAX = 40;
