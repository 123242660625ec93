/**
 * The window a peer may send into: counts what came, says when to open it again, and grows to the bandwidth-delay
 * product of a sender that it holds back (RFC 9113 §5.2).
 */

/** A window is opened again when this share of it has been used: fewer updates, and never an idle sender. */
const UPDATE_SHARE = 1 / 2;
/** Each growth multiplies the window by this. */
const GROWTH = 2;
/** When a share passes in less than this many round trips, the sender is likely to wait for the window. */
const ROUND_TRIPS = 2;

export class ReceiveWindow {
  /** What the peer may send after each update. */
  size: number;
  readonly #sizeMax: number;
  /** What the peer may still send. */
  #available: number;
  /** Bytes that were taken in and for which the window has not been opened again. */
  #used = 0;
  /** When the window was last opened; 0 before. */
  #openedAt = 0;

  /** `announced`: what the peer believes the window to be. */
  constructor(announced: number, sizeMax: number) {
    this.size = announced;
    this.#sizeMax = sizeMax;
    this.#available = announced;
  }

  /** Bytes that have arrived and for which the window has not been opened again. */
  get outstanding(): number {
    return this.size - this.#available;
  }

  /** What the peer may still send without another update. */
  get available(): number {
    return Math.max(0, this.#available);
  }

  /** `bytes` have come; false when the window had no room for them. */
  take(bytes: number): boolean {
    this.#available -= bytes;
    return this.#available >= 0;
  }

  /** `bytes` have been read: returns the increment to announce, 0 while it is not worth a frame. */
  release(bytes: number): number {
    this.#used += bytes;
    if (this.#used < this.size * UPDATE_SHARE) return 0;
    const increment = this.#used;
    this.#used = 0;
    this.#available += increment;
    return increment;
  }

  /** Makes the window larger; returns the increment to announce. */
  grow(size: number): number {
    const added = Math.min(size, this.#sizeMax) - this.size;
    if (added <= 0) return 0;
    this.size += added;
    this.#available += added;
    return added;
  }

  /** The window opens at `now`: returns the size it should have, given the time of a round trip. */
  wantedSize(now: number, roundTripMs: number): number {
    const since = now - this.#openedAt;
    const first = this.#openedAt === 0;
    this.#openedAt = now;
    return !first && since < roundTripMs * ROUND_TRIPS ? this.size * GROWTH : this.size;
  }
}
