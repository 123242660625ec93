/** A stream of the web's kind that somebody writes to who hears when its reader has room, as those who answer exchanges do. */
import { ByteQueue } from '../base/byte-queue.ts';

/** Bytes that wait for their reader before the writer has to. */
export const ROOM_BYTES: number = 64 * 1024;

export class StreamSink {
  readonly stream: ReadableStream<Uint8Array>;
  readonly #queue = new ByteQueue();
  #controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  #state: 'open' | 'ended' | 'closed' = 'open';
  /** The reader waits for a piece. */
  #pulled: (() => void) | undefined;
  #drained: (() => void) | undefined;
  readonly #closed: () => void;

  /** `abandoned`: nobody reads any more. `closed`: called once, when nothing is kept any more, whatever the end was. */
  constructor(abandoned: () => void, closed: () => void = ignore) {
    this.#closed = closed;
    this.stream = new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          this.#controller = controller;
        },
        pull: () =>
          new Promise<void>((resolve) => {
            this.#pulled = resolve;
            this.#feed();
          }),
        cancel: () => {
          if (this.#state === 'closed') return;
          this.#state = 'closed';
          this.#queue.clear();
          abandoned();
          this.#notify();
          closed();
        },
      },
      // nothing is read ahead of the consumer: the queue is the read-ahead
      { highWaterMark: 0 },
    );
  }

  get isFull(): boolean {
    return this.#queue.length > ROOM_BYTES;
  }

  /** Takes a copy. */
  write(bytes: Uint8Array): boolean {
    if (this.#state !== 'open') return true;
    this.#queue.pushCopy(bytes);
    this.#feed();
    return !this.isFull;
  }

  /** The bytes are the stream's from now on. */
  writeOwned(bytes: Uint8Array): boolean {
    if (this.#state !== 'open') return true;
    this.#queue.push(bytes);
    this.#feed();
    return !this.isFull;
  }

  whenDrained(drained: () => void): void {
    this.#drained = drained;
    if (!this.isFull) process.nextTick(() => this.#notify());
  }

  cancelDrained(): void {
    this.#drained = undefined;
  }

  /** Nothing is kept from the reader. */
  flush(): void {}

  /** A stream has none. */
  trailers(): void {}

  end(): void {
    if (this.#state !== 'open') return;
    this.#state = 'ended';
    this.#feed();
  }

  reset(): void {
    if (this.#state !== 'open') return;
    this.#state = 'closed';
    this.#queue.clear();
    this.#controller?.error(new Error('The answer has broken off'));
    this.#answerPull();
    this.#closed();
  }

  /** Gives the next piece to a reader that waits, and closes the stream behind the last. */
  #feed(): void {
    const controller = this.#controller as ReadableStreamDefaultController<Uint8Array>;
    if (this.#pulled !== undefined && this.#queue.length > 0) {
      controller.enqueue(new Uint8Array(this.#queue.takeChunk(ROOM_BYTES)));
      this.#answerPull();
    }
    if (this.#queue.length === 0 && this.#state === 'ended') {
      this.#state = 'closed';
      controller.close();
      this.#answerPull();
      this.#closed();
    } else if (!this.isFull) this.#notify();
  }

  #answerPull(): void {
    const pulled = this.#pulled;
    this.#pulled = undefined;
    pulled?.();
  }

  /** The writer may go on. */
  #notify(): void {
    const drained = this.#drained;
    this.#drained = undefined;
    drained?.();
  }
}

function ignore(): void {}
