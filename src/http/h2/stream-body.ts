/** The request body of one stream as it arrives: its content-length, and the windows of the stream and of the connection. */
import { READ_AHEAD_BYTES, TIGHT_READ_AHEAD_BYTES } from '../exchange/unread-bodies.ts';
import { ReceiveWindow } from './flow-window.ts';
import type { SessionBodies } from './session-bodies.ts';
import { STREAM_WINDOW_BYTES } from './session-bounds.ts';
import type { SessionOutput } from './session-output.ts';

/** A window grows up to this: 4 MiB in flight are 320 Mbit/s over 100 ms. */
const STREAM_WINDOW_BYTES_MAX = 4 * 1024 * 1024;
/** A body counts as unread when nobody has read any of it for this long. */
const UNREAD_MS_MIN = 1_000;

/** What the body asks its exchange. */
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
  /** Bytes that are still to come by the content-length; -1: the request has no content-length. */
  #declaredLeft: number;
  /** The window of the stream stays as it is: the client has ended its side, or nobody reads the body. */
  #ended = false;
  #paused = false;
  /** Bytes for which both windows open when the reader continues. */
  #heldBytes = 0;
  /** Bytes for which only the window of the stream opens when the reader continues. */
  #uncreditedBytes = 0;
  /** Of `#uncreditedBytes`, bytes for which the window of the connection opens when a reader waits for the client. */
  #withheldBytes = 0;
  /** How much of the body had been read at the last sweep, and since when that has not changed, ms of performance.now. */
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

  /** Bytes of the body that the client may have sent already. */
  get expectedBytes(): number {
    return this.#window?.available ?? STREAM_WINDOW_BYTES;
  }

  /** True while less has come than the content-length says. */
  get isShort(): boolean {
    return this.#declaredLeft > 0;
  }

  /** A DATA frame of this size begins. False: the window has no room for the frame. */
  takeWindow(bytes: number): boolean {
    this.#window ??= new ReceiveWindow(STREAM_WINDOW_BYTES, STREAM_WINDOW_BYTES_MAX);
    return this.#window.take(bytes);
  }

  /** Counts content. False: the body is longer than its content-length. */
  count(bytes: number): boolean {
    if (this.#declaredLeft < 0) return true;
    this.#declaredLeft -= bytes;
    return this.#declaredLeft >= 0;
  }

  /** The exchange has got `bytes`, and holds `unreadBytes` that nobody has read. */
  received(bytes: number, unreadBytes: number): void {
    if (!this.#paused || this.#ended) this.release(bytes);
    else if (unreadBytes >= READ_AHEAD_BYTES) this.#heldBytes += bytes;
    else this.#withhold(bytes);
  }

  /** Counts bytes that have been read: both windows may open for them. */
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

  /** A reader or a response waits for the client, on this stream or another: opens the window of the connection. */
  releaseWithheld(): void {
    const bytes = this.#withheldBytes;
    if (bytes === 0) return;
    this.#withheldBytes = 0;
    this.#bodies.withheldBytes -= bytes;
    this.#bodies.releaseReceived(bytes);
  }

  /** True when the body has some size and no handler has read any of it for a while. */
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

  /** Nobody will read the rest of the body: opens the window of the connection, which the other streams need. */
  giveUp(): void {
    this.#ended = true;
    this.#paused = false;
    this.releaseWithheld();
    const bytes = this.#heldBytes;
    this.#heldBytes = 0;
    this.#uncreditedBytes = 0;
    if (bytes > 0) this.#bodies.releaseReceived(bytes);
  }

  /** Opens the window of the stream by `bytes`, when their sum is worth a frame. */
  #credit(bytes: number): void {
    const window = this.#window;
    if (window === undefined || this.#ended) return;
    const increment = window.release(bytes);
    if (increment === 0) return;
    this.#output.windowUpdate(this.#streamId, increment + this.#bodies.growWindow(window));
  }

  /** Keeps the window of the stream closed, as the body is paused; with a short budget that of the connection, too. */
  #withhold(bytes: number): void {
    const bodies = this.#bodies;
    this.#uncreditedBytes += bytes;
    if (bodies.withholds) {
      this.#withheldBytes += bytes;
      bodies.withheldBytes += bytes;
    } else bodies.releaseReceived(bytes);
  }
}
