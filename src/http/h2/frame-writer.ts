/**
 * Writes frames into one buffer, which the connections of a worker share one after the other. Frames that a connection writes
 * together go to its socket as one piece, and a connection that sends nothing holds no buffer.
 */

import { writeLatin1 } from '../../native/node-internals.ts';
import { FRAME_HEAD_BYTES, FRAME_TYPE, PING_BYTES } from './frame-types.ts';

/** The largest piece: about eight full DATA frames, or a thousand short answers. */
export const OUTPUT_BYTES: number = 128 * 1024;
/** Up to this size a piece is copied and the buffer stays in use; a larger piece is sent from the buffer itself. */
const COPIED_BYTES_MAX = 8 * 1024;
/** Buffers kept for reuse: 1 MiB per worker. */
const SPARES_MAX = 8;

/** A connection that writes. */
export interface FrameOwner {
  /** Bytes of the connection are about to be written: it has to call `flush` soon. */
  flushLater(): void;
  /** Sends a piece. `lent` is the buffer of the piece, which the connection gives to `recycle` when nothing reads it any more. */
  sendPiece(piece: Buffer, lent: Buffer | undefined): void;
}

export class FrameWriter {
  /** The buffer that frames are written to, and how many of its bytes are in use. */
  bytes: Buffer = Buffer.allocUnsafeSlow(OUTPUT_BYTES);
  used = 0;
  #owner: FrameOwner | undefined;
  readonly #spares: Buffer[] = [];

  /** Makes room for `size` bytes of the owner, at most OUTPUT_BYTES; sends what the buffer holds of another owner or what leaves no room. */
  claim(owner: FrameOwner, size: number): void {
    if (this.#owner === owner && this.used + size <= OUTPUT_BYTES) return;
    this.#send();
    this.#owner = owner;
    owner.flushLater();
  }

  /** Sends what this owner has written. */
  flush(owner: FrameOwner): void {
    if (this.#owner === owner) this.#send();
  }

  /** Drops what this owner has written, as its connection is closed. */
  drop(owner: FrameOwner): void {
    if (this.#owner !== owner) return;
    this.#owner = undefined;
    this.used = 0;
  }

  /** Takes back a buffer that was lent. */
  recycle(lent: Buffer): void {
    if (this.#spares.length < SPARES_MAX) this.#spares.push(lent);
  }

  // ---- parts of frames; `claim` has made room for them ----

  head(length: number, type: number, flags: number, streamId: number): void {
    const { bytes } = this;
    const at = this.used;
    bytes[at] = length >>> 16;
    bytes[at + 1] = length >>> 8;
    bytes[at + 2] = length;
    bytes[at + 3] = type;
    bytes[at + 4] = flags;
    bytes[at + 5] = streamId >>> 24;
    bytes[at + 6] = streamId >>> 16;
    bytes[at + 7] = streamId >>> 8;
    bytes[at + 8] = streamId;
    this.used = at + FRAME_HEAD_BYTES;
  }

  uint32(value: number): void {
    const { bytes } = this;
    const at = this.used;
    bytes[at] = value >>> 24;
    bytes[at + 1] = value >>> 16;
    bytes[at + 2] = value >>> 8;
    bytes[at + 3] = value;
    this.used = at + 4;
  }

  uint16(value: number): void {
    this.bytes[this.used] = value >>> 8;
    this.bytes[this.used + 1] = value;
    this.used += 2;
  }

  copy(source: Uint8Array, start: number, end: number): void {
    const { bytes } = this;
    const at = this.used;
    const size = end - start;
    // for a few bytes a call of `set` costs more than a loop
    if (size <= SHORT_COPY_BYTES) for (let i = 0; i < size; i++) bytes[at + i] = source[start + i] as number;
    else bytes.set(start === 0 && end === source.length ? source : source.subarray(start, end), at);
    this.used = at + size;
  }

  /** A byte string. */
  text(text: string): void {
    const { bytes } = this;
    const at = this.used;
    const size = text.length;
    if (size <= SHORT_COPY_BYTES) for (let i = 0; i < size; i++) bytes[at + i] = text.charCodeAt(i);
    else writeLatin1(bytes, text, at, size);
    this.used = at + size;
  }

  // ---- whole frames ----

  resetStream(owner: FrameOwner, streamId: number, code: number): void {
    this.claim(owner, FRAME_HEAD_BYTES + 4);
    this.head(4, FRAME_TYPE.rstStream, 0, streamId);
    this.uint32(code);
  }

  windowUpdate(owner: FrameOwner, streamId: number, increment: number): void {
    this.claim(owner, FRAME_HEAD_BYTES + 4);
    this.head(4, FRAME_TYPE.windowUpdate, 0, streamId);
    this.uint32(increment);
  }

  /** `settings`: identifiers and values in turn. */
  settings(owner: FrameOwner, flags: number, settings: readonly number[]): void {
    const length = settings.length * 3;
    this.claim(owner, FRAME_HEAD_BYTES + length);
    this.head(length, FRAME_TYPE.settings, flags, 0);
    for (let i = 0; i < settings.length; i += 2) {
      this.uint16(settings[i] as number);
      this.uint32(settings[i + 1] as number);
    }
  }

  ping(owner: FrameOwner, flags: number, payload: Uint8Array, start: number): void {
    this.claim(owner, FRAME_HEAD_BYTES + PING_BYTES);
    this.head(PING_BYTES, FRAME_TYPE.ping, flags, 0);
    this.copy(payload, start, start + PING_BYTES);
  }

  goAway(owner: FrameOwner, lastStreamId: number, code: number, reason: string): void {
    this.claim(owner, FRAME_HEAD_BYTES + 8 + reason.length);
    this.head(8 + reason.length, FRAME_TYPE.goaway, 0, 0);
    this.uint32(lastStreamId);
    this.uint32(code);
    this.text(reason);
  }

  #send(): void {
    const owner = this.#owner;
    this.#owner = undefined;
    const { used } = this;
    if (owner === undefined || used === 0) return;
    this.used = 0;
    if (used <= COPIED_BYTES_MAX) {
      const piece = Buffer.allocUnsafe(used);
      this.bytes.copy(piece, 0, 0, used);
      owner.sendPiece(piece, undefined);
      return;
    }
    const lent = this.bytes;
    this.bytes = this.#spares.pop() ?? Buffer.allocUnsafeSlow(OUTPUT_BYTES);
    owner.sendPiece(lent.subarray(0, used), lent);
  }
}

const SHORT_COPY_BYTES = 48;
