/** Publish and subscribe as JavaScript uses them: channels and messages are texts, which go as UTF-8, or bytes. */
import { GatewayError } from '../base/errors.ts';
import { NOTHING, type Share, Shares } from '../mapping/shares.ts';
import type { EventHub } from './event-hub.ts';
import {
  DELIVERIES_PER_SECOND_MAX,
  MESSAGE_BYTES_WAITING_MAX,
  QUEUE_MESSAGES_MAX,
  SUBSCRIPTIONS_MAX,
} from './event-limits.ts';
import { EventSubscription } from './event-subscription.ts';

/** How a subscriber wants its messages. */
export interface SubscriptionOptions {
  /** Messages that may wait for it; the oldest are lost first. 1 to 16384, default 256. */
  readonly queue?: number;
}

/** For one share of what a thread may hold. */
export class TextEvents {
  readonly #hub: EventHub;
  readonly #share: Share;
  /** Queues that may still be filled in this second: below 0 where the last message went into more. */
  #left: number;
  #leftAt: number = performance.now();
  readonly #perSecond: number;

  constructor(hub: EventHub, share: Share, deliveriesPerSecond: number = DELIVERIES_PER_SECOND_MAX) {
    this.#hub = hub;
    this.#share = share;
    this.#perSecond = deliveriesPerSecond;
    this.#left = deliveriesPerSecond;
  }

  /** Throws as the hub does, and GatewayError (`limit`) where too much was published in a second. */
  publish(channel: string, message: string | Uint8Array): number {
    if (this.#left <= 0) this.#refill();
    const count = this.#hub.publish(bytesOf(channel), bytesOf(message));
    this.#left -= this.#hub.reach;
    return count;
  }

  #refill(): void {
    const now = performance.now();
    const gained = ((now - this.#leftAt) / 1000) * this.#perSecond;
    this.#left = Math.min(this.#perSecond, this.#left + gained);
    this.#leftAt = now;
    if (this.#left > 0) return;
    const text = `what was published in this second went to ${this.#perSecond} subscribers and the limit is as many`;
    throw new GatewayError('LGW_EVENT_LIMIT', `Cannot publish: ${text}`, { luaCode: 'limit' });
  }

  /** Throws as the hub does, and RangeError for an option that cannot be. */
  subscribe(channels: string | readonly string[], options: SubscriptionOptions = {}): EventSubscription {
    const { queue } = options;
    if (queue !== undefined && !(Number.isInteger(queue) && queue >= 1 && queue <= QUEUE_MESSAGES_MAX))
      throw new RangeError(`Option "queue" is ${queue} (1 to ${QUEUE_MESSAGES_MAX} messages were expected)`);
    const names = typeof channels === 'string' ? [channels] : channels;
    return new EventSubscription(this.#hub.subscribe(names.map(bytesOf), this.#share, { queue }));
  }
}

/** A share of its own, for a thread that has no mappings. */
export function createEventShare(name: string): Share {
  const limits = { ...NOTHING, subscriptions: SUBSCRIPTIONS_MAX, messageBytes: MESSAGE_BYTES_WAITING_MAX };
  return new Shares({ limits, percent: 100 }).of(name);
}

/** A string of bytes. */
function bytesOf(text: string | Uint8Array): string {
  if (typeof text === 'string') return Buffer.from(text).toString('latin1');
  return Buffer.from(text.buffer, text.byteOffset, text.length).toString('latin1');
}
