/**
 * Cuts the bytes of a connection into frames. A frame that lies in one received chunk is not copied. Of frames that are spread over
 * chunks the reader holds one payload at most. It passes DATA on piece by piece and holds none of it.
 */
import { ERROR_CODE, type H2ErrorCode } from './error-codes.ts';
import { FLAG, FRAME_HEAD_BYTES, FRAME_PAYLOAD_BYTES_MAX, FRAME_TYPE, STREAM_ID_MAX } from './frame-types.ts';

/** Takes the frames. The buffers belong to the reader: a sink copies what it has to keep. */
export interface FrameSink {
  /** True when the sink wants no more frames: the reader drops the rest. */
  readonly deaf: boolean;
  /** A whole frame of any known type but DATA; its payload is `bytes[start..end)`. */
  takeFrame(type: number, flags: number, streamId: number, bytes: Buffer, start: number, end: number): void;
  /** A DATA frame begins; `length` counts its padding too. */
  beginData(streamId: number, flags: number, length: number): void;
  /** A piece of the frame's content. */
  takeData(bytes: Buffer, start: number, end: number): void;
  /** The content of the frame is complete; `paddingBytes` came with it, the byte with their count included. */
  endData(streamId: number, flags: number, paddingBytes: number): void;
  /** A frame of a type that we do not know, whose payload is skipped. */
  skipFrame(type: number): void;
  /** The connection cannot be read any further. */
  readFailed(code: H2ErrorCode, reason: string): void;
}

/** The connection preface of a client (RFC 9113 §3.4). */
export const PREFACE: Buffer = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');

/** What the next bytes of the connection are. */
const IN_PREFACE = 0;
const IN_HEAD = 1;
/** The rest of a payload of which the reader holds the first part. */
const IN_PAYLOAD = 2;
const IN_SKIPPED = 3;
const IN_PAD_LENGTH = 4;
const IN_DATA = 5;
const IN_PADDING = 6;
type Place =
  | typeof IN_PREFACE
  | typeof IN_HEAD
  | typeof IN_PAYLOAD
  | typeof IN_SKIPPED
  | typeof IN_PAD_LENGTH
  | typeof IN_DATA
  | typeof IN_PADDING;

const NOTHING: Buffer = Buffer.alloc(0);

export class FrameReader {
  readonly #sink: FrameSink;
  #place: Place = IN_PREFACE;
  /** A frame head of which only a part has come, and the size of that part; or of the part of the preface. */
  #head: Buffer = NOTHING;
  #held = 0;
  #payload: Buffer = NOTHING;
  #type = 0;
  #flags = 0;
  #streamId = 0;
  #length = 0;
  /** Bytes of the current `#place` that are still to come. */
  #left = 0;
  #paddingBytes = 0;
  /** Frames that have begun so far: deadlines tell one slow frame from many frames by it. */
  framesTotal = 0;

  constructor(sink: FrameSink) {
    this.#sink = sink;
  }

  /** True while only a part of a frame, or of the preface, has come. DATA does not count: the limits for bodies cover it. */
  get isAmidFrame(): boolean {
    const place = this.#place;
    return place === IN_HEAD ? this.#held > 0 : place < IN_PAD_LENGTH;
  }

  /** Bytes of the buffers that hold incomplete frames. */
  get bytesHeld(): number {
    return this.#head.length + this.#payload.length;
  }

