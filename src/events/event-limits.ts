/** The bounds of publish and subscribe; where nothing else is said, those of one worker. */

/** Bytes of the name of a channel: a few identifiers in a row. */
export const CHANNEL_BYTES_MAX = 255;
/** Bytes of one message: what is larger is better stored, and only told of. */
export const MESSAGE_BYTES_MAX: number = 256 * 1024;
/** Channels of one subscription. */
export const SUBSCRIPTION_CHANNELS_MAX = 64;
/** Messages that wait for one subscriber, unless it says otherwise, and what it may say. */
export const QUEUE_MESSAGES_DEFAULT = 256;
export const QUEUE_MESSAGES_MAX: number = 16 * 1024;
/** Bytes that wait for one subscriber: four of the largest messages. */
export const QUEUE_BYTES_MAX: number = 1024 * 1024;
/** Channels that all subscriptions of a worker have, each counted as often as it is subscribed to: some kilobytes each with what waits for them. */
export const SUBSCRIPTIONS_MAX = 20_000;
/** Bytes of messages that wait for the subscribers of a worker; one message counts once, however many it waits for. */
export const MESSAGE_BYTES_WAITING_MAX: number = 64 * 1024 * 1024;
/** Bytes on the way from one thread to another, or that a thread has published and not yet handed out: 4 MiB is some milliseconds of work. */
export const BYTES_ON_THE_WAY_MAX: number = 4 * 1024 * 1024;
/** What a message takes beside its bytes. */
export const MESSAGE_OVERHEAD_BYTES = 64;
/** Messages put into queues in one turn of the loop, about half a millisecond. */
export const DELIVERIES_PER_TURN = 4096;
/** Channels for which a thread remembers how many messages did not reach another; beyond, all subscribers of that one are told. */
export const LOST_CHANNELS_MAX = 1024;
/** How long a thread waits before it asks again whether another has room to hear of losses: a message that follows tells of them, too. */
export const LOSSES_TOLD_MS = 50;
/**
 * Queues that one mapping of TypeScript handlers, or a program, may fill by what it publishes in a second: about a quarter of a second of processor time.
 * Lua pays for that by its own limit.
 */
export const DELIVERIES_PER_SECOND_MAX = 2_000_000;
