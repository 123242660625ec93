/** A byte source as the asynchronous iterable that undici sends: one piece at a time, when the upstream takes it. */
import type { ByteSource } from '../base/byte-stream.ts';
import type { GatewayError } from '../base/errors.ts';

/** Bytes of one piece. */
const PIECE_BYTES_MAX = 64 * 1024;

/** Hears when the body begins to wait for its source, and when for the upstream. */
export interface SentBodyWatch {
  sourceAwaited(): void;
  pieceGiven(): void;
}

type Result = IteratorResult<Uint8Array, undefined>;

export class SentBody implements AsyncIterable<Uint8Array>, AsyncIterator<Uint8Array, undefined> {
  readonly #source: ByteSource;
  readonly #watch: SentBodyWatch;
  #stopped: GatewayError | undefined;
  #finished = false;
  #pending:
    | { readonly resolve: (result: Result) => void; readonly reject: (error: Error) => void }
    | undefined;

  constructor(source: ByteSource, watch: SentBodyWatch) {
    this.#source = source;
    this.#watch = watch;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<Result> {
    return new Promise((resolve, reject) => {
      this.#pending = { resolve, reject };
      if (this.#stopped !== undefined || this.#source.queue.length > 0) this.#give();
      else {
        this.#watch.sourceAwaited();
        this.#source.request(1, this.#ready);
      }
    });
  }

  return(): Promise<Result> {
    this.#finished = true;
    return Promise.resolve({ done: true, value: undefined });
  }

  /** Ends the body: it does not use the source any more. */
  stop(error: GatewayError): void {
    if (this.#stopped !== undefined || this.#finished) return;
    this.#stopped = error;
    if (this.#pending === undefined) return;
    this.#source.cancelRequest(this.#ready);
    this.#give();
  }

  readonly #ready = (): void => this.#give();

  #give(): void {
    const pending = this.#pending;
    if (pending === undefined) return;
    this.#pending = undefined;
    const error = this.#stopped ?? (this.#source.queue.length === 0 ? this.#source.error : undefined);
    if (error !== undefined) {
      this.#finished = true;
      pending.reject(error);
      return;
    }
    const piece = this.#source.queue.takeChunk(PIECE_BYTES_MAX);
    this.#watch.pieceGiven();
    if (piece.length === 0) {
      this.#finished = true;
      pending.resolve({ done: true, value: undefined });
      return;
    }
    this.#source.consumed();
    pending.resolve({ done: false, value: piece });
  }
}
