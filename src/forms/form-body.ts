/** A request body that holds a form: how far it was read, and whether somebody else has read from it. */
import type { ByteQueue } from '../base/byte-queue.ts';
import type { ByteSource } from '../base/byte-stream.ts';

/** A body whose bytes can be looked at before they are taken. */
export interface FormSource extends ByteSource {
  readonly queue: ByteQueue;
}

export class FormBody {
  readonly source: FormSource;
  /** Bytes taken so far. */
  #position = 0;

  constructor(source: FormSource) {
    this.source = source;
  }

  get position(): number {
    return this.#position;
  }

  /** Bytes are missing: somebody else has taken them. */
  get isDisturbed(): boolean {
    return this.source.queue.taken !== this.#position;
  }

  /** Whoever reads for the form has taken so many bytes. */
  noteTaken(bytes: number): void {
    this.#position += bytes;
  }

  /** Takes bytes that nobody wants. */
  drop(bytes: number): void {
    const { queue } = this.source;
    const end = this.#position + bytes;
    while (this.#position < end) {
      const before = queue.taken;
      queue.lend(end - this.#position, ignore);
      this.#position += queue.taken - before;
    }
  }

  /** Takes bytes that are there, as a byte string; no chunk of the queue is kept for them. */
  takeText(bytes: number): string {
    const text = Buffer.allocUnsafe(bytes);
    this.source.queue.takeInto(text, 0, bytes);
    this.#position += bytes;
    return text.toString('latin1');
  }
}

function ignore(): void {}
