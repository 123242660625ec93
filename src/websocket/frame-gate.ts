/** Takes frames out of a queue one at a time, so that no more messages are made than somebody wants; looks at their lengths, and at texts in parts. */
import type { ReadableBytes } from '../base/byte-queue.ts';
import { TextCheck } from './text-check.ts';
import { PIECE_BYTES } from './websocket-limits.ts';

/** What the gate asks of a queue. */
type FrameQueue = Pick<ReadableBytes, 'length' | 'takeInto'> & { peek(index: number): number | undefined };

const MASK_BYTES = 4;
const FIN = 0x80;
const CONTINUATION = 0;
const TEXT = 1;
/** Of the opcode. */
const CONTROL_BIT = 0x08;

export class FrameGate {
  /** Bytes of the frame that has begun which were not taken. */
  #left = 0;

  /** The frame that the last piece was of is a control frame (RFC 6455 §5.5). */
  isControl = false;

  /** The message that has begun is text, and not compressed. */
  #isText = false;
  /** Made for the first text that comes in parts. */
  #text: TextCheck | undefined;
  /** Where payload begins in the last piece. */
  #payloadAt = 0;

  /** A message has begun and its last frame has not (RFC 6455 §5.4). */
  #isContinued = false;

  /** What comes next begins a frame that may begin a message. */
  get isBetweenMessages(): boolean {
    return this.#left === 0 && !this.#isContinued;
  }

  /** The next piece: a whole frame where it has come, else its head, then what follows in pieces. A number: so many bytes are needed. */
  take(queue: FrameQueue): Buffer | number {
    this.#payloadAt = 0;
    if (this.#left > 0) {
      const size = Math.min(this.#left, PIECE_BYTES);
      if (queue.length < size) return size;
      this.#left -= size;
      return copy(queue, size);
    }
    if (queue.length < 2) return 2;
    const second = queue.peek(1) as number;
    const short = second & 0x7f;
    const lengthBytes = short === 126 ? 2 : short === 127 ? 8 : 0;
    const headBytes = 2 + lengthBytes + ((second & 0x80) === 0 ? 0 : MASK_BYTES);
    if (queue.length < headBytes) return headBytes;
    let length = lengthBytes === 0 ? short : 0;
    for (let i = 2; i < 2 + lengthBytes; i++) length = length * 256 + (queue.peek(i) as number);
    const first = queue.peek(0) as number;
    this.isControl = (first & CONTROL_BIT) !== 0;
    const isWhole = length <= PIECE_BYTES && queue.length >= headBytes + length;
    this.#payloadAt = headBytes;
    if (!this.isControl) {
      this.#begin(first);
      if (this.#isText && !(isWhole && (first & FIN) !== 0))
        this.#text?.beginFrame((i) => queue.peek(headBytes - MASK_BYTES + i) as number);
    }
    if (isWhole) return copy(queue, headBytes + length);
    this.#left = length;
    // the head alone: what is wrong with it shows before the rest has come
    return copy(queue, headBytes);
  }

  #begin(first: number): void {
    const opcode = first & ~FIN;
    if (opcode !== CONTINUATION) {
      this.#isText = opcode === TEXT;
      if (this.#isText) this.#text ??= new TextCheck();
      this.#text?.beginMessage();
    }
    this.#isContinued = (first & FIN) === 0;
  }

  /** Looks at the last piece, of a message that is not whole. False: whatever follows, it is no text in UTF-8. */
  mayBeText(piece: Buffer): boolean {
    if (!this.#isText || this.isBetweenMessages) return true;
    return this.#text?.take(piece, this.#payloadAt) !== false;
  }
}

function copy(queue: FrameQueue, size: number): Buffer {
  const bytes = Buffer.allocUnsafe(size);
  queue.takeInto(bytes, 0, size);
  return bytes;
}
