/**
 * The flow-control window that a peer may send into (RFC 9113 §5.2). It counts received bytes, says when to open again, and grows up
 * to the bandwidth-delay product of a sender that waits for it.
 */

/** A window opens again when this share of it has been read: that saves updates, and the sender need not wait. */
const UPDATE_SHARE = 1 / 2;
/** Each growth multiplies the window by this. */
const GROWTH = 2;
/** When such a share is read in less than this many round trips, the sender is likely to wait for the window. */
const ROUND_TRIPS = 2;

export class ReceiveWindow {
  /** What the peer may send after each update. */
  size: number;
  readonly #sizeMax: number;
  /** What the peer may still send. */
  #available: number;
  /** Bytes that have been read and for which the window has not been opened again. */
  #used = 0;
  /** When the window was last opened; 0 before that. */
  #openedAt = 0;

  /** `announced`: the size that the peer knows. */
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

  /** Counts `bytes` that have come; false when the window had no room for them. */
  take(bytes: number): boolean {
    this.#available -= bytes;
    return this.#available >= 0;
  }

  /** Counts `bytes` that have been read. Returns the increment to announce, or 0 while that is not worth a frame. */
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

  /** The window opens at `now`: returns the size that it should have, given the time of a round trip. */
  wantedSize(now: number, roundTripMs: number): number {
    const since = now - this.#openedAt;
    const first = this.#openedAt === 0;
    this.#openedAt = now;
    return !first && since < roundTripMs * ROUND_TRIPS ? this.size * GROWTH : this.size;
  }
}
