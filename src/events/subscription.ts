/** What waits for one subscriber: the newest messages of its channels, within its bounds, and how many it has lost. */
import type { Share } from '../mapping/shares.ts';
import { QUEUE_BYTES_MAX } from './event-limits.ts';
import type { HeldMessage } from './held-message.ts';

/** What a subscriber takes. */
export interface Message {
  /** Both are strings of bytes. */
  readonly channel: string;
  readonly text: string;
  /** Messages that it has lost before this one. */
  readonly lost: number;
}

/** What a subscription tells the hub. */
export interface SubscriptionOwner {
  /** Something has come for one that waits. */
  woken(subscription: Subscription): void;
  closed(subscription: Subscription): void;
  /** So many messages were lost. */
  lost(count: number): void;
}

/** Taken ones are cut off in bulk once so many stand at the front. */
const COMPACT_AFTER = 64;

export class Subscription {
  readonly channels: readonly string[];
  readonly share: Share;
  /** Messages that were published here before are not for it. */
  readonly since: number;
  readonly #owner: SubscriptionOwner;
  readonly #messagesMax: number;
  #queue: (HeldMessage | undefined)[] = [];
  #first = 0;
  #bytes = 0;
  #lost = 0;
  #received = 0;
  #ready: (() => void) | undefined;
  #isWoken = false;
  #closed = false;

  constructor(
    owner: SubscriptionOwner,
    channels: readonly string[],
    messagesMax: number,
    share: Share,
    since: number,
  ) {
    this.#owner = owner;
    this.channels = channels;
    this.#messagesMax = messagesMax;
    this.share = share;
    this.since = since;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Messages that wait. */
  get length(): number {
    return this.#queue.length - this.#first;
  }

  /** Bytes that have come so far. */
  get received(): number {
    return this.#received;
  }

  /** True while somebody waits for the next message. */
  get isAwaited(): boolean {
    return this.#ready !== undefined;
  }

  /** Takes the next message; undefined when none waits. */
  take(): Message | undefined {
    const held = this.#takeOldest();
    if (held === undefined) return undefined;
    return { channel: held.channel, text: held.text, lost: this.takeLost() };
  }

  /** Messages that it has lost and that no message has told of; told of from now on. */
  takeLost(): number {
    const lost = this.#lost;
    this.#lost = 0;
    return lost;
  }

  /** Calls `ready` once, in another turn, when a message has come or the subscription is closed. One waits at a time. */
  whenReady(ready: () => void): void {
    this.#ready = ready;
    if (this.#closed || this.length > 0) this.#tell();
  }

  cancelReady(): void {
    this.#ready = undefined;
  }

  /** Nothing more comes, and what waits is dropped. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    while (this.#takeOldest() !== undefined);
    this.#owner.closed(this);
    this.#tell();
  }

  // ---- for the hub ----

  receive(held: HeldMessage): void {
    if (this.#closed) return;
    while (this.length > 0 && (this.length >= this.#messagesMax || this.#bytes + held.size > QUEUE_BYTES_MAX))
      this.#dropOldest();
    if (!held.hold()) {
      // what waits here may be what has used up the room
      while (this.length > 0) this.#dropOldest();
      if (!held.hold()) {
        this.lose(1);
        return;
      }
    }
    this.#queue.push(held);
    this.#bytes += held.size;
    this.#received += held.size;
    this.#tell();
  }

  /** So many messages have not reached it. */
  lose(count: number): void {
    this.#lost += count;
    this.#owner.lost(count);
  }

  /** Its turn has come to tell whoever waits. */
  wake(): void {
    this.#isWoken = false;
    const ready = this.#ready;
    this.#ready = undefined;
    ready?.();
  }

  #tell(): void {
    if (this.#ready === undefined || this.#isWoken) return;
    this.#isWoken = true;
    this.#owner.woken(this);
  }

  #dropOldest(): void {
    this.#takeOldest();
    this.lose(1);
  }

  #takeOldest(): HeldMessage | undefined {
    const held = this.#queue[this.#first];
    if (held === undefined) return undefined;
    this.#queue[this.#first] = undefined;
    this.#first += 1;
    if (this.#first === this.#queue.length) {
      this.#queue.length = 0;
      this.#first = 0;
    } else if (this.#first >= COMPACT_AFTER) {
      this.#queue.splice(0, this.#first);
      this.#first = 0;
    }
    this.#bytes -= held.size;
    held.release();
    return held;
  }
}
