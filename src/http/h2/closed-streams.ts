/** Remembers how the last streams of a connection ended: what a late frame on a stream means depends on it (RFC 9113 §5.1). */

/** The client has never used the stream. */
export const NEVER_USED = 0;
/** Both sides have ended the stream. */
export const ENDED = 1;
/** The client has reset the stream. */
export const RESET_BY_CLIENT = 2;
/** The session has reset the stream: it ignores frames that the client sent before it knew. */
export const RESET_BY_US = 3;
/** The stream ended too long ago to be remembered. */
export const FORGOTTEN = 4;
export type Ending =
  | typeof NEVER_USED
  | typeof ENDED
  | typeof RESET_BY_CLIENT
  | typeof RESET_BY_US
  | typeof FORGOTTEN;

/** Streams remembered (a power of two): four times the usual limit of open streams, in 2 KiB of memory. */
const STREAMS_REMEMBERED = 512;
/** Streams that the ring has room for at first: most connections have few requests and are then idle. */
const STREAMS_AT_FIRST = 16;
/** The lowest bits of an entry are the ending, and those above them half the number of the stream: one read tells both. */
const ENDING_BITS = 2;

export class ClosedStreams {
  /** The first stream that closes makes the ring; the ring doubles, up to STREAMS_REMEMBERED, when two streams need the same place. */
  #ring: Uint32Array | undefined;

  /** Notes that a stream which the client opened has closed. */
  add(streamId: number, ending: Ending): void {
    this.#ring ??= new Uint32Array(STREAMS_AT_FIRST);
    const half = streamId >>> 1;
    let ring = this.#ring;
    while (ring.length < STREAMS_REMEMBERED && isOther(ring[half & (ring.length - 1)] as number, half)) {
      ring = doubled(ring);
      this.#ring = ring;
    }
    // stream numbers are odd and have 31 bits: half of one has 30, which leaves two for the ending
    ring[half & (ring.length - 1)] = half * (1 << ENDING_BITS) + ending;
  }

  /** Returns how a stream that is no longer open has ended; `lastId` is the highest number that the client has used. */
  endingOf(streamId: number, lastId: number): Ending {
    const half = streamId >>> 1;
    const ring = this.#ring;
    const entry = ring?.[half & (ring.length - 1)] ?? 0;
    if (entry !== 0 && !isOther(entry, half)) return (entry & MASK_ENDING) as Ending;
    return (lastId >>> 1) - half < STREAMS_REMEMBERED ? NEVER_USED : FORGOTTEN;
  }
}

const MASK_ENDING: number = (1 << ENDING_BITS) - 1;

/** True for an entry of another stream; an empty entry belongs to no stream. */
function isOther(entry: number, half: number): boolean {
  return entry !== 0 && entry >>> ENDING_BITS !== half;
}

/** Returns a ring of twice the length: streams that have different places in a ring have different places in the larger one. */
function doubled(ring: Uint32Array): Uint32Array {
  const larger = new Uint32Array(ring.length * 2);
  for (const entry of ring) if (entry !== 0) larger[(entry >>> ENDING_BITS) & (larger.length - 1)] = entry;
  return larger;
}
