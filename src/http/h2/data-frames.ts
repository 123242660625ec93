/** DATA frames of a session, as they arrive piece by piece: windows, padding, and whose body they belong to (RFC 9113 §6.1). */
import { ERROR_CODE } from './error-codes.ts';
import { FLAG, FRAME_TYPE } from './frame-types.ts';
import type { H2Stream } from './h2-stream.ts';
import type { SessionStreams } from './session-streams.ts';

export class DataFrames {
  readonly #streams: SessionStreams;
  /** Bytes of the frame that is being read, padding included. */
  #bytes = 0;
  /** Whose frame is being read; undefined = its content is dropped. */
  #stream: H2Stream | undefined;

  constructor(streams: SessionStreams) {
    this.#streams = streams;
  }

  /** The frame that begins must not come: its content is dropped. */
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
    // not even before our response begins, where the stream is but reserved
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
    // padding is no content
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
