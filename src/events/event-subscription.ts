/** A subscription as JavaScript uses it: an asynchronous iterator of messages. */
import type { Message, Subscription } from './subscription.ts';

/** One message. */
export class EventMessage {
  /** Messages that this subscriber has lost before this one, because it was too slow. */
  readonly lost: number;
  readonly #message: Message;

  constructor(message: Message) {
    this.lost = message.lost;
    this.#message = message;
  }

  get channel(): string {
    return Buffer.from(this.#message.channel, 'latin1').toString();
  }

  /** The bytes, read as UTF-8. */
  get text(): string {
    return this.bytes.toString();
  }

  get bytes(): Buffer {
    return Buffer.from(this.#message.text, 'latin1');
  }
}

/**
 * `for await (const { text, channel, lost } of subscription)`. A loop that is left closes it, and so does the end of the request that it was
 * made for; a closed one has no more messages.
 */
export class EventSubscription implements AsyncIterableIterator<EventMessage> {
  readonly #subscription: Subscription;

  constructor(subscription: Subscription) {
    this.#subscription = subscription;
  }

  /** The next message. One caller waits at a time: a second call rejects. */
  next(): Promise<IteratorResult<EventMessage, undefined>> {
    const subscription = this.#subscription;
    const message = subscription.take();
    if (message !== undefined) return Promise.resolve({ done: false, value: new EventMessage(message) });
    if (subscription.closed) return Promise.resolve(DONE);
    if (subscription.isAwaited)
      return Promise.reject(new Error('Another call waits for the next message already'));
    return new Promise((resolve) => {
      subscription.whenReady(() => resolve(this.next()));
    });
  }

  /** Ends it; a call that waits gets the end. */
  close(): void {
    this.#subscription.close();
  }

  return(): Promise<IteratorResult<EventMessage, undefined>> {
    this.close();
    return Promise.resolve(DONE);
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}

const DONE: IteratorReturnResult<undefined> = Object.freeze({ done: true, value: undefined });