  /** Takes the next bytes of the connection; nothing may change the chunk before the call returns. */
  read(chunk: Buffer): void {
    const sink = this.#sink;
    const end = chunk.length;
    let at = 0;
    while (at < end && !sink.deaf) {
      if (this.#place !== IN_HEAD) {
        at = this.#readOn(chunk, at);
        continue;
      }
      let head = chunk;
      let start = at;
      if (this.#held > 0 || end - at < FRAME_HEAD_BYTES) {
        at = this.#hold(chunk, at, FRAME_HEAD_BYTES);
        if (this.#held < FRAME_HEAD_BYTES) return;
        this.#held = 0;
        head = this.#head;
        start = 0;
      } else at += FRAME_HEAD_BYTES;
      const length =
        ((head[start] as number) << 16) | ((head[start + 1] as number) << 8) | (head[start + 2] as number);
      const type = head[start + 3] as number;
      const flags = head[start + 4] as number;
      const streamId =
        (((head[start + 5] as number) << 24) |
          ((head[start + 6] as number) << 16) |
          ((head[start + 7] as number) << 8) |
          (head[start + 8] as number)) &
        STREAM_ID_MAX;
      this.framesTotal += 1;
      if (length > FRAME_PAYLOAD_BYTES_MAX) {
        sink.readFailed(
          ERROR_CODE.frameSizeError,
          `a frame has ${length} bytes and the limit is ${FRAME_PAYLOAD_BYTES_MAX}`,
        );
        return;
      }
      if (type === FRAME_TYPE.data) this.#beginData(streamId, flags, length);
      else if (type > FRAME_TYPE.continuation && type !== FRAME_TYPE.priorityUpdate) {
        sink.skipFrame(type);
        this.#left = length;
        this.#place = length > 0 ? IN_SKIPPED : IN_HEAD;
      } else if (end - at >= length) {
        sink.takeFrame(type, flags, streamId, chunk, at, at + length);
        at += length;
      } else {
        this.#type = type;
        this.#flags = flags;
        this.#streamId = streamId;
        this.#length = length;
        this.#left = length;
        this.#payload = Buffer.allocUnsafe(length);
        this.#place = IN_PAYLOAD;
      }
    }
  }

  #readOn(chunk: Buffer, at: number): number {
    const sink = this.#sink;
    const available = chunk.length - at;
    switch (this.#place) {
      case IN_PREFACE:
        return this.#readPreface(chunk, at);
      case IN_PAYLOAD: {
        const n = Math.min(this.#left, available);
        chunk.copy(this.#payload, this.#length - this.#left, at, at + n);
        this.#left -= n;
        if (this.#left === 0) {
          const payload = this.#payload;
          this.#payload = NOTHING;
          this.#place = IN_HEAD;
          sink.takeFrame(this.#type, this.#flags, this.#streamId, payload, 0, this.#length);
        }
        return at + n;
      }
      case IN_PAD_LENGTH: {
        const paddingBytes = chunk[at] as number;
        if (paddingBytes >= this.#length) {
          sink.readFailed(ERROR_CODE.protocolError, 'the padding of a DATA frame is longer than the frame');
          return at + 1;
        }
        this.#paddingBytes = paddingBytes + 1;
        this.#enterData(this.#length - 1 - paddingBytes);
        return at + 1;
      }
      case IN_DATA: {
        const n = Math.min(this.#left, available);
        this.#left -= n;
        sink.takeData(chunk, at, at + n);
        if (this.#left === 0) this.#enterPadding();
        return at + n;
      }
      default: {
        // skipped payload, or padding
        const n = Math.min(this.#left, available);
        this.#left -= n;
        if (this.#left === 0) {
          const endsData = this.#place === IN_PADDING;
          this.#place = IN_HEAD;
          if (endsData) sink.endData(this.#streamId, this.#flags, this.#paddingBytes);
        }
        return at + n;
      }
    }
  }

  #readPreface(chunk: Buffer, at: number): number {
    const n = Math.min(PREFACE.length - this.#held, chunk.length - at);
    if (PREFACE.compare(chunk, at, at + n, this.#held, this.#held + n) !== 0) {
      this.#sink.readFailed(ERROR_CODE.protocolError, 'the connection does not begin with the preface');
      return chunk.length;
    }
    this.#held += n;
    if (this.#held === PREFACE.length) {
      this.#held = 0;
      this.#place = IN_HEAD;
    }
    return at + n;
  }

  /** Adds bytes to the incomplete frame head. */
  #hold(chunk: Buffer, at: number, size: number): number {
    if (this.#head.length === 0) this.#head = Buffer.allocUnsafe(size);
    const n = Math.min(size - this.#held, chunk.length - at);
    chunk.copy(this.#head, this.#held, at, at + n);
    this.#held += n;
    return at + n;
  }

  #beginData(streamId: number, flags: number, length: number): void {
    this.#streamId = streamId;
    this.#flags = flags;
    this.#length = length;
    this.#paddingBytes = 0;
    this.#place = IN_PAD_LENGTH;
    if ((flags & FLAG.padded) !== 0 && length === 0) {
      this.#sink.readFailed(ERROR_CODE.frameSizeError, 'a padded DATA frame has no padding length');
      return;
    }
    this.#sink.beginData(streamId, flags, length);
    if ((flags & FLAG.padded) === 0) this.#enterData(length);
  }

  #enterData(length: number): void {
    this.#left = length;
    this.#place = IN_DATA;
    if (length === 0) this.#enterPadding();
  }

  #enterPadding(): void {
    // the byte with the length of the padding has been read
    this.#left = Math.max(0, this.#paddingBytes - 1);
    this.#place = IN_PADDING;
    if (this.#left > 0) return;
    this.#place = IN_HEAD;
    this.#sink.endData(this.#streamId, this.#flags, this.#paddingBytes);
  }
}
