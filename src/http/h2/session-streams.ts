/** The streams of one session: their heads and pushes, and how each of them ends (RFC 9113 §5.4.2). */

import { GatewayError } from '../../base/errors.ts';
import { COUNT } from '../../metrics/worker-metrics.ts';
import type { ConnectionInfo, Exchange, PushPromise } from '../exchange/exchange.ts';
import type { ExchangeSettings, ResponseHead } from '../exchange/exchange-wire.ts';
import { promisedHead, type RequestHead } from '../exchange/request-head.ts';
import { ServerExchange } from '../exchange/server-exchange.ts';
import type { StallWatch } from '../exchange/stall-watch.ts';
import type { Fields } from '../semantics/fields.ts';
import { ENDED, type Ending, FORGOTTEN, NEVER_USED, RESET_BY_CLIENT, RESET_BY_US } from './closed-streams.ts';
import { ERROR_CODE, errorCodeName, type H2ErrorCode } from './error-codes.ts';
import { FRAME_TYPE, STREAM_ID_MAX } from './frame-types.ts';
import { H2Stream } from './h2-stream.ts';
import type { HeadCodec } from './head-codec.ts';
import { DEFAULT_PRIORITY } from './priority.ts';
import { CONNECTION_WINDOW_BYTES_MAX, type SessionBodies } from './session-bodies.ts';
import { exchangeBufferBytes } from './session-bounds.ts';
import type { SessionLife } from './session-life.ts';
import type { SessionOutput } from './session-output.ts';
import { PeerSettings } from './settings.ts';
import type { StreamSession } from './stream-session.ts';
import type { StreamTable } from './stream-table.ts';

/** A late DATA frame costs at least so many bytes of the allowance, so that small frames are not free. */
const LATE_FRAME_BYTES_MIN = 1024;

export class SessionStreams implements StreamSession<H2Stream> {
  readonly life: SessionLife;
  readonly output: SessionOutput;
  readonly bodies: SessionBodies;
  readonly table: StreamTable;
  readonly codec: HeadCodec;
  readonly info: ConnectionInfo;
  readonly settings: ExchangeSettings;
  readonly peer: PeerSettings = new PeerSettings();
  readonly stalls: StallWatch;
  readonly lateBodies: StallWatch;
  /** Bytes that may still come on streams that the session has reset: the client sent them before it knew. */
  #lateBytes = 0;

  constructor(
    life: SessionLife,
    output: SessionOutput,
    bodies: SessionBodies,
    table: StreamTable,
    codec: HeadCodec,
    info: ConnectionInfo,
    settings: ExchangeSettings,
    lateBodies: StallWatch,
  ) {
    this.life = life;
    this.output = output;
    this.bodies = bodies;
    this.table = table;
    this.codec = codec;
    this.info = info;
    this.settings = settings;
    this.stalls = settings.patience.stalls;
    this.lateBodies = lateBodies;
  }

  get bufferBytesMax(): number {
    return exchangeBufferBytes(this.table.openCount);
  }

  // ---- writing, for streams ----

  sendHead(streamId: number, head: ResponseHead, endStream: boolean): void {
    const size = this.codec.encodeHead(head);
    this.output.headers(streamId, this.codec.bytes, size, endStream);
  }

  sendInformational(streamId: number, status: number, fields: Fields): void {
    const size = this.codec.encodeInformational(status, fields);
    this.output.headers(streamId, this.codec.bytes, size, false);
  }

  sendTrailers(streamId: number, fields: Fields): void {
    const size = this.codec.encodeTrailers(fields);
    this.output.headers(streamId, this.codec.bytes, size, true);
  }

  get canPush(): boolean {
    const { peer, table } = this;
    return (
      peer.enablePush &&
      this.life.isServing &&
      !this.life.peerLeaves &&
      table.pushedCount < peer.maxConcurrentStreams &&
      table.lastPushedId < STREAM_ID_MAX - 2
    );
  }

  push(parentId: number, promise: PushPromise): Exchange | undefined {
    if (!this.canPush) return undefined;
    const { table } = this;
    table.lastPushedId += 2;
    const id = table.lastPushedId;
    const size = this.codec.encodePromise(promise);
    this.output.pushPromise(parentId, id, this.codec.bytes, size);
    const request = promisedHead(promise, this.info);
    const stream = new H2Stream(this, id, request, false, DEFAULT_PRIORITY);
    const exchange = new ServerExchange(request, stream, this.settings);
    stream.attach(exchange);
    table.opened(stream);
    table.list(stream);
    this.settings.counters.add(COUNT.pushesTotal, 1);
    return exchange;
  }

  // ---- ends ----

