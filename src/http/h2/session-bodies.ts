/** The request bodies of one session: the window that all streams share, and what happens when the budget of unread bodies is short. */
import type { BodyHolder, UnreadBodies } from '../exchange/unread-bodies.ts';
import { ReceiveWindow } from './flow-window.ts';
import { INITIAL_WINDOW_BYTES } from './frame-types.ts';
import { CONNECTION_WINDOW_BYTES, STREAM_WINDOW_BYTES } from './session-bounds.ts';
import type { SessionOutput } from './session-output.ts';

/** The shared window grows up to this: 16 MiB in flight are 1.3 Gbit/s over 100 ms. */
export const CONNECTION_WINDOW_BYTES_MAX: number = 16 * 1024 * 1024;
/** A client whose connection window has less than this left can hardly send. */
const WINDOW_BYTES_MIN = 1024;
/** When bodies that nobody waits for exceed this and the budget is used up, some are refused: as much as one stream may hold. */
const HELD_BYTES_MAX = STREAM_WINDOW_BYTES;
/** Milliseconds that a round trip is assumed to take until one has been measured. Too long a time only makes windows grow sooner. */
const ROUND_TRIP_MS = 10;

/** What a session asks its streams. */
interface BodyStream {
  /** A part of the response waits to be sent. */
  readonly hasQueued: boolean;
  readonly unreadBytes: number;
  readonly awaitsBody: boolean;
  releaseWithheld(): void;
  isUnread(now: number): boolean;
  refuseUnread(): void;
}

export class SessionBodies implements BodyHolder {
  readonly #output: SessionOutput;
  readonly #streams: { all(): Iterable<BodyStream> };
  readonly #unreadBodies: UnreadBodies;
  readonly #window = new ReceiveWindow(INITIAL_WINDOW_BYTES, CONNECTION_WINDOW_BYTES_MAX);
  #roundTripMs = ROUND_TRIP_MS;
  /** The session reads no more bodies. */
  #ended = false;
  unreadBytes = 0;
  isHeldBack = false;
  /** Streams whose body a reader waits for. */
  #awaited = 0;
  /** Bytes of all streams for which the window of the connection has not been opened, as the budget is short. */
  withheldBytes = 0;

  constructor(output: SessionOutput, streams: { all(): Iterable<BodyStream> }, unreadBodies: UnreadBodies) {
    this.#output = output;
    this.#streams = streams;
    this.#unreadBodies = unreadBodies;
  }

  /** Opens the window to CONNECTION_WINDOW_BYTES. */
  start(): void {
    this.#output.windowUpdate(0, this.#window.grow(CONNECTION_WINDOW_BYTES));
  }

  /** Ends reading: the connection has ended, or the client has ended its side. */
  end(): void {
    this.#ended = true;
    this.#unreadBodies.letGo(this);
  }

  measured(roundTripMs: number): void {
    this.#roundTripMs = Math.max(ROUND_TRIP_MS, roundTripMs);
  }

  // ---- the window ----

  /** A DATA frame of this size begins. False: the window has no room for the frame. */
  takeWindow(bytes: number): boolean {
    return this.#window.take(bytes);
  }

  /** True when bodies that nobody reads have used up the window that all streams share. */
  get holdsBodies(): boolean {
    return this.#window.available < WINDOW_BYTES_MIN;
  }

  /** Counts bytes of DATA frames that have been read or dropped, and opens the window for them when that is worth a frame. */
  releaseReceived(bytes: number): void {
    if (this.#ended) return;
    let increment = this.#window.release(bytes);
    if (increment === 0) return;
    increment += this.growWindow(this.#window);
    this.#output.windowUpdate(0, increment);
  }

  /** Makes a window that opens larger when its sender seems to wait for it; returns the growth in bytes. */
  growWindow(window: ReceiveWindow): number {
    const size = window.wantedSize(performance.now(), this.#roundTripMs);
    // where bodies wait unread, slow readers hold the client back and not the window
    return this.withholds || this.unreadBytes > CONNECTION_WINDOW_BYTES / 2 ? 0 : window.grow(size);
  }

  // ---- the budget ----

  /**
   * Stops reading the socket, as the budget is used up. It goes on reading while a reader waits for a body, or a response for a window,
   * unless other bodies of the client take too much. For those the next sweep refuses bodies.
   */
  holdBack(): void {
    if (this.#ended) return;
    if (this.#isAwaited() && !this.#leavesTooMuch()) return;
    this.isHeldBack = true;
    this.#output.holdReading(true);
  }

  letGo(): void {
    this.isHeldBack = false;
    this.#output.holdReading(false);
  }

  /** A reader has begun (true) or stopped (false) waiting for a body. */
  bodyAwaited(awaited: boolean): void {
    this.#awaited += awaited ? 1 : -1;
    if (awaited) this.hears();
  }

  /** A reader, or a response that needs a window, waits for the client: the session reads again where that is allowed. */
  hears(): void {
    if (this.isHeldBack && !this.#leavesTooMuch()) this.#unreadBodies.letGo(this);
    if (this.withheldBytes === 0) return;
    for (const stream of this.#streams.all()) stream.releaseWithheld();
  }

  /** True when the budget of unread bodies is short and no reader waits for a body of this client. */
  get withholds(): boolean {
    return this.#awaited === 0 && this.#unreadBodies.isTight;
  }

  /**
   * A sweep while the budget of unread bodies is used up. Where a reader or a response of the connection waits for the client, bodies
   * that no handler reads are refused, the largest first, and the connection is read again.
   */
  sweepHeldBack(now: number): void {
    if (!this.#isAwaited()) return;
    const unread = [...this.#streams.all()].filter((stream) => stream.isUnread(now));
    unread.sort((a, b) => b.unreadBytes - a.unreadBytes);
    for (const stream of unread) {
      if (!this.#leavesTooMuch()) break;
      stream.refuseUnread();
    }
    this.#unreadBodies.letGo(this);
  }

  #isAwaited(): boolean {
    if (this.#awaited > 0) return true;
    for (const stream of this.#streams.all()) if (stream.hasQueued) return true;
    return false;
  }

  /** True while bodies that nobody waits for take more than a connection may hold when the budget is used up. */
  #leavesTooMuch(): boolean {
    let bytes = 0;
    for (const stream of this.#streams.all()) if (!stream.awaitsBody) bytes += stream.unreadBytes;
    return bytes > HELD_BYTES_MAX;
  }
}
