/** Remembers how the last streams of a connection ended, for what may still come on them (RFC 9113 §5.1). */

/** The client has never used it. */
export const NEVER_USED = 0;
/** Both sides have ended it. */
export const ENDED = 1;
/** The client has reset it. */
export const RESET_BY_CLIENT = 2;
/** We have reset it: whatever the client sent before it knew is ignored. */
export const RESET_BY_US = 3;
/** Too long ago. */
export const FORGOTTEN = 4;
export type Ending =
  | typeof NEVER_USED
  | typeof ENDED
  | typeof RESET_BY_CLIENT
  | typeof RESET_BY_US
  | typeof FORGOTTEN;

/** Streams remembered (a power of two): several times those that can be open, in 2 KiB of memory. */
const STREAMS_REMEMBERED = 512;
/** Those that a connection of few requests has room for: most connections are idle after these. */
const STREAMS_AT_FIRST = 16;
/** Each entry is the stream's number with its ending in the upper bits, so that one look tells both. */
const ENDING_BITS = 2;

export class ClosedStreams {
  /** Made with the first stream that closes, and doubled until it has room for all that are remembered. */
  #ring: Uint32Array | undefined;

  /** A stream of the client's has closed. */
  add(streamId: number, ending: Ending): void {
    this.#ring ??= new Uint32Array(STREAMS_AT_FIRST);
    const half = streamId >>> 1;
    let ring = this.#ring;
    while (ring.length < STREAMS_REMEMBERED && isOther(ring[half & (ring.length - 1)] as number, half)) {
      ring = doubled(ring);
      this.#ring = ring;
    }
    // odd numbers of 31 bits: the half has 30, and two are left for the ending
    ring[half & (ring.length - 1)] = half * (1 << ENDING_BITS) + ending;
  }

  /** How a stream that is not open any more has ended; `lastId` is the highest number the client has used. */
  endingOf(streamId: number, lastId: number): Ending {
    const half = streamId >>> 1;
    const ring = this.#ring;
    const entry = ring?.[half & (ring.length - 1)] ?? 0;
    if (entry !== 0 && !isOther(entry, half)) return (entry & MASK_ENDING) as Ending;
    return (lastId >>> 1) - half < STREAMS_REMEMBERED ? NEVER_USED : FORGOTTEN;
  }
}

const MASK_ENDING: number = (1 << ENDING_BITS) - 1;

/** True for an entry of another stream; an empty one is of none. */
function isOther(entry: number, half: number): boolean {
  return entry !== 0 && entry >>> ENDING_BITS !== half;
}

/** Streams that have places of their own in a ring have them in a larger one, too. */
function doubled(ring: Uint32Array): Uint32Array {
  const larger = new Uint32Array(ring.length * 2);
  for (const entry of ring) if (entry !== 0) larger[(entry >>> ENDING_BITS) & (larger.length - 1)] = entry;
  return larger;
}