  streamClosed(stream: H2Stream): void {
    this.forget(stream, ENDED);
  }

  resetStream(stream: H2Stream, code: H2ErrorCode): void {
    if (stream.isClosed) return;
    this.output.resetStream(stream.id, code);
    if (!stream.remoteEnded)
      this.#lateBytes = Math.min(CONNECTION_WINDOW_BYTES_MAX, this.#lateBytes + stream.expectedBytes);
    this.forget(stream, stream.remoteEnded ? ENDED : RESET_BY_US);
    stream.cut();
  }

  /** The client has reset the stream, or ended its side of the connection. */
  cut(stream: H2Stream): void {
    this.forget(stream, RESET_BY_CLIENT);
    stream.cut();
  }

  /** The client has ended its side of the stream. */
  endRemote(stream: H2Stream, trailers?: Fields): void {
    if (!stream.endRemote(trailers))
      this.fail(stream, ERROR_CODE.protocolError, 'a body is shorter than its content-length');
  }

  /** A stream error: the client has broken a rule on this stream (RFC 9113 §5.4.2). */
  fail(stream: H2Stream, code: H2ErrorCode, reason: string): void {
    this.settings.logger.debug('HTTP/2 stream has failed', {
      peer: this.info.peerAddress,
      error: errorCodeName(code),
      reason,
    });
    this.output.resetStream(stream.id, code);
    this.forget(stream, RESET_BY_US);
    stream.cut();
    this.#countReset();
  }

  /** A stream error where the stream is open, otherwise a connection error. */
  failOn(streamId: number, code: H2ErrorCode, reason: string): void {
    const stream = this.table.get(streamId);
    if (stream === undefined) this.life.fail(code, reason);
    else this.fail(stream, code, reason);
  }

  /** Resets a stream that was never served. */
  refuse(streamId: number, code: H2ErrorCode): void {
    this.output.resetStream(streamId, code);
    this.table.remember(streamId, RESET_BY_US);
    this.#countReset();
  }

  /** Resets the stream of a malformed request. The request is counted and logged as a refused one of HTTP/1 is, without an answer. */
  refuseMalformed(streamId: number, request: RequestHead, reason: string): void {
    this.settings.logger.debug('HTTP/2 request is malformed', { peer: this.info.peerAddress, reason });
    const stream = new H2Stream(this, streamId, request, false, DEFAULT_PRIORITY);
    const exchange = new ServerExchange(request, stream, this.settings);
    const what = `Request is refused: ${reason}`;
    exchange.wireClosed(new GatewayError('LGW_HEAD_MALFORMED', what, { status: 400, luaCode: 'closed' }));
    this.refuse(streamId, ERROR_CODE.protocolError);
  }

  /** DATA or HEADERS on a stream that is not open (RFC 9113 §5.1). */
  takeOnClosed(streamId: number, type: number): void {
    const { table, life } = this;
    if (table.isIdle(streamId)) {
      life.fail(ERROR_CODE.protocolError, 'a frame on an idle stream');
      return;
    }
    const ending = table.endingOf(streamId);
    if (ending === RESET_BY_US || (ending === FORGOTTEN && type === FRAME_TYPE.data)) {
      life.countControlFrame();
    } else if (ending === RESET_BY_CLIENT) {
      this.output.resetStream(streamId, ERROR_CODE.streamClosed);
      this.#countReset();
    } else if (ending === NEVER_USED && type === FRAME_TYPE.headers) {
      life.fail(ERROR_CODE.protocolError, `stream ${streamId} is opened after stream ${table.lastId}`);
    } else life.fail(ERROR_CODE.streamClosed, `a frame on stream ${streamId}, which is closed`);
  }

  /** True for DATA that was on its way when the session reset the stream, which is no fault of the client. */
  isLate(streamId: number, length: number): boolean {
    const cost = Math.max(length, LATE_FRAME_BYTES_MIN);
    if (cost > this.#lateBytes || this.table.isIdle(streamId)) return false;
    if (this.table.endingOf(streamId) !== RESET_BY_US) return false;
    this.#lateBytes -= cost;
    return true;
  }

  /** The client opens no window any more: resets the streams that wait for one. */
  cutUnsendable(): void {
    const { sendWindow } = this.output;
    for (const stream of [...this.table.all()])
      if (stream.hasQueued && (sendWindow <= 0 || stream.sendWindow <= 0))
        this.resetStream(stream, ERROR_CODE.cancel);
  }

  /** Takes a closed stream out of the table. */
  forget(stream: H2Stream, ending: Ending): void {
    this.table.closed(stream, ending);
    this.life.streamEnded();
  }

  #countReset(): void {
    this.life.countReset('too many streams had to be reset');
  }
}
