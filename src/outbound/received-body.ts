/**
 * The body of a response that comes in: what has arrived and was not read yet, with the upstream held back meanwhile.
 * Readers are called in a tick of their own, never inside undici, whose parser cannot be entered twice.
 */
import { ByteQueue } from '../base/byte-queue.ts';
import type { ByteSource } from '../base/byte-stream.ts';
import type { GatewayError } from '../base/errors.ts';
import { BODY_AHEAD_BYTES, BODY_READ_BYTES_MAX } from './outbound-limits.ts';

/** How a body steers where it comes from. */
export interface BodyControl {
  pause(): void;
  resume(): void;
  /** One read asked for more than it may gather: everything ends, and `fail` is called. */
  overflow(): void;
}

export class ReceivedBody implements ByteSource {
  readonly queue: ByteQueue = new ByteQueue();
  readonly #control: BodyControl;
  #ended = false;
  #error: GatewayError | undefined;
  #paused = false;
  #wanted = 0;
  #ready: (() => void) | undefined;
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
    this.#wanted = Math.max(1, size);
    this.#ready = ready;
    if (this.#ended || this.queue.length >= this.#wanted) this.#schedule();
    else this.#resume();
  }

  cancelRequest(ready?: () => void): void {
    if (ready !== undefined && ready !== this.#ready) return;
    this.#ready = undefined;
    this.#wanted = 0;
  }

  consumed(): void {
    if (this.#paused && this.queue.length <= BODY_AHEAD_BYTES / 2) this.#resume();
  }

  /** Takes a chunk, which nobody changes any more. */
  receive(chunk: Uint8Array): void {
    if (this.#ended) return;
    this.queue.push(chunk);
    const { length } = this.queue;
    if (length > BODY_READ_BYTES_MAX && this.#wanted > BODY_READ_BYTES_MAX) {
      this.#control.overflow();
      return;
    }
    if (!this.#paused && length >= Math.max(BODY_AHEAD_BYTES, this.#wanted)) {
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

  /** Calls the waiting reader, if one waits and has what it waits for. */
  notify(): void {
    this.#scheduled = false;
    const ready = this.#ready;
    if (!this.#ended && this.queue.length < this.#wanted) return;
    this.#ready = undefined;
    this.#wanted = 0;
    ready?.();
  }

  #schedule(): void {
    if (this.#scheduled || this.#ready === undefined) return;
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
