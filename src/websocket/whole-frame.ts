/** Reads the frames that most messages are: whole, masked, not compressed, one for the message. All others are for a Receiver. */
import { isUtf8 } from 'node:buffer';
import type { Message } from './message-inbox.ts';
import { PIECE_BYTES } from './websocket-limits.ts';

/** RFC 6455 §5.2: FIN and the opcode, with no reserved bit. */
const TEXT = 0x81;
const BINARY = 0x82;
const MASKED = 0x80;
const LENGTH_16 = 126;
const LENGTH_64 = 127;
const MASK_BYTES = 4;
/** The head of a frame whose length has seven bits. */
const HEAD_BYTES = 2 + MASK_BYTES;
const LENGTH_16_BYTES = 2;

/** Bytes of the frame that such a message came in. */
export function wholeFrameBytes({ data }: Message): number {
  return HEAD_BYTES + (data.length < LENGTH_16 ? 0 : LENGTH_16_BYTES) + data.length;
}

/** The message that begins at `from`; undefined where no such frame of at most `bytesMax` begins there, or its text is not UTF-8. */
export function readWholeFrame(bytes: Uint8Array, from: number, bytesMax: number): Message | undefined {
  const left = bytes.length - from;
  if (left < HEAD_BYTES) return undefined;
  const first = bytes[from] as number;
  const second = bytes[from + 1] as number;
  if ((first !== TEXT && first !== BINARY) || second < MASKED) return undefined;
  let size = second - MASKED;
  let at = from + HEAD_BYTES;
  if (size === LENGTH_64) return undefined;
  if (size === LENGTH_16) {
    size = ((bytes[from + 2] as number) << 8) | (bytes[from + 3] as number);
    // what could be said in fewer bytes is for the Receiver to refuse or not
    if (size < LENGTH_16) return undefined;
    at += LENGTH_16_BYTES;
  }
  const end = at + size;
  if (end > bytes.length || size > bytesMax || size > PIECE_BYTES) return undefined;
  const data = Buffer.allocUnsafe(size);
  const mask = at - MASK_BYTES;
  let seen = 0;
  for (let i = 0; i < size; i++) {
    const byte = (bytes[at + i] as number) ^ (bytes[mask + (i & 3)] as number);
    data[i] = byte;
    seen |= byte;
  }
  const isBinary = first === BINARY;
  if (!isBinary && seen > 0x7f && !isUtf8(data)) return undefined;
  return { data, isBinary };
}
