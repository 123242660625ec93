/** Moves bytes from a source to a sink with backpressure, without a script in between. */
import type { ReadableBytes } from '../base/byte-queue.ts';
import type { ByteSink, ByteSource } from '../base/byte-stream.ts';
import type { GatewayError } from '../base/errors.ts';

/** Bytes moved before other work of the thread gets its turn; about 100 µs of copying. */
const TURN_BYTES_MAX = 1024 * 1024;

/** Bytes handed to the sink in one go, so that no more than this passes the sink's own limit. */
const PIECE_BYTES_MAX = 64 * 1024;

/** `error` is the source's or the sink's; `bytes` were accepted by the sink. */
export type CopyDone = (error: GatewayError | undefined, bytes: number) => void;

/** A copy under way. */
export interface Copy {
  /** Bytes the sink has accepted so far. */
  readonly bytes: number;
  /** Stops; `done` is not called any more. */
  cancel(): void;
}

/**
 * Copies `size` bytes, or until the source ends; `done` is called once, never before this returns. `beforeWait` is called
 * whenever the source has to be waited for: what the sink gathers should go on its way.
 */
export function copyBytes(
  source: ByteSource,
  sink: ByteSink,
  size: number | undefined,
  done: CopyDone,
  beforeWait?: () => void,
): Copy {
  const copy = new RunningCopy(source, sink, size ?? Number.POSITIVE_INFINITY, done, beforeWait);
  copy.start();
  return copy;
}

/**
 * Copies all that is left of a source which has ended, where that is so little that nobody needs to wait for it; the
 * bytes, or the sink's error. Undefined: nothing was copied, it has to be waited for.
 */
export function copyRest(
  source: ByteSource,
  sink: ByteSink,
  size: number | undefined,
): GatewayError | number | undefined {
  const { queue } = source;
  const { length } = queue;
  if (!source.ended || source.error !== undefined || sink.error !== undefined) return undefined;
  if (length > PIECE_BYTES_MAX || (size !== undefined && size < length)) return undefined;
  while (queue.length > 0) moveChunk(queue, sink, length);
  source.consumed();
  return sink.error ?? length;
}

class RunningCopy implements Copy {
  readonly #source: ByteSource;
  readonly #sink: ByteSink;
  readonly #done: CopyDone;
  readonly #beforeWait: (() => void) | undefined;
  #left: number;
  #bytes = 0;
  #waitsFor: 'source' | 'sink' | 'turn' | 'nothing' = 'nothing';
  #cancelled = false;
  #immediate: NodeJS.Immediate | undefined;

  constructor(source: ByteSource, sink: ByteSink, size: number, done: CopyDone, beforeWait?: () => void) {
    this.#source = source;
    this.#sink = sink;
    this.#left = size;
    this.#done = done;
    this.#beforeWait = beforeWait;
  }

  get bytes(): number {
    return this.#bytes;
  }

  start(): void {
    // also where nothing is to do: `done` never comes before this returns
    if (this.#source.queue.length > 0 || this.#left <= 0) this.#waitTurn();
    else this.#waitSource();
  }

  cancel(): void {
    this.#cancelled = true;
    if (this.#waitsFor === 'source') this.#source.cancelRequest(this.#onSource);
    else if (this.#waitsFor === 'sink') this.#sink.cancelDrained(this.#onSink);
    else if (this.#waitsFor === 'turn') clearImmediate(this.#immediate);
    this.#waitsFor = 'nothing';
  }

  #waitSource(): void {
    this.#waitsFor = 'source';
    this.#beforeWait?.();
    this.#source.request(1, this.#onSource);
  }

  #waitTurn(): void {
    this.#waitsFor = 'turn';
    this.#immediate = setImmediate(this.#onTurn);
  }

  readonly #onTurn = (): void => {
    this.#waitsFor = 'nothing';
    this.#move(false);
  };

  readonly #onSink = (): void => {
    this.#waitsFor = 'nothing';
    if (this.#sink.error !== undefined) this.#finish(this.#sink.error);
    else this.#move(false);
  };

  readonly #onSource = (): void => {
    this.#waitsFor = 'nothing';
    this.#move(true);
  };

  /** `asked`: the source has just answered a request, so that an empty queue means its end. */
  #move(asked: boolean): void {
    const queue = this.#source.queue;
    let moved = 0;
    while (this.#left > 0 && queue.length > 0) {
      if (moved >= TURN_BYTES_MAX) {
        this.#waitTurn();
        return;
      }
      const before = queue.length;
      const hasRoom = moveChunk(queue, this.#sink, Math.min(this.#left, PIECE_BYTES_MAX));
      const size = before - queue.length;
      // the sink may have ended it all
      if (this.#cancelled) return;
      this.#source.consumed();
      if (this.#sink.error !== undefined) {
        this.#finish(this.#sink.error);
        return;
      }
      this.#left -= size;
      this.#bytes += size;
      moved += size;
      if (!hasRoom && this.#left > 0) {
        this.#waitsFor = 'sink';
        this.#sink.whenDrained(this.#onSink);
        return;
      }
    }
    if (this.#left <= 0) this.#finish(undefined);
    else if (asked && (moved === 0 || this.#source.ended)) this.#finish(this.#source.error);
    else this.#waitSource();
  }

  #finish(error: GatewayError | undefined): void {
    this.#done(error, this.#bytes);
  }
}

/** The sink copies what its source will fill again, and keeps what nobody else has. */
function moveChunk(queue: ReadableBytes, sink: ByteSink, sizeMax: number): boolean {
  if (queue.isReusable) return queue.lend(sizeMax, (bytes) => sink.write(bytes));
  const chunk = queue.takeChunk(sizeMax);
  return sink.writeOwned === undefined ? sink.write(chunk) : sink.writeOwned(chunk);
}
