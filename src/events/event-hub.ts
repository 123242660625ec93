/**
 * Publish and subscribe of one thread: who has subscribed to which channel here, and the ways to the other threads. What is published is
 * handed out in the turns of the loop that follow, never inside the call, and so much in one turn that nobody else waits for long.
 */
import { GatewayError } from '../base/errors.ts';
import type { Share } from '../mapping/shares.ts';
import {
  BYTES_ON_THE_WAY_MAX,
  CHANNEL_BYTES_MAX,
  DELIVERIES_PER_TURN,
  MESSAGE_BYTES_MAX,
  QUEUE_MESSAGES_DEFAULT,
  SUBSCRIPTION_CHANNELS_MAX,
} from './event-limits.ts';
import { ALL_CHANNELS, type EventBatch, type EventEnd, type EventLink, loadOf } from './event-link.ts';
import { EventLinks } from './event-links.ts';
import { HeldMessage } from './held-message.ts';
import { InterestTable } from './interest-table.ts';
import { Subscription, type SubscriptionOwner } from './subscription.ts';

/** Counts what happens; slots of a row of metrics behind it. */
export interface EventCounts {
  published(): void;
  lost(count: number): void;
}

export interface SubscribeOptions {
  /** Messages that may wait; default: 256. */
  readonly queue?: number | undefined;
  /** For a script that is being loaded, beyond the share of its mapping. */
  readonly isLoading?: boolean | undefined;
}

/** Messages to be handed out: channels and texts in turn. */
interface Batch {
  readonly items: readonly string[];
  readonly lost: readonly (string | number)[];
  /** The way it came; undefined: it was published here. */
  readonly link: EventLink | undefined;
  /** Number of its first message among those published here. */
  readonly first: number;
  at: number;
}

export class EventHub implements SubscriptionOwner {
  /** 0: the main thread. */
  readonly #thread: number;
  readonly #interest: InterestTable;
  readonly #counts: EventCounts | undefined;
  readonly #channels = new Map<string, Set<Subscription>>();
  readonly #links: EventLinks;
  /** In the order in which they are handed out. */
  #inbox: Batch[] = [];
  /** What is published in this turn; the last of the inbox. */
  #own: string[] | undefined;
  #ownBytes = 0;
  #published = 0;
  /** Queues of all threads that the last message goes into, about: whoever publishes pays for that. */
  reach = 0;
  #woken: Subscription[] = [];
  #scheduled = false;

  constructor(thread: number, interest: InterestTable, counts?: EventCounts) {
    this.#thread = thread;
    this.#links = new EventLinks(thread, (link, batch) => this.#received(link, batch));
    this.#interest = interest;
    this.#counts = counts;
  }

  /** Adds the way to another thread, in the place of one to a thread that has ended. */
  connect(end: EventEnd): void {
    this.#links.connect(end);
  }

