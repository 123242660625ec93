/** Makes requests, or trailers of a request, of the HEADERS and CONTINUATION frames of a session (RFC 9113 §6.2, §6.10, §8.1). */
import type { Exchange } from '../exchange/exchange.ts';
import { ServerExchange } from '../exchange/server-exchange.ts';
import { RESET_BY_US } from './closed-streams.ts';
import { ERROR_CODE } from './error-codes.ts';
import { FLAG, FRAME_TYPE } from './frame-types.ts';
import { H2Stream } from './h2-stream.ts';
import { findFragment, HeadBlock } from './head-block.ts';
import type { FieldSection } from './hpack-decoder.ts';
import type { HeadReader, KnownHead } from './known-head.ts';
import { checkTrailers } from './parse-request-head.ts';
import type { SessionStreams } from './session-streams.ts';

export class HeadFrames {
  readonly #streams: SessionStreams;
  readonly #heads: HeadReader;
  readonly #streamsMax: number;
  readonly #handle: (exchange: Exchange) => void;
  /** A head block that is spread over frames. */
  readonly #block: HeadBlock;

  constructor(
    streams: SessionStreams,
    heads: HeadReader,
    blockBytesMax: number,
    streamsMax: number,
    handle: (exchange: Exchange) => void,
  ) {
    this.#streams = streams;
    this.#heads = heads;
    this.#block = new HeadBlock(blockBytesMax);
    this.#streamsMax = streamsMax;
    this.#handle = handle;
  }

  /** The stream of whose head only a part has come; 0: none. */
  get streamId(): number {
    return this.#block.streamId;
  }

  takeHeaders(flags: number, streamId: number, bytes: Buffer, start: number, end: number): void {
    const { life } = this.#streams;
    if (streamId === 0 || (streamId & 1) === 0) {
      life.fail(ERROR_CODE.protocolError, `HEADERS on stream ${streamId}`);
      return;
    }
    if ((flags & PLAIN_HEADERS_MASK) === FLAG.endHeaders) {
      this.#takeBlock(streamId, flags, false, bytes, start, end);
      return;
    }
    const fragment = findFragment(flags, streamId, bytes, start, end);
    if (fragment === undefined) {
      const isEmpty = end - start < ((flags & FLAG.priority) === 0 ? 1 : 5);
      const code = isEmpty ? ERROR_CODE.frameSizeError : ERROR_CODE.protocolError;
      life.fail(code, 'a HEADERS frame is too short for its padding or priority');
      return;
    }
    if ((flags & FLAG.endHeaders) !== 0) {
      this.#takeBlock(streamId, flags, fragment.isSelfDependent, bytes, fragment.start, fragment.end);
      return;
    }
    const excess = this.#block.begin(flags, streamId, bytes, fragment);
    if (excess !== undefined) life.enhanceYourCalm(excess);
  }

  takeContinuation(flags: number, streamId: number, bytes: Buffer, start: number, end: number): void {
    const { life } = this.#streams;
    const block = this.#block;
    if (block.streamId === 0 || streamId !== block.streamId) {
      life.fail(ERROR_CODE.protocolError, `CONTINUATION on stream ${streamId} continues nothing`);
      return;
    }
    const excess = block.continue(bytes, start, end);
    if (excess !== undefined) life.enhanceYourCalm(excess);
    else if ((flags & FLAG.endHeaders) !== 0) {
      const { bytes: all, size } = block;
      block.clear();
      this.#takeBlock(streamId, block.flags, block.isSelfDependent, all, 0, size);
    }
  }

  /** Takes a whole head block: a request, trailers, or a block that is not allowed. */
  #takeBlock(
    streamId: number,
    flags: number,
    isSelfDependent: boolean,
    bytes: Buffer,
    start: number,
    end: number,
  ): void {
    const streams = this.#streams;
    const { life, table } = streams;
    const decoded = streams.codec.decode(bytes, start, end);
    if (typeof decoded === 'string') {
      life.fail(ERROR_CODE.compressionError, decoded);
      return;
    }
    const endStream = (flags & FLAG.endStream) !== 0;
    if (start === end && !endStream && !life.countEmptyFrame('too many empty HEADERS frames')) return;
    if (streamId <= table.lastId) {
      const stream = table.get(streamId);
      if (stream === undefined) streams.takeOnClosed(streamId, FRAME_TYPE.headers);
      else this.#takeTrailers(stream, decoded, endStream);
      return;
    }
    table.lastId = streamId;
    if (life.isFinishing) {
      // the request comes after the final GOAWAY, which told the client that nobody serves it
      table.remember(streamId, RESET_BY_US);
      return;
    }
    if (table.requestedCount >= this.#streamsMax) {
      streams.refuse(streamId, ERROR_CODE.refusedStream);
      return;
    }
    const head = this.#heads.read(decoded);
    if (typeof head === 'string') this.#refuseMalformed(streamId, decoded, head);
    else if (isSelfDependent) this.#refuseMalformed(streamId, decoded, 'the stream depends on itself');
    else if (endStream && !decoded.tooLarge && (head.bodyless.declaredLength ?? 0) > 0)
      this.#refuseMalformed(streamId, decoded, 'a body is shorter than its content-length');
    else this.#serve(streamId, head, endStream);
  }

  #refuseMalformed(streamId: number, section: FieldSection, reason: string): void {
    this.#streams.refuseMalformed(streamId, this.#heads.malformed(section), reason);
  }

  #serve(streamId: number, head: KnownHead, endStream: boolean): void {
    const streams = this.#streams;
    const { table } = streams;
    const request = endStream ? head.bodyless : head.withBody;
    const stream = new H2Stream(streams, streamId, request, head.expectsContinue, head.priority);
    const exchange = new ServerExchange(request, stream, streams.settings);
    stream.attach(exchange);
    table.opened(stream);
    if (head.refusal === 0) this.#handle(exchange);
    else exchange.reset(head.refusal);
    // most streams are answered, and closed, within the call of `#handle`
    if (!stream.isClosed) {
      if (streams.life.isEnding) stream.cut();
      else table.list(stream);
    }
  }

  #takeTrailers(stream: H2Stream, section: FieldSection, endStream: boolean): void {
    const streams = this.#streams;
    if (stream.remoteEnded) {
      streams.fail(stream, ERROR_CODE.streamClosed, 'HEADERS follow END_STREAM');
      return;
    }
    const wrong = endStream ? checkTrailers(section) : 'trailers do not end the stream';
    if (wrong !== undefined) streams.fail(stream, ERROR_CODE.protocolError, wrong);
    else streams.endRemote(stream, section.fields);
  }
}

/** Flags of which a HEADERS frame that is one whole block, and nothing else, has END_HEADERS alone. */
const PLAIN_HEADERS_MASK: number = FLAG.endHeaders | FLAG.padded | FLAG.priority;
