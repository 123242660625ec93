/** Puts together a head block that is spread over HEADERS and CONTINUATION frames (RFC 9113 §6.2, §6.10). */
import { CONTINUATIONS_MAX } from './abuse-limits.ts';
import { FLAG, STREAM_ID_MAX } from './frame-types.ts';

/** The part of a HEADERS frame that belongs to the head block. */
export interface Fragment {
  readonly start: number;
  readonly end: number;
  /** True when the deprecated priority in the frame names the stream itself. */
  readonly isSelfDependent: boolean;
}

/** Finds the block of a HEADERS frame between the deprecated priority and the padding; undefined when these do not fit into the frame. */
export function findFragment(
  flags: number,
  streamId: number,
  bytes: Buffer,
  start: number,
  end: number,
): Fragment | undefined {
  const isPadded = (flags & FLAG.padded) !== 0;
  const hasPriority = (flags & FLAG.priority) !== 0;
  const from = start + (isPadded ? 1 : 0) + (hasPriority ? PRIORITY_BYTES : 0);
  const to = end - (isPadded && end > start ? (bytes[start] as number) : 0);
  if (from > to) return undefined;
  const isSelfDependent =
    hasPriority && (bytes.readUInt32BE(from - PRIORITY_BYTES) & STREAM_ID_MAX) === streamId;
  return { start: from, end: to, isSelfDependent };
}

const PRIORITY_BYTES = 5;

export class HeadBlock {
  readonly #bytesMax: number;
  /** The stream whose block is incomplete; 0: none. */
  streamId = 0;
  flags = 0;
  isSelfDependent = false;
  bytes: Buffer = NOTHING;
  size = 0;
  #continuations = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** Begins a block with a HEADERS frame; returns what exceeds a limit, if anything does. */
  begin(flags: number, streamId: number, bytes: Buffer, fragment: Fragment): string | undefined {
    this.streamId = streamId;
    this.flags = flags;
    this.isSelfDependent = fragment.isSelfDependent;
    this.size = 0;
    this.#continuations = 0;
    return this.#add(bytes, fragment.start, fragment.end);
  }

  /** Adds a CONTINUATION frame to the block; returns what exceeds a limit, if anything does. */
  continue(bytes: Buffer, start: number, end: number): string | undefined {
    this.#continuations += 1;
    if (this.#continuations > CONTINUATIONS_MAX)
      return `a head has more than ${CONTINUATIONS_MAX} CONTINUATION frames`;
    return this.#add(bytes, start, end);
  }

  /** Forgets the block, which has been decoded. */
  clear(): void {
    this.streamId = 0;
    this.bytes = NOTHING;
    this.size = 0;
  }

  #add(bytes: Buffer, start: number, end: number): string | undefined {
    const size = this.size + end - start;
    if (size > this.#bytesMax) return `a compressed head has more than ${this.#bytesMax} bytes`;
    if (size > this.bytes.length) {
      const wanted = Math.max(size, this.bytes.length * 2, BLOCK_BYTES_MIN);
      const larger = Buffer.allocUnsafe(Math.min(this.#bytesMax, wanted));
      this.bytes.copy(larger, 0, 0, this.size);
      this.bytes = larger;
    }
    bytes.copy(this.bytes, this.size, start, end);
    this.size = size;
    return undefined;
  }
}

const NOTHING: Buffer = Buffer.alloc(0);
const BLOCK_BYTES_MIN = 4096;
