/** The front of a request body as a queue of its own: its bytes stay, and count, where they are until they are taken. */
import type { ReadableBytes } from '../base/byte-queue.ts';
import type { FormBody } from './form-body.ts';

export class BodyWindow implements ReadableBytes {
  readonly #body: FormBody;
  /** The position in the body behind the window. */
  end: number;

  constructor(body: FormBody) {
    this.#body = body;
    this.end = body.position;
  }

  get length(): number {
    return this.#body.isDisturbed ? 0 : this.end - this.#body.position;
  }

  get isReusable(): boolean {
    return this.#body.source.queue.isReusable;
  }

  takeInto(target: Uint8Array, at: number, size: number): void {
    this.#body.source.queue.takeInto(target, at, size);
    this.#body.noteTaken(size);
  }

  take(size: number): Uint8Array {
    const bytes = this.#body.source.queue.take(size);
    this.#body.noteTaken(size);
    return bytes;
  }

  takeChunk(sizeMax: number = Number.POSITIVE_INFINITY): Uint8Array {
    const bytes = this.#body.source.queue.takeChunk(Math.min(sizeMax, this.length));
    this.#body.noteTaken(bytes.length);
    return bytes;
  }

  lend<T>(sizeMax: number, use: (bytes: Uint8Array) => T): T {
    const { queue } = this.#body.source;
    const before = queue.taken;
    const result = queue.lend(Math.min(sizeMax, this.length), use);
    this.#body.noteTaken(queue.taken - before);
    return result;
  }

  lineLength(from = 0): number {
    const size = this.#body.source.queue.lineLength(from);
    return size > this.length ? -1 : size;
  }
}
