/** The request body of one stream as it arrives: the length it was declared with, and both windows that it is sent into. */
import { READ_AHEAD_BYTES, TIGHT_READ_AHEAD_BYTES } from '../exchange/unread-bodies.ts';
import { ReceiveWindow } from './flow-window.ts';
import type { SessionBodies } from './session-bodies.ts';
import { STREAM_WINDOW_BYTES } from './session-bounds.ts';
import type { SessionOutput } from './session-output.ts';

/** A window grows up to this: 4 MiB in flight are 320 Mbit/s over 100 ms. */
const STREAM_WINDOW_BYTES_MAX = 4 * 1024 * 1024;
/** A body counts as not being read when nothing of it was for this long. */
const UNREAD_MS_MIN = 1_000;

/** What is asked of the exchange. */
interface ReadExchange {
  readonly unreadBytes: number;
  readonly readBytes: number;
  readonly awaitsBody: boolean;
}

export class StreamBody {
  readonly #bodies: SessionBodies;
  readonly #output: SessionOutput;
  readonly #streamId: number;
  #window: ReceiveWindow | undefined;
  /** Content still to come by the declared length; -1 when none was declared. */
  #declaredLeft: number;
  /** The window of the stream is not opened any more: the client has ended its side, or nobody reads what it sends. */
  #ended = false;
  #paused = false;
  /** Bytes for which both windows are opened when the reader continues. */
  #heldBytes = 0;
  /** Bytes for which only the window of the stream is opened then. */
  #uncreditedBytes = 0;
  /** Of these, bytes for which the window of the connection is opened when a reader waits for the client. */
  #withheldBytes = 0;
  /** How much of the body had been read when a sweep last looked, and since when no more was, ms of Date.now. */
  #readAtSweep = -1;
  #unreadSince = 0;

  constructor(
    bodies: SessionBodies,
    output: SessionOutput,
    streamId: number,
    declaredLength: number | undefined,
  ) {
    this.#bodies = bodies;
    this.#output = output;
    this.#streamId = streamId;
    this.#declaredLeft = declaredLength ?? -1;
  }

  /** Bytes that the client may have on their way. */
  get expectedBytes(): number {
    return this.#window?.available ?? STREAM_WINDOW_BYTES;
  }

  /** True while less has come than was declared. */
  get isShort(): boolean {
    return this.#declaredLeft > 0;
  }

  /** A DATA frame of this size begins. False: it does not fit into the window. */
  takeWindow(bytes: number): boolean {
    this.#window ??= new ReceiveWindow(STREAM_WINDOW_BYTES, STREAM_WINDOW_BYTES_MAX);
    return this.#window.take(bytes);
  }

  /** So much content comes. False: it is longer than was declared. */
  count(bytes: number): boolean {
    if (this.#declaredLeft < 0) return true;
    this.#declaredLeft -= bytes;
    return this.#declaredLeft >= 0;
  }

  /** Bytes are with the exchange, which holds so many that were not read. */
  received(bytes: number, unreadBytes: number): void {
    if (!this.#paused || this.#ended) this.release(bytes);
    else if (unreadBytes >= READ_AHEAD_BYTES) this.#heldBytes += bytes;
    else this.#withhold(bytes);
  }

  /** Bytes have been read: both windows may open for them. */
  release(bytes: number): void {
    this.#bodies.releaseReceived(bytes);
    this.#credit(bytes);
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.releaseWithheld();
    const bytes = this.#heldBytes;
    const uncredited = this.#uncreditedBytes;
    this.#heldBytes = 0;
    this.#uncreditedBytes = 0;
    if (bytes > 0) this.#bodies.releaseReceived(bytes);
    if (bytes + uncredited > 0) this.#credit(bytes + uncredited);
  }

  /** A reader waits for the client, on this stream or another: the client needs room in the window of the connection. */
  releaseWithheld(): void {
    const bytes = this.#withheldBytes;
    if (bytes === 0) return;
    this.#withheldBytes = 0;
    this.#bodies.withheldBytes -= bytes;
    this.#bodies.releaseReceived(bytes);
  }

  /** True for a body of some size that no handler has read any of for a while. */
  isUnread(exchange: ReadExchange, now: number): boolean {
    if (exchange.unreadBytes <= TIGHT_READ_AHEAD_BYTES || exchange.awaitsBody) return false;
    const { readBytes } = exchange;
    if (readBytes !== this.#readAtSweep) {
      this.#readAtSweep = readBytes;
      this.#unreadSince = now;
    }
    return now - this.#unreadSince >= UNREAD_MS_MIN;
  }

  /** The window of the stream stays as it is from now on. */
  end(): void {
    this.#ended = true;
  }

  /** Nothing will read the rest of the body; the other streams need the window of the connection. */
  giveUp(): void {
    this.#ended = true;
    this.#paused = false;
    this.releaseWithheld();
    const bytes = this.#heldBytes;
    this.#heldBytes = 0;
    this.#uncreditedBytes = 0;
    if (bytes > 0) this.#bodies.releaseReceived(bytes);
  }

  /** Opens the window of the stream by `bytes`, as soon as the sum is worth a frame. */
  #credit(bytes: number): void {
    const window = this.#window;
    if (window === undefined || this.#ended) return;
    const increment = window.release(bytes);
    if (increment === 0) return;
    this.#output.windowUpdate(this.#streamId, increment + this.#bodies.growWindow(window));
  }

  /** The budget of unread bodies is short, and this one is not being read. */
  #withhold(bytes: number): void {
    const bodies = this.#bodies;
    this.#uncreditedBytes += bytes;
    if (bodies.withholds) {
      this.#withheldBytes += bytes;
      bodies.withheldBytes += bytes;
    } else bodies.releaseReceived(bytes);
  }
}
