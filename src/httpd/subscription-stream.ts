/** A subscription as its script holds it: messages one by one, or their bytes as a stream. */
import { ByteQueue } from '../base/byte-queue.ts';
import type { ByteSource } from '../base/byte-stream.ts';
import type { Subscription } from '../events/subscription.ts';
import { LuaError } from '../lua/lua-error.ts';
import type { LuaStream } from '../script/objects/lua-streams.ts';

/** Bytes of the messages, as the reader asks for them: no more leave the queue of the subscription. */
class MessageBytes implements ByteSource {
  readonly queue: ByteQueue = new ByteQueue();
  readonly error = undefined;
  readonly #subscription: Subscription;
  #ready: (() => void) | undefined;

  constructor(subscription: Subscription) {
    this.#subscription = subscription;
  }

  get ended(): boolean {
    return this.#subscription.closed;
  }

  request(size: number, ready: () => void): void {
    checkAlone(this.#subscription);
    this.#ready = ready;
    this.#fill(size);
    if (this.queue.length < size && !this.ended) this.#subscription.whenReady(() => this.#arrived(size));
    else setImmediate(() => this.#tell());
  }

  cancelRequest(): void {
    if (this.#ready === undefined) return;
    this.#ready = undefined;
    this.#subscription.cancelReady();
  }

  consumed(): void {}

  #fill(size: number): void {
    while (this.queue.length < size) {
      const message = this.#subscription.take();
      if (message === undefined) return;
      this.queue.push(Buffer.from(message.text, 'latin1'));
    }
  }

  #arrived(size: number): void {
    this.#fill(size);
    if (this.queue.length < size && !this.ended) this.#subscription.whenReady(() => this.#arrived(size));
    else this.#tell();
  }

  #tell(): void {
    const ready = this.#ready;
    this.#ready = undefined;
    ready?.();
  }
}

export class SubscriptionStream implements LuaStream {
  readonly name = 'subscription';
  readonly source: ByteSource;
  readonly sink = undefined;
  readonly subscription: Subscription;
  /** Called when it is closed. */
  closed: (() => void) | undefined;

  constructor(subscription: Subscription) {
    this.subscription = subscription;
    this.source = new MessageBytes(subscription);
  }

  close(): void {
    this.closed?.();
    this.subscription.close();
  }
}

/** Raises where another task waits for the next message. */
export function checkAlone(subscription: Subscription): void {
  if (subscription.isAwaited) throw new LuaError('another task waits for the next message');
}
