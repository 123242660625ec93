/** The two seams between everything that moves bytes (request bodies, files, pipes) and whoever reads or writes. */
import type { ReadableBytes } from './byte-queue.ts';
import type { GatewayError } from './errors.ts';

/**
 * Where bytes come from. A reader first looks into `queue`; when there are too few it calls `request` once and
 * looks again when `ready` is called. One reader at a time.
 */
export interface ByteSource {
  /** Bytes that have arrived and have not been read; the reader takes them out. */
  readonly queue: ReadableBytes;
  /** True when nothing will be added to `queue` any more (end, failure or close). */
  readonly ended: boolean;
  /** Why the source ended early; undefined for an ordinary end. */
  readonly error: GatewayError | undefined;
  /**
   * Asks for `queue.length >= size` (bytes, at least 1) and calls `ready` exactly once: when that holds, or when the
   * source has ended. Never calls `ready` before it returns. Only while a request stands does the source let more
   * bytes in than its own read-ahead.
   */
  request(size: number, ready: () => void): void;
  /**
   * As `request`, for readers that can go on after they have waited too long: `ready` is called then, too, and `takeTimeout` says
   * so. Sources that wait for ever, or end when a wait takes too long, leave both out.
   */
  requestInTime?(size: number, ready: () => void): void;
  /** Why `ready` was called before its bytes had come; undefined where they have, or the source has ended. */
  takeTimeout?(ready: () => void): GatewayError | undefined;
  /** Bytes of the longest line, with its end, that may be read as one; undefined: as many as the reader has room for. */
  readonly lineBytesMax?: number;
  /** Withdraws a standing request; its `ready` is not called any more. Sources with several readers need to know whose. */
  cancelRequest(ready?: () => void): void;
  /** Tells the source that bytes were taken from `queue`, so that it may let more in. Cheap. */
  consumed(): void;
  /** Bytes that are still to be read, as far as that is known; undefined where it is not. */
  readonly expected?: number | undefined;
  /**
   * The reader cannot take what it has asked for. True: whoever sends it is told so, and nobody waits for an answer of the
   * reader any more.
   */
  refuse?(reason: GatewayError): boolean;
}

/** Where bytes go. One writer at a time. */
export interface ByteSink {
  /** Why nothing can be written any more; undefined while the sink works. */
  readonly error: GatewayError | undefined;
  /** True: the sink has no room at all. Callers that cannot wait ask this; sinks that never refuse leave it out. */
  readonly isFull?: boolean;
  /** Bytes written so far, where this count shows the progress of a run. */
  readonly bytesWritten?: number;
  /** The most bytes that one call of `write` may give, for sinks where a byte costs more than its copy. */
  readonly pieceBytesMax?: number;
  /**
   * Takes all of `bytes` (copies them before it returns). True: there is room for more. False: the writer has to
   * wait for `whenDrained` before it writes again.
   */
  write(bytes: Uint8Array): boolean;
  /** As `write`, but keeps `bytes`: nobody changes them any more. Sinks that copy anyway leave it out. */
  writeOwned?(bytes: Uint8Array): boolean;
  /** As `write`, for a byte string (latin1): where a sink has this, it is cheaper for short pieces. */
  writeText?(text: string): boolean;
  /** Calls `drained` once, never before it returns, when there is room again or the sink has failed. */
  whenDrained(drained: () => void): void;
  /** Withdraws `whenDrained`. Sinks with several writers need to know whose. */
  cancelDrained(drained?: () => void): void;
}
