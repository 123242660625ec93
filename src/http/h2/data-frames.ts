/** Handles the DATA frames of a session piece by piece: windows, padding, and the stream whose body they belong to (RFC 9113 §6.1). */
import { ERROR_CODE } from './error-codes.ts';
import { FLAG, FRAME_TYPE } from './frame-types.ts';
import type { H2Stream } from './h2-stream.ts';
import type { SessionStreams } from './session-streams.ts';

export class DataFrames {
  readonly #streams: SessionStreams;
  /** Bytes of the current frame, padding included. */
  #bytes = 0;
  /** The stream of the current frame; undefined: the content of the frame is dropped. */
  #stream: H2Stream | undefined;

  constructor(streams: SessionStreams) {
    this.#streams = streams;
  }

  /** Drops the content of the frame that begins, as no DATA frame may come now. */
  skip(): void {
    this.#stream = undefined;
  }

  begin(streamId: number, flags: number, length: number): void {
    const streams = this.#streams;
    const { life, bodies } = streams;
    this.#stream = undefined;
    this.#bytes = length;
    if (length === 0 && (flags & FLAG.endStream) === 0 && !life.countEmptyFrame(EMPTY)) return;
    if (!bodies.takeWindow(length)) {
      life.fail(ERROR_CODE.flowControlError, 'the window of the connection is exceeded');
      return;
    }
    const stream = streams.table.get(streamId);
    if (stream !== undefined && !stream.remoteEnded) {
      if (stream.takeWindow(length)) this.#stream = stream;
      else {
        bodies.releaseReceived(length);
        streams.fail(stream, ERROR_CODE.flowControlError, 'the window of a stream is exceeded');
      }
      return;
    }
    bodies.releaseReceived(length);
    // a client must never send DATA on a pushed stream, reserved or open
    if ((streamId & 1) === 0) life.fail(ERROR_CODE.protocolError, `DATA on stream ${streamId}`);
    else if (stream !== undefined) streams.fail(stream, ERROR_CODE.streamClosed, 'DATA follows END_STREAM');
    else if (!streams.isLate(streamId, length)) streams.takeOnClosed(streamId, FRAME_TYPE.data);
  }

  take(bytes: Buffer, start: number, end: number): void {
    const stream = this.#stream;
    if (stream === undefined) return;
    const { bodies } = this.#streams;
    if (stream.isClosed) bodies.releaseReceived(end - start);
    else if (!stream.takeBody(bytes, start, end)) {
      bodies.releaseReceived(end - start);
      this.#streams.fail(stream, ERROR_CODE.protocolError, 'a body is longer than its content-length');
    }
  }

  end(flags: number, paddingBytes: number): void {
    const stream = this.#stream;
    const { life, bodies } = this.#streams;
    this.#stream = undefined;
    if (stream === undefined || life.isEnding) return;
    // a frame of padding alone is empty
    const isEmpty = paddingBytes > 0 && paddingBytes === this.#bytes;
    if (isEmpty && (flags & FLAG.endStream) === 0 && !life.countEmptyFrame(EMPTY)) return;
    if (stream.isClosed) {
      bodies.releaseReceived(paddingBytes);
      return;
    }
    if (paddingBytes > 0) stream.takePadding(paddingBytes);
    if ((flags & FLAG.endStream) !== 0 && !stream.isClosed) this.#streams.endRemote(stream);
  }
}

const EMPTY = 'too many empty DATA frames';
