/** A web stream as a source of bytes whose front can be looked at: read only as somebody asks for more. */
import { ByteQueue } from '../base/byte-queue.ts';
import { GatewayError, messageOf } from '../base/errors.ts';
import type { FormSource } from '../forms/form-body.ts';

interface Waiting {
  readonly size: number;
  readonly ready: () => void;
}

export class StreamSource implements FormSource {
  readonly queue: ByteQueue = new ByteQueue();
  readonly #reader: ReadableStreamDefaultReader<Uint8Array> | undefined;
  #ended = false;
  #error: GatewayError | undefined;
  #waiting: Waiting | undefined;
  #isReading = false;

  /** Undefined: an empty one. Throws TypeError when somebody else reads the stream. */
  constructor(stream: ReadableStream<Uint8Array> | null) {
    this.#reader = stream?.getReader();
    this.#ended = stream === null;
  }

  get ended(): boolean {
    return this.#ended;
  }

  get error(): GatewayError | undefined {
    return this.#error;
  }

  request(size: number, ready: () => void): void {
    this.#waiting = { size, ready };
    if (this.#isReading) return;
    this.#isReading = true;
    void this.#read();
  }

  cancelRequest(): void {
    this.#waiting = undefined;
  }

  /** The stream is asked for more by `request` alone. */
  consumed(): void {}

  /** Nothing more will be read: whoever feeds the stream is told. */
  close(): void {
    if (!this.#ended) this.#reader?.cancel().catch(() => undefined);
    this.#ended = true;
    this.#waiting = undefined;
  }

  /** Reads until nobody waits; never rejects. */
  async #read(): Promise<void> {
    while (!this.#ended && this.#waiting !== undefined && this.queue.length < this.#waiting.size) {
      try {
        const { done, value } = await (this.#reader as ReadableStreamDefaultReader<Uint8Array>).read();
        if (done) this.#ended = true;
        else this.queue.push(bytesOf(value));
      } catch (error) {
        this.#ended = true;
        this.#error = toGatewayError(error);
      }
    }
    await undefined;
    this.#isReading = false;
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.ready();
  }
}

function bytesOf(chunk: unknown): Uint8Array {
  if (chunk instanceof Uint8Array) return chunk;
  throw new TypeError('it gave something that is no Uint8Array');
}

function toGatewayError(error: unknown): GatewayError {
  if (error instanceof GatewayError) return error;
  return new GatewayError('LGW_FORM_READ', `Cannot read the form: ${messageOf(error)}`, { cause: error });
}
