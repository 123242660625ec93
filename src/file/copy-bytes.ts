/** Copies bytes from a source to a sink with backpressure, without running Lua for them. */
import type { ReadableBytes } from '../base/byte-queue.ts';
import type { ByteSink, ByteSource } from '../base/byte-stream.ts';
import type { GatewayError } from '../base/errors.ts';

/** Bytes copied before other work of the thread gets a turn: about 100 µs of copying. */
const TURN_BYTES_MAX = 1024 * 1024;

/** Bytes of one write to the sink, which may exceed the limit of the sink by no more than this. */
const PIECE_BYTES_MAX = 64 * 1024;

/** `error` is that of the source or of the sink; the sink has accepted `bytes`. */
export type CopyDone = (error: GatewayError | undefined, bytes: number) => void;

/** A copy that is running. */
export interface Copy {
  /** Bytes the sink has accepted so far. */
  readonly bytes: number;
  /** It waits for the source, and for nothing else. */
  readonly waitsForSource: boolean;
  /** Stops the copy; `done` is not called any more. */
  cancel(): void;
}

/**
 * Copies `size` bytes, or all until the source ends. Calls `done` once, never before this function returns. Calls `beforeWait`
 * before each wait for the source, so that the sink can send what it has gathered.
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
 * Copies the rest of a source that has ended, where the rest is so little that no wait is needed. Returns the number of bytes, or
 * the error of the sink. Undefined: nothing was copied, and the caller has to use `copyBytes`.
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

  get waitsForSource(): boolean {
    return this.#waitsFor === 'source';
  }

  start(): void {
    // also when there is nothing to copy: `done` is never called before `start` returns
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

  /** `asked`: the source has just answered a request, so that an empty queue means the end of the source. */
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
      // the write may have cancelled the copy
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

/** Moves one chunk. The sink copies bytes of a buffer that the source uses again, and may keep any other chunk. */
function moveChunk(queue: ReadableBytes, sink: ByteSink, sizeMax: number): boolean {
  if (queue.isReusable) return queue.lend(sizeMax, (bytes) => sink.write(bytes));
  const chunk = queue.takeChunk(sizeMax);
  return sink.writeOwned === undefined ? sink.write(chunk) : sink.writeOwned(chunk);
}
