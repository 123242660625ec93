/** What the store of dictionaries is bounded by. */

/** Calls of one worker that wait for a connection or an answer: about what its requests may have open at once. */
export const CALLS_MAX = 4096;
/** Bytes of commands that wait. */
export const CALL_BYTES_MAX: number = 64 * 1024 * 1024;
/** Of a value. In memory the size of the dictionary bounds it; here every value crosses the network in one piece. */
export const VALUE_BYTES_MAX: number = 4 * 1024 * 1024;
/** A reply that is longer ends its connection. */
export const REPLY_BYTES_MAX: number = 16 * 1024 * 1024;
/** Values inside each other in one reply; the commands that are used need 4. */
export const REPLY_DEPTH_MAX = 8;
/** Elements of one array of a reply. */
export const REPLY_ELEMENTS_MAX: number = 1024 * 1024;

/** Of a call, where the script does not say another. */
export const CALL_TIMEOUT_MS = 1000;
/** What a script may ask for. */
export const CALL_TIMEOUT_MS_MAX = 60_000;
/** A call waits no longer for a store that is known not to answer. */
export const BROKEN_WAIT_MS = 100;
/** From the first packet to the answers to the greeting. */
export const CONNECT_TIMEOUT_MS = 5000;
/** A connection that owes an answer and has sent nothing for so long beyond the deadline of a call is given up. */
export const SILENCE_MS = 1000;
/** Overdue calls are looked for this often, while there are any. */
export const SWEEP_MS = 10;
/** Pauses between attempts to connect, each with up to half of it more or less. */
export const RECONNECT_MS_MIN = 50;
export const RECONNECT_MS_MAX = 2000;
/** An idle connection whose answers a near cache relies on is asked this often whether it lives. */
export const PING_MS = 1000;

/** Servers of a cluster that a worker is connected to. */
export const CLUSTER_NODES_MAX = 256;
/** Times that one call is sent on to another server of a cluster. */
export const REDIRECTS_MAX = 8;
/** Before a call that a cluster cannot serve while a slot moves is sent again. */
export const TRY_AGAIN_MS = 20;
/** The map of a cluster is read again at most this often. */
export const SLOTS_AGE_MS_MIN = 200;

/** Of what a worker keeps near: entries, and bytes of their keys and values with what holds them. */
export const NEAR_ENTRIES_MAX = 32_768;
export const NEAR_BYTES_MAX: number = 16 * 1024 * 1024;
/** What an entry takes beside its key and its value. */
export const NEAR_ENTRY_BYTES = 200;
/** A larger value is not kept near. */
export const NEAR_VALUE_BYTES_MAX: number = 256 * 1024;
