/** Makes the frames of a WebSocket client as bytes, right and wrong ones, and reads those of a server (RFC 6455 §5.2). */

export const OPCODE = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

/** The reserved bits as they stand in the second hexadecimal digit of a frame: RSV1 is 4, RSV2 is 2, RSV3 is 1. */
export const RSV1 = 4;

/** A mask that is no zero, so that a server which does not unmask shows other bytes. */
const USUAL_MASK = Buffer.from([0x37, 0xfa, 0x21, 0x3d]);
const SHORT_LENGTH_MAX = 125;
const LENGTH_16 = 126;
const LENGTH_64 = 127;
const LENGTH_16_MAX = 0xffff;
const MASK_BYTES = 4;

export interface FrameShape {
  readonly opcode: number;
  readonly payload?: Buffer | string;
  /** False: more fragments follow. */
  readonly fin?: boolean;
  readonly rsv?: number;
  /** False: the frame is not masked, which a client may never send. */
  readonly mask?: Buffer | false;
  /** How many bits the length has in place of the shortest form that holds it. */
  readonly lengthBits?: 7 | 16 | 64;
  /** The length that the head announces in place of the payload's. */
  readonly announces?: bigint;
}

/** Returns one frame of a client. */
export function frame(shape: FrameShape): Buffer {
  const { opcode, fin = true, rsv = 0, mask = USUAL_MASK } = shape;
  const payload = Buffer.from((shape.payload ?? '') as string);
  const length = shape.announces ?? BigInt(payload.length);
  const first = Buffer.from([(fin ? 0x80 : 0) | (rsv << 4) | opcode]);
  const lengthField = writeLength(length, shape.lengthBits);
  if (mask === false) return Buffer.concat([first, lengthField, payload]);
  lengthField[0] = (lengthField[0] as number) | 0x80;
  return Buffer.concat([first, lengthField, mask, masked(payload, mask)]);
}

export const text = (payload: Buffer | string, more: Partial<FrameShape> = {}): Buffer =>
  frame({ opcode: OPCODE.text, payload, ...more });
export const binary = (payload: Buffer | string, more: Partial<FrameShape> = {}): Buffer =>
  frame({ opcode: OPCODE.binary, payload, ...more });
export const continuation = (payload: Buffer | string, more: Partial<FrameShape> = {}): Buffer =>
  frame({ opcode: OPCODE.continuation, payload, ...more });
export const ping = (payload: Buffer | string = '', more: Partial<FrameShape> = {}): Buffer =>
  frame({ opcode: OPCODE.ping, payload, ...more });
export const pong = (payload: Buffer | string = '', more: Partial<FrameShape> = {}): Buffer =>
  frame({ opcode: OPCODE.pong, payload, ...more });

/** Returns a close frame; without a code its payload is empty. */
export function close(code?: number, reason: Buffer | string = '', more: Partial<FrameShape> = {}): Buffer {
  return frame({ opcode: OPCODE.close, payload: closePayload(code, reason), ...more });
}

export function closePayload(code: number | undefined, reason: Buffer | string = ''): Buffer {
  if (code === undefined) return Buffer.alloc(0);
  return Buffer.concat([Buffer.from([code >> 8, code & 0xff]), Buffer.from(reason as string)]);
}

/** Cuts a message into fragments of these sizes; the last fragment has what is left. */
export function fragments(
  opcode: number,
  payload: Buffer | string,
  sizes: readonly number[],
  more: Partial<FrameShape> = {},
): Buffer[] {
  const bytes = Buffer.from(payload as string);
  let at = 0;
  const pieces: Buffer[] = [];
  for (const size of [...sizes, bytes.length]) {
    pieces.push(bytes.subarray(at, at + size));
    at += size;
  }
  return pieces.map((piece, i) =>
    frame({
      opcode: i === 0 ? opcode : OPCODE.continuation,
      payload: piece,
      fin: i === pieces.length - 1,
      ...(i === 0 ? more : {}),
    }),
  );
}

function masked(payload: Buffer, mask: Buffer): Buffer {
  if (mask.every((byte) => byte === 0)) return payload;
  const bytes = Buffer.alloc(payload.length);
  for (let i = 0; i < payload.length; i++)
    bytes[i] = (payload[i] as number) ^ (mask[i % MASK_BYTES] as number);
  return bytes;
}

function writeLength(length: bigint, bits: FrameShape['lengthBits']): Buffer {
  const form = bits ?? (length <= SHORT_LENGTH_MAX ? 7 : length <= LENGTH_16_MAX ? 16 : 64);
  if (form === 7) return Buffer.from([Number(length)]);
  const field = Buffer.alloc(form === 16 ? 3 : 9);
  field[0] = form === 16 ? LENGTH_16 : LENGTH_64;
  if (form === 16) field.writeUInt16BE(Number(length), 1);
  else field.writeBigUInt64BE(length, 1);
  return field;
}

/** A frame of the server. */
export interface ServerFrame {
  readonly fin: boolean;
  readonly rsv: number;
  readonly opcode: number;
  readonly payload: Buffer;
  /** What a server may not do: it masked the frame, or wrote a length in a longer form than it needs. */
  readonly fault: string | undefined;
}

/** Takes frames apart as their bytes arrive. */
export class ServerFrameReader {
  readonly frames: ServerFrame[] = [];
  #chunks: Buffer[] = [];
  #bytes = 0;
  /** So many bytes have to be there before another look is worth it. */
  #wanted = 2;

  /** Bytes of a frame that is not whole. */
  get pending(): number {
    return this.#bytes;
  }

  take(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    if (this.#bytes < this.#wanted) return;
    let rest = this.#chunks.length === 1 ? chunk : Buffer.concat(this.#chunks);
    for (let size = this.#read(rest); size > 0; size = this.#read(rest)) rest = rest.subarray(size);
    this.#chunks = rest.length === 0 ? [] : [rest];
    this.#bytes = rest.length;
  }

  /** Reads the frame at the start of the bytes and returns its size; 0: it is not whole. */
  #read(bytes: Buffer): number {
    this.#wanted = 2;
    if (bytes.length < this.#wanted) return 0;
    const first = bytes[0] as number;
    const second = bytes[1] as number;
    const isMasked = (second & 0x80) !== 0;
    const short = second & 0x7f;
    const headBytes =
      2 + (short === LENGTH_64 ? 8 : short === LENGTH_16 ? 2 : 0) + (isMasked ? MASK_BYTES : 0);
    this.#wanted = headBytes;
    if (bytes.length < headBytes) return 0;
    const length =
      short === LENGTH_64
        ? Number(bytes.readBigUInt64BE(2))
        : short === LENGTH_16
          ? bytes.readUInt16BE(2)
          : short;
    this.#wanted = headBytes + length;
    if (bytes.length < this.#wanted) return 0;
    const isLong =
      (short === LENGTH_64 && length <= LENGTH_16_MAX) || (short === LENGTH_16 && length <= SHORT_LENGTH_MAX);
    this.frames.push({
      fin: (first & 0x80) !== 0,
      rsv: (first >> 4) & 7,
      opcode: first & 0x0f,
      payload: bytes.subarray(headBytes, headBytes + length),
      fault: isMasked ? 'masked' : isLong ? 'a length that is not in the shortest form' : undefined,
    });
    return headBytes + length;
  }
}
