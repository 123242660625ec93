/** Request bodies of one session: the window that all streams share, and what is done when the budget of unread bodies is short. */
import type { BodyHolder, UnreadBodies } from '../exchange/unread-bodies.ts';
import { ReceiveWindow } from './flow-window.ts';
import { INITIAL_WINDOW_BYTES } from './frame-types.ts';
import { CONNECTION_WINDOW_BYTES, STREAM_WINDOW_BYTES } from './session-bounds.ts';
import type { SessionOutput } from './session-output.ts';

/** The shared window grows up to this: 16 MiB in flight are 1.3 Gbit/s over 100 ms. */
export const CONNECTION_WINDOW_BYTES_MAX: number = 16 * 1024 * 1024;
/** With less than this left of the connection's window a client can hardly send. */
const WINDOW_BYTES_MIN = 1024;
/** With more than this of bodies that no handler reads, some are refused, when nothing else helps: what one stream may hold. */
const HELD_BYTES_MAX = STREAM_WINDOW_BYTES;
/** Milliseconds that a round trip is assumed to take until one has been measured. Too long a time only makes windows grow sooner. */
const ROUND_TRIP_MS = 10;

/** What is asked of the session's streams. */
interface BodyStream {
  /** Something waits for a window of the client's. */
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
  /** Nothing more is read. */
  #ended = false;
  unreadBytes = 0;
  isHeldBack = false;
  /** Streams whose body is waited for. */
  #awaited = 0;
  /** Bytes that streams hold and for which the window of the connection was not opened, because the budget is short. */
  withheldBytes = 0;

  constructor(output: SessionOutput, streams: { all(): Iterable<BodyStream> }, unreadBodies: UnreadBodies) {
    this.#output = output;
    this.#streams = streams;
    this.#unreadBodies = unreadBodies;
  }

  /** Opens the window to its size at first. */
  start(): void {
    this.#output.windowUpdate(0, this.#window.grow(CONNECTION_WINDOW_BYTES));
  }

  /** Nothing more is read: the connection is over, or the client has ended its side. */
  end(): void {
    this.#ended = true;
    this.#unreadBodies.letGo(this);
  }

  measured(roundTripMs: number): void {
    this.#roundTripMs = Math.max(ROUND_TRIP_MS, roundTripMs);
  }

  // ---- the window ----

  /** A DATA frame of this size begins. False: it does not fit into the window. */
  takeWindow(bytes: number): boolean {
    return this.#window.take(bytes);
  }

  /** Bodies that nobody reads have used up the window that all streams share. */
  get holdsBodies(): boolean {
    return this.#window.available < WINDOW_BYTES_MIN;
  }

  /** Bytes of DATA frames have been read: the window may open for them. */
  releaseReceived(bytes: number): void {
    if (this.#ended) return;
    let increment = this.#window.release(bytes);
    if (increment === 0) return;
    increment += this.growWindow(this.#window);
    this.#output.windowUpdate(0, increment);
  }

  /** A window is being opened: it is made larger where its sender seems to wait for it. */
  growWindow(window: ReceiveWindow): number {
    const size = window.wantedSize(performance.now(), this.#roundTripMs);
    // a client whose bodies wait here unread is held back by its readers, not by a window
    return this.withholds || this.unreadBytes > CONNECTION_WINDOW_BYTES / 2 ? 0 : window.grow(size);
  }

  // ---- the budget ----

  /**
   * Not while somebody waits for what the client has to send, a body or a window for a response; unless other bodies of it take
   * too much, about which the next sweep does something.
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

  /** A reader, or a response that needs a window, waits for the client. */
  hears(): void {
    if (this.isHeldBack && !this.#leavesTooMuch()) this.#unreadBodies.letGo(this);
    if (this.withheldBytes === 0) return;
    for (const stream of this.#streams.all()) stream.releaseWithheld();
  }

  /** The budget of unread bodies is short, and nobody waits for this client. */
  get withholds(): boolean {
    return this.#awaited === 0 && this.#unreadBodies.isTight;
  }

  /**
   * The budget of unread bodies is used up. Where the connection has to be read for others of its streams, bodies that no handler
   * reads are refused, the largest first. It is read for a moment in any case.
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

  /** True while bodies that nobody waits for take more than one connection may have of them when the budget is used up. */
  #leavesTooMuch(): boolean {
    let bytes = 0;
    for (const stream of this.#streams.all()) if (!stream.awaitsBody) bytes += stream.unreadBytes;
    return bytes > HELD_BYTES_MAX;
  }
}
