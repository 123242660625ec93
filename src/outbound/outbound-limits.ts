/** Limits of outgoing requests: how many, how large, how long. No upstream can make the gateway hold more. */

/** Running fetches of one worker, all mappings together: each may hold a connection and 128 KiB. */
export const FETCHES_MAX = 512;
/** Running fetches of one invocation: a page that consists of many parts has a few dozen. */
export const FETCHES_PER_INVOCATION_MAX = 64;
/** Bytes of all strings that fetches of one worker send as bodies: the strings are held outside of Lua until upstreams take them. */
export const STRING_BODY_BYTES_MAX: number = 128 * 1024 * 1024;
/** Connections of one mapping to one origin; further fetches wait for a free one. */
export const CONNECTIONS_PER_ORIGIN_MAX = 128;
/** Origins with a connection, idle ones too. */
export const ORIGINS_MAX = 1024;
/** Sets of TLS options with connections of their own; a further set replaces the one that was unused for longest. */
export const TLS_VARIANTS_MAX = 32;

/** Bytes of a response head, names and values together: four times what Node's own client allows. */
export const RESPONSE_HEAD_BYTES_MAX: number = 64 * 1024;
/** Informational heads (1xx) before a response: a server has one for each stage of its work, and honest ones have few. */
export const INFORMATIONAL_HEADS_MAX = 32;
/** Body bytes that wait for the script before the connection to the upstream is paused. */
export const BODY_AHEAD_BYTES: number = 128 * 1024;
/** Bytes of a URL: twice what servers commonly accept. */
export const URL_BYTES_MAX: number = 16 * 1024;
/** Redirects to follow where the script gives no number. */
export const REDIRECTS_DEFAULT = 10;
/** The largest number that a script may give: what the fetch standard follows. */
export const REDIRECTS_MAX = 20;

/** An idle connection is closed after this time, or earlier when the server has said so. */
export const KEEP_ALIVE_MS = 10_000;
/** A server may ask for a longer time, up to this. */
export const KEEP_ALIVE_MS_MAX = 60_000;
/** Time from the call to the established connection, TLS included; it also ends attempts that nobody waits for any more. */
export const CONNECT_TIMEOUT_MS_MAX = 10_000;
/** Time from the last byte of the request to the response head. */
export const HEAD_TIMEOUT_MS = 30_000;
/** Time between two pieces of a body that a reader waits for. */
export const IDLE_TIMEOUT_MS = 30_000;

/** Connections of one worker that scripts have opened by `httpd.connect`: each may hold 128 KiB that arrived, and a descriptor. */
export const SOCKETS_MAX = 512;
/** Those of one invocation: a script talks to a handful of servers, perhaps in a few dozen tasks. */
export const SOCKETS_PER_INVOCATION_MAX = 64;
/** Idle connections of one mapping that its scripts have given back: they hold a descriptor each. The oldest makes room. */
export const IDLE_SOCKETS_MAX = 256;
/** Idle connections with one name: more than these are not in use at once where a request takes some ms. */
export const IDLE_SOCKETS_PER_NAME_MAX = 32;
/** Time after which an idle connection is closed where the script gives none: what servers wait for at least. */
export const IDLE_SOCKET_MS = 60_000;
/** Bytes of the name that a script gives to connections. */
export const SOCKET_NAME_BYTES_MAX = 128;
/** Bytes of a line that a script reads: a peer that sends no line end makes nobody gather more. */
export const LINE_BYTES_MAX: number = 1024 * 1024;
/** Time that a read may wait for bytes, and a write for room, where the script gives none. */
export const SOCKET_TIMEOUT_MS = 30_000;
/** Time that bytes which were written before a connection was closed have to leave. */
export const SOCKET_LINGER_MS = 5_000;
