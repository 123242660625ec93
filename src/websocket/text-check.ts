/** Looks at the text of a message while it comes, so that what is not UTF-8 is found before the message is whole (RFC 6455 §8.1). */
import { isUtf8 } from 'node:buffer';
import { PIECE_BYTES } from './websocket-limits.ts';

/** The longest beginning of a character that needs more. */
const BEGINNING_BYTES_MAX = 3;
const MASK_BYTES = 4;
/** Unmasked bytes, for all WebSockets of the thread: behind the beginning that the piece before has left. */
const plain = Buffer.allocUnsafeSlow(BEGINNING_BYTES_MAX + PIECE_BYTES);

export class TextCheck {
  /** A character of which more has to come. */
  #beginning: readonly number[] = [];

  readonly #mask: number[] = [];
  /** Bytes of the frame that were taken. */
  #taken = 0;

  beginMessage(): void {
    this.#beginning = [];
  }

  /** `maskAt`: the bytes of its mask, from 0 to 3. */
  beginFrame(maskAt: (index: number) => number): void {
    for (let i = 0; i < MASK_BYTES; i++) this.#mask[i] = maskAt(i);
    this.#taken = 0;
  }

  /** The next bytes of the frame, from `from` on, at most PIECE_BYTES. False: no text can follow that makes UTF-8 of the message. */
  take(bytes: Uint8Array, from: number): boolean {
    const before = this.#beginning.length;
    for (let i = 0; i < before; i++) plain[i] = this.#beginning[i] as number;
    const count = bytes.length - from;
    const size = before + count;
    for (let i = 0; i < count; i++)
      plain[before + i] = (bytes[from + i] as number) ^ (this.#mask[(this.#taken + i) & 3] as number);
    this.#taken += count;
    const whole = size - unfinished(plain, size);
    this.#beginning = [...plain.subarray(whole, size)];
    return isUtf8(plain.subarray(0, whole)) && mayBegin(this.#beginning);
  }
}

/** How many of the last bytes begin a character that is not whole. */
function unfinished(bytes: Uint8Array, size: number): number {
  for (let count = 1; count <= Math.min(BEGINNING_BYTES_MAX, size); count++) {
    const byte = bytes[size - count] as number;
    if (byte >= 0xc0) return count < lengthOf(byte) ? count : 0;
    if (byte < 0x80) return 0;
  }
  return 0;
}

/** Of a character that begins with this byte. */
function lengthOf(lead: number): number {
  if (lead < 0xe0) return 2;
  return lead < 0xf0 ? 3 : 4;
}

/** True for bytes that a character may begin with (RFC 3629 §4). */
function mayBegin([lead, second]: readonly number[]): boolean {
  if (lead === undefined) return true;
  if (lead < 0xc2 || lead > 0xf4) return false;
  if (second === undefined) return true;
  switch (lead) {
    case 0xe0:
      return second >= 0xa0;
    case 0xed:
      return second < 0xa0;
    case 0xf0:
      return second >= 0x90;
    case 0xf4:
      return second < 0x90;
    default:
      return true;
  }
}
