/**
 * The body of a received response: holds bytes that nobody has read yet, and pauses the upstream when they are many.
 * Readers are called in a tick of their own, never within a call of undici, whose parser cannot be entered twice.
 */
import { ByteQueue } from '../base/byte-queue.ts';
import type { ByteSource } from '../base/byte-stream.ts';
import type { GatewayError } from '../base/errors.ts';
import { BODY_AHEAD_BYTES } from './outbound-limits.ts';

/** How a body pauses and ends its upstream. */
export interface BodyControl {
  pause(): void;
  resume(): void;
}

interface Reader {
  readonly size: number;
  readonly ready: () => void;
}

export class ReceivedBody implements ByteSource {
  readonly queue: ByteQueue = new ByteQueue();
  readonly #control: BodyControl;
  #ended = false;
  #error: GatewayError | undefined;
  #paused = false;
  /** The smallest and the largest number of bytes that waiting readers have asked for. */
  #wanted = 0;
  #wantedMost = 0;
  /** The waiting readers: tasks of one request may read the same response. */
  #readers: Reader[] = [];
  #scheduled = false;

  constructor(control: BodyControl) {
    this.#control = control;
  }

  get ended(): boolean {
    return this.#ended;
  }

  get error(): GatewayError | undefined {
    return this.#error;
  }

  request(size: number, ready: () => void): void {
    this.#readers.push({ size: Math.max(1, size), ready });
    this.#measure();
    if (this.#ended || this.queue.length >= this.#wanted) this.#schedule();
    if (this.queue.length < size) this.#resume();
  }

  cancelRequest(ready?: () => void): void {
    this.#readers = ready === undefined ? [] : this.#readers.filter((reader) => reader.ready !== ready);
    this.#measure();
  }

  consumed(): void {
    if (this.#paused && this.queue.length <= BODY_AHEAD_BYTES / 2) this.#resume();
  }

  /** Takes a chunk, which must not change any more. */
  receive(chunk: Uint8Array): void {
    if (this.#ended) return;
    this.queue.push(chunk);
    const { length } = this.queue;
    if (!this.#paused && length >= Math.max(BODY_AHEAD_BYTES, this.#wantedMost)) {
      this.#paused = true;
      this.#control.pause();
    }
    if (length >= this.#wanted) this.#schedule();
  }

  finish(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#schedule();
  }

  /** The body breaks off; what has arrived stays readable. */
  fail(error: GatewayError): void {
    if (this.#ended) return;
    this.#error = error;
    this.finish();
  }

  /**
   * Calls each waiting reader whose bytes have come. A reader may take the bytes that the next reader waits for, or wait again.
   */
  notify(): void {
    this.#scheduled = false;
    for (const reader of [...this.#readers]) {
      if (!this.#ended && this.queue.length < reader.size) continue;
      const at = this.#readers.indexOf(reader);
      if (at === -1) continue;
      this.#readers.splice(at, 1);
      this.#measure();
      reader.ready();
    }
    // a reader may want more bytes than are read ahead
    if (this.queue.length < this.#wantedMost) this.#resume();
  }

  #measure(): void {
    const sizes = this.#readers.map(({ size }) => size);
    this.#wanted = sizes.length === 0 ? 0 : Math.min(...sizes);
    this.#wantedMost = Math.max(0, ...sizes);
  }

  #schedule(): void {
    if (this.#scheduled || this.#readers.length === 0) return;
    this.#scheduled = true;
    process.nextTick(notifyReader, this);
  }

  #resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#control.resume();
  }
}

function notifyReader(body: ReceivedBody): void {
  body.notify();
}
