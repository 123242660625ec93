/** Limits of requests that go out: how many, how large, how long; nobody outside can make us hold more. */

/** Fetches under way in one worker, all mappings together: each may hold a connection and 128 KiB. */
export const FETCHES_MAX = 512;
/** Fetches under way of one invocation: a page put together from many parts has a few dozen. */
export const FETCHES_PER_INVOCATION_MAX = 64;
/** Bytes of all strings that fetches of one worker send as bodies: they wait outside their states for the upstreams. */
export const STRING_BODY_BYTES_MAX: number = 128 * 1024 * 1024;
/** Connections of one mapping to one origin; further fetches wait for a free one. */
export const CONNECTIONS_PER_ORIGIN_MAX = 128;
/** Origins with a connection, idle ones too. */
export const ORIGINS_MAX = 1024;
/** Sets of TLS options with connections of their own; the one unused for longest makes room. */
export const TLS_VARIANTS_MAX = 32;

/** Bytes of a response head, names and values together: four times what Node's own client allows. */
export const RESPONSE_HEAD_BYTES_MAX: number = 64 * 1024;
/** Informational heads (1xx) before a response: a server has one for each stage of its work, and honest ones have few. */
export const INFORMATIONAL_HEADS_MAX = 32;
/** Body bytes that wait for the script before the upstream is held back. */
export const BODY_AHEAD_BYTES: number = 128 * 1024;
/** Bytes of a URL: twice what servers commonly accept. */
export const URL_BYTES_MAX: number = 16 * 1024;
/** Redirects followed unless the script says otherwise: what curl's users need at most. */
export const REDIRECTS_DEFAULT = 10;
/** And at most: what the fetch standard follows. */
export const REDIRECTS_MAX = 20;

/** An idle connection is closed after this time, or earlier when the server has said so. */
export const KEEP_ALIVE_MS = 10_000;
/** A server may ask for longer, up to this. */
export const KEEP_ALIVE_MS_MAX = 60_000;
/** From the call to the established connection, TLS included; an attempt nobody waits for any more ends after it too. */
export const CONNECT_TIMEOUT_MS_MAX = 10_000;
/** From the request's last byte to the response head. */
export const HEAD_TIMEOUT_MS = 30_000;
/** Between two pieces of a body that is waited for. */
export const IDLE_TIMEOUT_MS = 30_000;