  /**
   * Gives the message to all who have subscribed to the channel, in all threads; returns how many those of this thread are. Both are strings of
   * bytes. Throws GatewayError (`limit`) for what is too long.
   */
  publish(channel: string, text: string): number {
    checkChannel(channel);
    if (text.length > MESSAGE_BYTES_MAX)
      throw limitError(`Cannot publish a message of ${text.length} bytes: the limit is ${MESSAGE_BYTES_MAX}`);
    this.#counts?.published();
    this.reach = this.#links.size > 0 ? this.#publishAbroad(channel, text) : 0;
    const subscriptions = this.#channels.get(channel);
    if (subscriptions === undefined) return 0;
    this.reach += subscriptions.size;
    const size = loadOf(channel, text);
    if (this.#ownBytes + size > BYTES_ON_THE_WAY_MAX) for (const one of subscriptions) one.lose(1);
    else {
      this.#ownBytes += size;
      if (this.#own === undefined) {
        this.#own = [];
        this.#inbox.push({
          items: this.#own,
          lost: NOTHING_LOST,
          link: undefined,
          first: this.#published,
          at: 0,
        });
      }
      this.#own.push(channel, text);
      this.#published += 1;
      this.#schedule();
    }
    return subscriptions.size;
  }

  /** Throws GatewayError (`limit`) when there is no room for it, RangeError for channels that cannot be. */
  subscribe(channels: readonly string[], share: Share, options: SubscribeOptions = {}): Subscription {
    const names = [...new Set(channels)];
    if (names.length === 0) throw new RangeError('A subscription needs a channel');
    if (names.length > SUBSCRIPTION_CHANNELS_MAX)
      throw limitError(
        `Cannot subscribe to ${names.length} channels at once: the limit is ${SUBSCRIPTION_CHANNELS_MAX}`,
      );
    for (const name of names) checkChannel(name);
    const refusal = share.take('subscriptions', options.isLoading, names.length);
    if (refusal !== undefined) throw limitError(`Cannot subscribe: ${refusal}`);
    const { queue = QUEUE_MESSAGES_DEFAULT } = options;
    const subscription = new Subscription(this, names, queue, share, this.#published);
    for (const name of names) {
      let subscriptions = this.#channels.get(name);
      if (subscriptions === undefined) {
        subscriptions = new Set();
        this.#channels.set(name, subscriptions);
      }
      subscriptions.add(subscription);
      this.#interest.add(this.#thread, name, 1);
    }
    return subscription;
  }

  /** Sends what was published; what could not be told yet follows. */
  flush(): void {
    this.#links.flush();
  }

  /** Ends the ways to other threads. */
  close(): void {
    this.flush();
    this.#links.close();
  }

  /** Ends the subscriptions of a program whose gateway has stopped: loops over them end. */
  closeSubscriptions(): void {
    for (const subscriptions of [...this.#channels.values()])
      for (const subscription of [...subscriptions]) subscription.close();
  }

  // ---- for subscriptions ----

  closed(subscription: Subscription): void {
    const { channels, share } = subscription;
    share.give('subscriptions', channels.length);
    for (const name of channels) {
      const subscriptions = this.#channels.get(name);
      if (subscriptions?.delete(subscription) === true && subscriptions.size === 0)
        this.#channels.delete(name);
      this.#interest.add(this.#thread, name, -1);
    }
  }

  woken(subscription: Subscription): void {
    this.#woken.push(subscription);
    this.#schedule();
  }

  lost(count: number): void {
    this.#counts?.lost(count);
  }

  // ---- inside ----

  /** Returns how many subscribers other threads may have. */
  #publishAbroad(channel: string, text: string): number {
    const slot = InterestTable.slotOf(channel);
    let reach = 0;
    for (const link of this.#links.values()) {
      const count = this.#interest.count(link.peer, slot);
      if (count <= 0) continue;
      reach += count;
      link.send(channel, text);
      this.#schedule();
    }
    return reach;
  }

  #received(link: EventLink, { items, lost }: EventBatch): void {
    this.#inbox.push({ items, lost, link, first: Number.POSITIVE_INFINITY, at: 0 });
    // what is published from now on comes behind it
    this.#own = undefined;
    this.#schedule();
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(this.#turn);
  }

  readonly #turn = (): void => {
    this.#scheduled = false;
    this.flush();
    this.#own = undefined;
    let left = DELIVERIES_PER_TURN;
    let done = 0;
    for (; done < this.#inbox.length && left > 0; done++) {
      const batch = this.#inbox[done] as Batch;
      if (batch.at === 0) this.#tellLost(batch.lost);
      while (left > 0 && batch.at < batch.items.length) left -= 1 + this.#handOut(batch);
      if (batch.at < batch.items.length) break;
    }
    if (done === this.#inbox.length) this.#inbox = [];
    else this.#inbox.splice(0, done);
    const woken = this.#woken;
    this.#woken = [];
    if (this.#inbox.length > 0) this.#schedule();
    for (const subscription of woken) subscription.wake();
  };

  /** The next message of a batch; returns how many have got it. */
  #handOut(batch: Batch): number {
    const { items, at, link, first } = batch;
    const channel = items[at] as string;
    const text = items[at + 1] as string;
    batch.at += 2;
    const size = loadOf(channel, text);
    if (link === undefined) this.#ownBytes -= size;
    else link.taken(size);
    const subscriptions = this.#channels.get(channel);
    if (subscriptions === undefined) return 0;
    const number = first + at / 2;
    let held: HeldMessage | undefined;
    let others: Map<Share, HeldMessage> | undefined;
    for (const subscription of subscriptions) {
      if (subscription.since > number) continue;
      const { share } = subscription;
      if (held === undefined) held = new HeldMessage(channel, text, share);
      else if (held.share !== share) {
        // mappings hold it each for itself
        others ??= new Map();
        others.set(held.share, held);
        held = others.get(share) ?? new HeldMessage(channel, text, share);
      }
      subscription.receive(held);
    }
    return subscriptions.size;
  }

  #tellLost(lost: readonly (string | number)[]): void {
    for (let i = 0; i < lost.length; i += 2) {
      const channel = lost[i] as string;
      const count = lost[i + 1] as number;
      const told =
        channel === ALL_CHANNELS ? this.#channels.values() : [this.#channels.get(channel) ?? NOBODY];
      for (const subscriptions of told) for (const one of subscriptions) one.lose(count);
    }
  }
}

const NOTHING_LOST: readonly number[] = [];
const NOBODY: ReadonlySet<Subscription> = new Set();

function checkChannel(channel: string): void {
  if (channel === '') throw new RangeError('The name of a channel is empty');
  if (channel.length > CHANNEL_BYTES_MAX)
    throw limitError(
      `The name of a channel has ${channel.length} bytes and the limit is ${CHANNEL_BYTES_MAX}`,
    );
}

function limitError(message: string): GatewayError {
  return new GatewayError('LGW_EVENT_LIMIT', message, { luaCode: 'limit' });
}
