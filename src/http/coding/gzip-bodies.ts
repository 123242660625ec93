/**
 * Coders that make gzip of whole bodies, and are used again: a new one takes a quarter of a MiB, which the system has to clear, and which
 * counts for the garbage collector as much as if it were never given back.
 */
import { type BodyGzip, createBodyGzip } from './codings.ts';

/** Kept of one worker: as many as have a turn in the pool on a small machine. Some 430 KiB each, with their room. */
const SPARES_MAX = 2;

/** Codes one body at a time. */
export class GzipBody {
  readonly level: number;
  /** Where the body may stand while it is coded. */
  readonly room: Buffer;
  readonly #encoder: BodyGzip;
  #take: ((bytes: Buffer) => void) | undefined;
  #done: ((error: Error | undefined) => void) | undefined;

  constructor(level: number, roomBytes: number) {
    this.level = level;
    this.room = Buffer.allocUnsafeSlow(roomBytes);
    this.#encoder = createBodyGzip(level);
    this.#encoder.on('data', (bytes: Buffer) => this.#take?.(bytes));
    this.#encoder.on('error', (error) => this.#end(error));
  }

  /** Codes a whole body in the pool. `take` gets the pieces of the outcome; then `done` is called, with an error after which the coder is of no use. */
  code(body: Uint8Array, take: (bytes: Buffer) => void, done: (error: Error | undefined) => void): void {
    this.#take = take;
    this.#done = done;
    this.#encoder.write(body, (error) => {
      if (!error) this.#encoder.reset();
      this.#end(error ?? undefined);
    });
  }

  destroy(): void {
    this.#encoder.destroy();
  }

  #end(error: Error | undefined): void {
    const done = this.#done;
    this.#take = undefined;
    this.#done = undefined;
    done?.(error);
  }
}

/** The coders of a worker that have nothing to do. */
export class GzipBodies {
  readonly #roomBytes: number;
  readonly #spares: GzipBody[] = [];

  /** `roomBytes`: of the longest body. */
  constructor(roomBytes: number) {
    this.#roomBytes = roomBytes;
  }

  /** One that waits, or a new one. Throws where zlib has no memory. */
  take(level: number): GzipBody {
    const at = this.#spares.findIndex((one) => one.level === level);
    return at === -1 ? new GzipBody(level, this.#roomBytes) : (this.#spares.splice(at, 1)[0] as GzipBody);
  }

  /** It has coded its body. Of too many the one that has waited longest goes: nobody may want its level any more. */
  give(one: GzipBody): void {
    this.#spares.push(one);
    if (this.#spares.length > SPARES_MAX) this.#spares.shift()?.destroy();
  }
}
