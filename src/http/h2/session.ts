/** One HTTP/2 connection: reads frames, keeps the rules of RFC 9113, and turns streams into exchanges. */
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { GatewayError } from '../../base/errors.ts';
import { CHUNK_BYTES_MAX } from '../exchange/chunk-pool.ts';
import { describeConnection } from '../exchange/connection-info.ts';
import type { ConnectionInfo, Exchange, PushPromise } from '../exchange/exchange.ts';
import type { ExchangeSettings, ResponseHead } from '../exchange/exchange-wire.ts';
import type { RequestHead } from '../exchange/request-head.ts';
import { BUFFER_BYTES_MAX } from '../exchange/response-buffer.ts';
import { ServerExchange } from '../exchange/server-exchange.ts';
import type { StallWatch } from '../exchange/stall-watch.ts';
import type { BodyHolder } from '../exchange/unread-bodies.ts';
import type { Fields } from '../semantics/fields.ts';
import { AbuseLimits, type AbuseRates } from './abuse-limits.ts';
import { ENDED, type Ending, FORGOTTEN, NEVER_USED, RESET_BY_CLIENT, RESET_BY_US } from './closed-streams.ts';
import { ERROR_CODE, errorCodeName, type H2ErrorCode } from './error-codes.ts';
import { ReceiveWindow } from './flow-window.ts';
import { FrameReader, type FrameSink } from './frame-reader.ts';
import { FLAG, FRAME_TYPE, INITIAL_WINDOW_BYTES, PING_BYTES, STREAM_ID_MAX } from './frame-types.ts';
import type { FrameWriter } from './frame-writer.ts';
import { H2Stream, STREAM_WINDOW_BYTES } from './h2-stream.ts';
import { findFragment, HeadBlock } from './head-block.ts';
import { HeadCodec } from './head-codec.ts';
import type { FieldSection } from './hpack-decoder.ts';
import { HeadReader, type KnownHead } from './known-head.ts';
import { DEFAULT_PRIORITY, parsePriority } from './priority.ts';
import { checkTrailers } from './request-head.ts';
import { SETTINGS_ACKNOWLEDGED_MS, SessionClock, type SessionClocks } from './session-clock.ts';
import { SessionOutput } from './session-output.ts';
import { PeerSettings, SETTING, SETTING_BYTES } from './settings.ts';
import { readSocket } from './socket-reader.ts';
import { StreamTable } from './stream-table.ts';

export interface SessionLimits {
  readonly headBytesMax: number;
  readonly streamsMax: number;
  readonly abuse: AbuseRates;
}

/** Body bytes that may be on their way on all streams together, and unread here: 80 Mbit/s over 100 ms at first. */
const CONNECTION_WINDOW_BYTES = 1024 * 1024;
const CONNECTION_WINDOW_BYTES_MAX = 16 * 1024 * 1024;
/** Response bytes that all exchanges of a connection may hold together; each gets its share. */
const SESSION_WRITE_BYTES = 1024 * 1024;
/** Past the limit, up to this factor, a head is answered with 431; beyond it the stream is reset. */
export const HEAD_SLACK = 2;
/** A compressed head this much longer is still read, without keeping it, so that it can be answered. */
const BLOCK_BYTES_SPARE = 128 * 1024;
/** With less than this left of the connection's window a client can hardly send. */
const WINDOW_BYTES_MIN = 1024;
/** With more than this of bodies that no handler reads, some are refused, when nothing else helps: what one stream may hold. */
const HELD_BYTES_MAX = STREAM_WINDOW_BYTES;
/** DATA that comes too late counts as no less, so that small frames are not free. */
const LATE_FRAME_BYTES_MIN = 1024;
/** What is believed of a round trip until one has been measured: too long a time only makes windows grow sooner. */
const ROUND_TRIP_MS = 10;

/** Streams are served. */
const SERVING = 0;
/** GOAWAY has been announced, so that what is on its way still gets in (RFC 9113 §6.8). */
const LEAVING = 1;
/** GOAWAY has been sent: streams that are open finish. */
const FINISHING = 2;
/** Our side is ended: whatever comes is dropped. */
const ENDING = 3;
type State = typeof SERVING | typeof LEAVING | typeof FINISHING | typeof ENDING;

export class Session implements FrameSink, BodyHolder {
  readonly socket: Socket;
  readonly output: SessionOutput;
  readonly peer: PeerSettings = new PeerSettings();
  readonly stalls: StallWatch;
  /** Streams that have their answer and whose client has not ended its side. */
  readonly lateBodies: StallWatch;
  readonly #limits: SessionLimits;
  readonly #settings: ExchangeSettings;
  readonly #handle: (exchange: Exchange) => void;
  readonly #info: ConnectionInfo;
  readonly #heads: HeadReader;
  readonly #reader: FrameReader;
  readonly #abuse: AbuseLimits;
  readonly #codec: HeadCodec;
  readonly #streams = new StreamTable();
  readonly #clock = new SessionClock();
  readonly #window = new ReceiveWindow(INITIAL_WINDOW_BYTES, CONNECTION_WINDOW_BYTES_MAX);
  #state: State = SERVING;
  #peerLeaves = false;
  #inputEnded = false;
  #settingsSeen = false;
  #settingsAcknowledged = false;
  #roundTripMs = ROUND_TRIP_MS;
  /** Bytes that may still come on streams we have reset: their client could not know. */
  #lateBytes = 0;

  unreadBytes = 0;
  isHeldBack = false;
  /** Streams whose body is waited for. */
  #awaitedBodies = 0;
  /** For so much that streams hold the window of the connection was not opened, since the budget is short. */
  withheldBytes = 0;

  /** A head block that is spread over frames. */
  readonly #block: HeadBlock;
  /** Bytes of the DATA frame that is being read, padding included. */
  #dataBytes = 0;
  /** Whose DATA frame is being read. */
  #dataStream: H2Stream | undefined;

  constructor(
    socket: Socket,
    writer: FrameWriter,
    limits: SessionLimits,
    settings: ExchangeSettings,
    lateBodies: StallWatch,
    handle: (exchange: Exchange) => void,
  ) {
    this.socket = socket;
    this.#limits = limits;
    this.#settings = settings;
    this.stalls = settings.stalls;
    this.lateBodies = lateBodies;
    this.#handle = handle;
    this.#info = describeConnection(socket);
    this.#heads = new HeadReader(this.#info, socket instanceof TLSSocket ? 'https' : 'http', {
      headBytesMax: limits.headBytesMax,
      bodyBytesMax: settings.bodyBytesMax,
    });
    this.#abuse = new AbuseLimits(limits.abuse);
    this.output = new SessionOutput(socket, writer, this.#abuse);
    this.#reader = new FrameReader(this);
    this.#codec = new HeadCodec(limits.headBytesMax * HEAD_SLACK);
    this.#block = new HeadBlock(limits.headBytesMax * HEAD_SLACK + BLOCK_BYTES_SPARE);
  }

  /** Sends our settings and reads what comes. */
  start(): void {
    const { socket } = this;
    this.output.settings([
      SETTING.maxConcurrentStreams,
      this.#limits.streamsMax,
      SETTING.initialWindowSize,
      STREAM_WINDOW_BYTES,
      SETTING.maxHeaderListSize,
      this.#limits.headBytesMax * HEAD_SLACK,
      SETTING.noRfc7540Priorities,
      1,
    ]);
    this.output.windowUpdate(0, this.#window.grow(CONNECTION_WINDOW_BYTES));
    readSocket(socket, (bytes) => this.#read(bytes));
    // without it node would end our side with the client's
    socket.allowHalfOpen = true;
    socket.on('end', () => this.#endInput());
    socket.on('close', () => this.#gone());
  }

  get deaf(): boolean {
    return this.#state === ENDING;
  }
  get idle(): boolean {
    return this.#streams.openCount === 0;
  }

  /** Bodies that nobody reads have used up the window that all streams share. */
  get holdsBodies(): boolean {
    return this.#window.available < WINDOW_BYTES_MIN;
  }

  /** Bytes an exchange may hold itself: streams of one connection share what one exchange of HTTP/1 has many times. */
  get bufferBytesMax(): number {
    return Math.max(
      CHUNK_BYTES_MAX,
      Math.min(BUFFER_BYTES_MAX, SESSION_WRITE_BYTES / this.#streams.openCount),
    );
  }

  get canPush(): boolean {
    return (
      this.peer.enablePush &&
      this.#state === SERVING &&
      !this.#peerLeaves &&
      this.#streams.pushedCount < this.peer.maxConcurrentStreams &&
      this.#streams.lastPushedId < STREAM_ID_MAX - 2
    );
  }

  // ---- BodyHolder ----

  /**
   * Not while somebody waits for what the client has to send, a body or a window for a response; unless other bodies of it take
   * too much, about which the next sweep does something.
   */
  holdBack(): void {
    if (this.#state === ENDING || this.#inputEnded) return;
    if (this.#isAwaited() && !this.#leavesTooMuch()) return;
    this.isHeldBack = true;
    this.output.holdReading(true);
  }

  #isAwaited(): boolean {
    if (this.#awaitedBodies > 0) return true;
    for (const stream of this.#streams.all()) if (stream.hasQueued) return true;
    return false;
  }

  /** True while bodies that nobody waits for take more than one connection may have of them when the budget is used up. */
  #leavesTooMuch(): boolean {
    let bytes = 0;
    for (const stream of this.#streams.all()) if (!stream.awaitsBody) bytes += stream.unreadBytes;
    return bytes > HELD_BYTES_MAX;
  }

  letGo(): void {
    this.isHeldBack = false;
    this.output.holdReading(false);
  }

  /** A reader has begun (true) or stopped (false) waiting for a body. */
  bodyAwaited(awaited: boolean): void {
    this.#awaitedBodies += awaited ? 1 : -1;
    if (awaited) this.hears();
  }

  /** Somebody waits for the client. */
  hears(): void {
    if (this.isHeldBack && !this.#leavesTooMuch()) this.#settings.unreadBodies.letGo(this);
    if (this.withheldBytes === 0) return;
    for (const stream of this.#streams.all()) stream.releaseWithheld();
  }

  /** The budget of unread bodies is short, and nobody waits for this client. */
  get withholds(): boolean {
    return this.#awaitedBodies === 0 && this.#settings.unreadBodies.isTight;
  }

  // ---- end ----

  /** Announces the end: what is open or on its way is served, then the connection closes. */
  close(): void {
    if (this.#state !== SERVING) return;
    this.#state = LEAVING;
    this.#clock.closes();
    this.output.goAway(STREAM_ID_MAX, ERROR_CODE.noError, '');
    // its answer tells that the client knows
    this.output.ping(LEAVING_PING);
  }

  /** Ends the connection because of what the client did. */
  fail(code: H2ErrorCode, reason: string): void {
    if (this.#state === ENDING) return;
    const { logger } = this.#settings;
    const facts = { peer: this.#info.peerAddress, error: errorCodeName(code), reason };
    if (code === ERROR_CODE.enhanceYourCalm) logger.warn('HTTP/2 connection is cut off', facts);
    else logger.debug('HTTP/2 connection has failed', facts);
    this.#state = ENDING;
    this.#clock.closes();
    this.#settings.unreadBodies.letGo(this);
    this.output.goAway(this.#streams.lastServedId, code, reason);
    this.#cutStreams();
    this.output.end();
  }

  readFailed(code: H2ErrorCode, reason: string): void {
    this.fail(code, reason);
  }

  /** Looks at the deadlines; `now` is a time of Date.now. */
  sweep(now: number, clocks: SessionClocks): void {
    const clock = this.#clock;
    const idleTooLong = clock.isIdleTooLong(now, this.#streams.hasChanged(), clocks);
    if (this.#state === ENDING) {
      if (clock.isGraceOver(now, clocks)) this.socket.destroy();
      return;
    }
    if (clock.sendsTooSlowly(now, this.output.hasProgressed(), clocks)) {
      this.socket.destroy();
      return;
    }
    if (this.isHeldBack) this.#sweepHeldBack(now);
    if (this.#inputEnded) {
      // whoever has gone altogether answers with a reset, and who still reads does not mind
      this.output.ping(LEAVING_PING);
      this.#cutUnsendable();
      return;
    }
    if (this.#state === LEAVING && clock.isGraceOver(now, clocks)) this.#finish();
    if (this.#state === SERVING && this.idle && idleTooLong) this.close();
    this.#sweepReading(now, clocks);
  }

  #sweepHeldBack(now: number): void {
    this.#clock.isDeaf(now);
    // whoever has gone answers with a reset
    this.output.ping(HELD_BACK_PING);
    if (this.#isAwaited()) this.#shed(now);
  }

  /**
   * The budget of unread bodies is used up, and the connection has to be read for others of its streams: bodies that no handler
   * reads are refused, the largest first. It is read for a moment in any case.
   */
  #shed(now: number): void {
    const unread = [...this.#streams.all()].filter((stream) => stream.isUnread(now));
    unread.sort((a, b) => b.unreadBytes - a.unreadBytes);
    for (const stream of unread) {
      if (!this.#leavesTooMuch()) break;
      stream.refuseUnread();
    }
    this.#settings.unreadBodies.letGo(this);
  }

  /** Final GOAWAY: later streams are not served. */
  #finish(): void {
    if (this.#state >= FINISHING) return;
    this.#state = FINISHING;
    this.output.goAway(this.#streams.lastServedId, ERROR_CODE.noError, '');
    this.#endIfFinished();
  }

  #endIfFinished(): void {
    if (this.#state !== FINISHING || !this.idle) return;
    this.#state = ENDING;
    this.#clock.closes();
    this.output.end();
  }

  /** A client that has begun to say something has to say it in time. */
  #sweepReading(now: number, clocks: SessionClocks): void {
    const { framesTotal, isAmidFrame } = this.#reader;
    const { streamId: headOf } = this.#block;
    const waits = isAmidFrame || headOf !== 0 || !this.#settingsSeen;
    if (this.#clock.readsTooSlowly(now, waits, headOf === 0 ? framesTotal : -headOf, clocks)) {
      const code = this.#settingsSeen ? ERROR_CODE.enhanceYourCalm : ERROR_CODE.settingsTimeout;
      this.fail(code, `a frame or a head took longer than ${clocks.headTimeoutMs} ms`);
    }
    if (!this.#settingsAcknowledged && this.#clock.isSettingsAnswerDue(now))
      this.fail(
        ERROR_CODE.settingsTimeout,
        `settings were not acknowledged within ${SETTINGS_ACKNOWLEDGED_MS} ms`,
      );
  }

  /** The client has ended its side. What it has asked for in full is answered as far as its windows are open. */
  #endInput(): void {
    this.#inputEnded = true;
    for (const stream of [...this.#streams.all()]) {
      if (stream.remoteEnded) continue;
      this.#forget(stream, RESET_BY_CLIENT);
      stream.cut();
    }
    if (this.#state === ENDING) this.socket.destroy();
    else if (this.#state === FINISHING) this.#endIfFinished();
    else this.#finish();
  }

  /** The client opens no window any more: what waits for one waits in vain. */
  #cutUnsendable(): void {
    const { sendWindow } = this.output;
    for (const stream of [...this.#streams.all()])
      if (stream.hasQueued && (sendWindow <= 0 || stream.sendWindow <= 0))
        this.resetStream(stream, ERROR_CODE.cancel);
  }

  #gone(): void {
    this.#state = ENDING;
    this.#settings.unreadBodies.letGo(this);
    this.output.drop();
    this.#cutStreams();
  }

  #cutStreams(): void {
    for (const stream of this.#streams.takeAll()) stream.cut();
  }

  // ---- reading ----

  #read(chunk: Buffer): void {
    if (this.#state === ENDING) return;
    this.output.hold();
    this.#reader.read(chunk);
    this.output.flush();
  }

  takeFrame(type: number, flags: number, streamId: number, bytes: Buffer, start: number, end: number): void {
    if (this.#block.streamId !== 0 && type !== FRAME_TYPE.continuation) {
      this.fail(ERROR_CODE.protocolError, 'a head is interrupted by another frame');
      return;
    }
    if (!this.#settingsSeen && (type !== FRAME_TYPE.settings || (flags & FLAG.ack) !== 0)) {
      this.fail(ERROR_CODE.protocolError, 'the first frame is not SETTINGS');
      return;
    }
    switch (type) {
      case FRAME_TYPE.headers:
        this.#takeHeaders(flags, streamId, bytes, start, end);
        break;
      case FRAME_TYPE.priority:
        this.#takePriority(streamId, bytes, start, end);
        break;
      case FRAME_TYPE.rstStream:
        this.#takeReset(streamId, end - start);
        break;
      case FRAME_TYPE.settings:
        this.#takeSettings(flags, streamId, bytes, start, end);
        break;
      case FRAME_TYPE.pushPromise:
        this.fail(ERROR_CODE.protocolError, 'clients do not push');
        break;
      case FRAME_TYPE.ping:
        this.#takePing(flags, streamId, bytes, start, end);
        break;
      case FRAME_TYPE.goaway:
        this.#takeGoAway(streamId, end - start);
        break;
      case FRAME_TYPE.windowUpdate:
        this.#takeWindowUpdate(streamId, bytes, start, end);
        break;
      case FRAME_TYPE.continuation:
        this.#takeContinuation(flags, streamId, bytes, start, end);
        break;
      case FRAME_TYPE.priorityUpdate:
        this.#takePriorityUpdate(streamId, bytes, start, end);
        break;
    }
  }

  skipFrame(): void {
    if (this.#block.streamId !== 0)
      this.fail(ERROR_CODE.protocolError, 'a head is interrupted by another frame');
    else if (!this.#settingsSeen) this.fail(ERROR_CODE.protocolError, 'the first frame is not SETTINGS');
    else this.#countControlFrame();
  }

  // ---- DATA ----

  beginData(streamId: number, flags: number, length: number): void {
    this.#dataStream = undefined;
    this.#dataBytes = length;
    if (this.#block.streamId !== 0) {
      this.fail(ERROR_CODE.protocolError, 'a head is interrupted by another frame');
      return;
    }
    if (!this.#settingsSeen) {
      this.fail(ERROR_CODE.protocolError, 'the first frame is not SETTINGS');
      return;
    }
    if (length === 0 && (flags & FLAG.endStream) === 0 && !this.#abuse.countEmptyFrame()) {
      this.#enhanceYourCalm('too many empty DATA frames');
      return;
    }
    if (!this.#window.take(length)) {
      this.fail(ERROR_CODE.flowControlError, 'the window of the connection is exceeded');
      return;
    }
    const stream = this.#streams.get(streamId);
    if (stream !== undefined && !stream.remoteEnded) {
      if (stream.takeWindow(length)) this.#dataStream = stream;
      else {
        this.releaseReceived(length);
        this.#streamError(stream, ERROR_CODE.flowControlError, 'the window of a stream is exceeded');
      }
      return;
    }
    this.releaseReceived(length);
    // not even before our response begins, where the stream is but reserved
    if ((streamId & 1) === 0) this.fail(ERROR_CODE.protocolError, `DATA on stream ${streamId}`);
    else if (stream !== undefined)
      this.#streamError(stream, ERROR_CODE.streamClosed, 'DATA follows END_STREAM');
    else if (!this.#isLate(streamId, length)) this.#takeOnClosed(streamId, FRAME_TYPE.data);
  }

  /** True for DATA that was on its way when we reset its stream: no fault of the client's. */
  #isLate(streamId: number, length: number): boolean {
    const cost = Math.max(length, LATE_FRAME_BYTES_MIN);
    if (cost > this.#lateBytes || this.#streams.isIdle(streamId)) return false;
    if (this.#streams.endingOf(streamId) !== RESET_BY_US) return false;
    this.#lateBytes -= cost;
    return true;
  }

  takeData(bytes: Buffer, start: number, end: number): void {
    const stream = this.#dataStream;
    if (stream === undefined) return;
    if (stream.isClosed) this.releaseReceived(end - start);
    else if (!stream.takeBody(bytes, start, end)) {
      this.releaseReceived(end - start);
      this.#streamError(stream, ERROR_CODE.protocolError, 'a body is longer than its content-length');
    }
  }

  endData(_streamId: number, flags: number, paddingBytes: number): void {
    const stream = this.#dataStream;
    this.#dataStream = undefined;
    if (stream === undefined || this.deaf) return;
    // padding is no content
    const isEmpty = paddingBytes > 0 && paddingBytes === this.#dataBytes;
    if (isEmpty && (flags & FLAG.endStream) === 0 && !this.#abuse.countEmptyFrame()) {
      this.#enhanceYourCalm('too many empty DATA frames');
      return;
    }
    if (stream.isClosed) {
      this.releaseReceived(paddingBytes);
      return;
    }
    if (paddingBytes > 0) stream.takePadding(paddingBytes);
    if ((flags & FLAG.endStream) !== 0 && !stream.isClosed) this.#endRemote(stream);
  }

  #endRemote(stream: H2Stream): void {
    if (!stream.endRemote())
      this.#streamError(stream, ERROR_CODE.protocolError, 'a body is shorter than its content-length');
  }

  /** Bytes of DATA frames are out of our hands. */
  releaseReceived(bytes: number): void {
    if (this.#state === ENDING) return;
    let increment = this.#window.release(bytes);
    if (increment === 0) return;
    increment += this.growWindow(this.#window);
    this.output.windowUpdate(0, increment);
  }

  /** A window is being opened: it is made larger where its sender seems to wait for it. */
  growWindow(window: ReceiveWindow): number {
    const size = window.wantedSize(performance.now(), this.#roundTripMs);
    // it is no window that holds back clients whose bodies wait here
    return this.withholds || this.unreadBytes > CONNECTION_WINDOW_BYTES / 2 ? 0 : window.grow(size);
  }

  // ---- HEADERS ----

  #takeHeaders(flags: number, streamId: number, bytes: Buffer, start: number, end: number): void {
    if (streamId === 0 || (streamId & 1) === 0) {
      this.fail(ERROR_CODE.protocolError, `HEADERS on stream ${streamId}`);
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
      this.fail(code, 'a HEADERS frame is too short for its padding or priority');
      return;
    }
    if ((flags & FLAG.endHeaders) !== 0) {
      this.#takeBlock(streamId, flags, fragment.isSelfDependent, bytes, fragment.start, fragment.end);
      return;
    }
    const excess = this.#block.begin(flags, streamId, bytes, fragment);
    if (excess !== undefined) this.#enhanceYourCalm(excess);
  }

  #takeContinuation(flags: number, streamId: number, bytes: Buffer, start: number, end: number): void {
    const block = this.#block;
    if (block.streamId === 0 || streamId !== block.streamId) {
      this.fail(ERROR_CODE.protocolError, `CONTINUATION on stream ${streamId} continues nothing`);
      return;
    }
    const excess = block.continue(bytes, start, end);
    if (excess !== undefined) this.#enhanceYourCalm(excess);
    else if ((flags & FLAG.endHeaders) !== 0) {
      const { bytes: all, size } = block;
      block.clear();
      this.#takeBlock(streamId, block.flags, block.isSelfDependent, all, 0, size);
    }
  }

  /** A whole head block: a request, trailers, or something that must not be. */
  #takeBlock(
    streamId: number,
    flags: number,
    isSelfDependent: boolean,
    bytes: Buffer,
    start: number,
    end: number,
  ): void {
    const decoded = this.#codec.decode(bytes, start, end);
    if (typeof decoded === 'string') {
      this.fail(ERROR_CODE.compressionError, decoded);
      return;
    }
    const endStream = (flags & FLAG.endStream) !== 0;
    if (start === end && !endStream && !this.#abuse.countEmptyFrame()) {
      this.#enhanceYourCalm('too many empty HEADERS frames');
      return;
    }
    if (streamId <= this.#streams.lastId) {
      const stream = this.#streams.get(streamId);
      if (stream === undefined) this.#takeOnClosed(streamId, FRAME_TYPE.headers);
      else this.#takeTrailers(stream, decoded, endStream);
      return;
    }
    this.#streams.lastId = streamId;
    if (this.#state >= FINISHING) {
      // it came too late, and the client has been told
      this.#streams.remember(streamId, RESET_BY_US);
      return;
    }
    if (this.#streams.requestedCount >= this.#limits.streamsMax) {
      this.#refuse(streamId, ERROR_CODE.refusedStream);
      return;
    }
    const head = this.#heads.read(decoded);
    if (typeof head === 'string') this.#refuseMalformed(streamId, decoded, head);
    else if (isSelfDependent) this.#refuseMalformed(streamId, decoded, 'the stream depends on itself');
    else if (endStream && !decoded.tooLarge && (head.bodyless.declaredLength ?? 0) > 0)
      this.#refuseMalformed(streamId, decoded, 'a body is shorter than its content-length');
    else this.#serve(streamId, head, endStream);
  }

  #serve(streamId: number, head: KnownHead, endStream: boolean): void {
    const request = endStream ? head.bodyless : head.withBody;
    const stream = new H2Stream(this, streamId, request, head.expectsContinue, head.priority);
    const exchange = new ServerExchange(request, stream, this.#settings);
    stream.attach(exchange);
    this.#streams.opened(stream);
    if (head.refusal === 0) this.#handle(exchange);
    else exchange.reset(head.refusal);
    // most streams have come and gone by now
    if (!stream.isClosed) {
      if (this.deaf) stream.cut();
      else this.#streams.list(stream);
    }
  }

  #takeTrailers(stream: H2Stream, section: FieldSection, endStream: boolean): void {
    if (stream.remoteEnded) {
      this.#streamError(stream, ERROR_CODE.streamClosed, 'HEADERS follow END_STREAM');
      return;
    }
    const wrong = endStream ? checkTrailers(section) : 'trailers do not end the stream';
    if (wrong !== undefined) this.#streamError(stream, ERROR_CODE.protocolError, wrong);
    else this.#endRemote(stream);
  }

  // ---- other frames ----

  #takePriority(streamId: number, bytes: Buffer, start: number, end: number): void {
    if (streamId === 0) this.fail(ERROR_CODE.protocolError, 'PRIORITY on stream 0');
    else if (!this.#countControlFrame()) return;
    else if (end - start !== 5)
      this.#errorOn(streamId, ERROR_CODE.frameSizeError, 'PRIORITY has a wrong size');
    else if ((bytes.readUInt32BE(start) & STREAM_ID_MAX) === streamId)
      this.#errorOn(streamId, ERROR_CODE.protocolError, 'the stream depends on itself');
  }

  #takeReset(streamId: number, size: number): void {
    if (size !== 4) this.fail(ERROR_CODE.frameSizeError, 'RST_STREAM has a wrong size');
    else if (this.#streams.isIdle(streamId))
      this.fail(ERROR_CODE.protocolError, 'RST_STREAM on an idle stream');
    else {
      const stream = this.#streams.get(streamId);
      if (stream === undefined) {
        if ((streamId & 1) === 1) this.#streams.remember(streamId, RESET_BY_CLIENT);
        // of a request that was answered at once the client could not know
        this.#countControlFrame();
        return;
      }
      // one that has its answer costs what any request does
      const isUntimely = !stream.pushed && !stream.localEnded;
      this.#forget(stream, RESET_BY_CLIENT);
      stream.cut();
      if (isUntimely && !this.#abuse.countReset()) this.#enhanceYourCalm('too many streams were reset');
    }
  }

  #takeSettings(flags: number, streamId: number, bytes: Buffer, start: number, end: number): void {
    if (streamId !== 0) {
      this.fail(ERROR_CODE.protocolError, `SETTINGS on stream ${streamId}`);
      return;
    }
    if ((flags & FLAG.ack) !== 0) {
      if (end !== start) this.fail(ERROR_CODE.frameSizeError, 'an acknowledgement of SETTINGS has content');
      else if (this.#settingsAcknowledged) this.#countControlFrame();
      else {
        this.#settingsAcknowledged = true;
        this.#roundTripMs = Math.max(ROUND_TRIP_MS, Date.now() - this.#clock.startedAt);
      }
      return;
    }
    if ((end - start) % SETTING_BYTES !== 0) {
      this.fail(ERROR_CODE.frameSizeError, 'SETTINGS has a wrong size');
      return;
    }
    if (this.#settingsSeen && !this.#countControlFrame()) return;
    this.#settingsSeen = true;
    const { peer } = this;
    const windowBefore = peer.initialWindowSize;
    const error = peer.read(bytes, start, end);
    if (error !== undefined) {
      this.fail(error, 'a setting has a value that is not allowed');
      return;
    }
    this.#codec.setPeerTableSize(peer.headerTableSize);
    this.output.acknowledgeSettings();
    const change = peer.initialWindowSize - windowBefore;
    if (change === 0) return;
    for (const stream of this.#streams.all()) {
      if (stream.openSendWindow(change)) continue;
      this.fail(ERROR_CODE.flowControlError, 'the window of a stream is larger than 2^31-1');
      return;
    }
  }

  #takePing(flags: number, streamId: number, bytes: Buffer, start: number, end: number): void {
    if (streamId !== 0) this.fail(ERROR_CODE.protocolError, `PING on stream ${streamId}`);
    else if (end - start !== PING_BYTES) this.fail(ERROR_CODE.frameSizeError, 'PING has a wrong size');
    else if (!this.#countControlFrame()) return;
    else if ((flags & FLAG.ack) === 0) this.output.acknowledgePing(bytes, start);
    else if (this.#state === LEAVING && LEAVING_PING.compare(bytes, start, end) === 0) this.#finish();
  }

  #takeGoAway(streamId: number, size: number): void {
    if (streamId !== 0) this.fail(ERROR_CODE.protocolError, `GOAWAY on stream ${streamId}`);
    else if (size < 8) this.fail(ERROR_CODE.frameSizeError, 'GOAWAY is too short');
    else {
      this.#peerLeaves = true;
      this.#countControlFrame();
    }
  }

  #takeWindowUpdate(streamId: number, bytes: Buffer, start: number, end: number): void {
    if (end - start !== 4) {
      this.fail(ERROR_CODE.frameSizeError, 'WINDOW_UPDATE has a wrong size');
      return;
    }
    if (!this.#abuse.countWindowUpdate()) {
      this.#enhanceYourCalm('too many WINDOW_UPDATE frames');
      return;
    }
    const increment = bytes.readUInt32BE(start) & STREAM_ID_MAX;
    if (streamId === 0) {
      this.output.sendWindow += increment;
      if (increment === 0) this.fail(ERROR_CODE.protocolError, 'WINDOW_UPDATE adds nothing');
      else if (this.output.sendWindow > STREAM_ID_MAX)
        this.fail(ERROR_CODE.flowControlError, 'the window of the connection is larger than 2^31-1');
      return;
    }
    if (this.#streams.isIdle(streamId)) {
      this.fail(ERROR_CODE.protocolError, 'WINDOW_UPDATE on an idle stream');
      return;
    }
    const stream = this.#streams.get(streamId);
    if (stream === undefined) return;
    if (increment === 0) this.#streamError(stream, ERROR_CODE.protocolError, 'WINDOW_UPDATE adds nothing');
    else if (!stream.openSendWindow(increment))
      this.#streamError(stream, ERROR_CODE.flowControlError, 'the window of a stream is larger than 2^31-1');
  }

  /** RFC 9218 §7.1. */
  #takePriorityUpdate(streamId: number, bytes: Buffer, start: number, end: number): void {
    if (streamId !== 0) {
      this.fail(ERROR_CODE.protocolError, `PRIORITY_UPDATE on stream ${streamId}`);
      return;
    }
    if (end - start < 4) {
      this.fail(ERROR_CODE.frameSizeError, 'PRIORITY_UPDATE is too short');
      return;
    }
    if (!this.#countControlFrame()) return;
    const prioritised = bytes.readUInt32BE(start) & STREAM_ID_MAX;
    if (prioritised === 0) {
      this.fail(ERROR_CODE.protocolError, 'PRIORITY_UPDATE names stream 0');
      return;
    }
    const stream = this.#streams.get(prioritised);
    if (stream === undefined) return;
    const { urgency, incremental } = parsePriority(bytes.latin1Slice(start + 4, end));
    this.output.scheduler.reprioritise(stream, urgency, incremental);
  }

  // ---- streams ----

  /** Both sides of a stream have ended. */
  streamClosed(stream: H2Stream): void {
    this.#forget(stream, ENDED);
  }

  /** Resets a stream of which the client has seen, or may see, a part. */
  resetStream(stream: H2Stream, code: H2ErrorCode): void {
    if (stream.isClosed) return;
    this.output.resetStream(stream.id, code);
    if (!stream.remoteEnded)
      this.#lateBytes = Math.min(CONNECTION_WINDOW_BYTES_MAX, this.#lateBytes + stream.expectedBytes);
    this.#forget(stream, stream.remoteEnded ? ENDED : RESET_BY_US);
    stream.cut();
  }

  /** The client has done something on a stream that it must not (RFC 9113 §5.4.2). */
  #streamError(stream: H2Stream, code: H2ErrorCode, reason: string): void {
    this.#settings.logger.debug('HTTP/2 stream has failed', {
      peer: this.#info.peerAddress,
      error: errorCodeName(code),
      reason,
    });
    this.output.resetStream(stream.id, code);
    this.#forget(stream, RESET_BY_US);
    stream.cut();
    this.#countReset();
  }

  /** A stream error where a stream is open, or else one of the connection. */
  #errorOn(streamId: number, code: H2ErrorCode, reason: string): void {
    const stream = this.#streams.get(streamId);
    if (stream === undefined) this.fail(code, reason);
    else this.#streamError(stream, code, reason);
  }

  /** It is counted and logged like a request over HTTP/1 that is refused, though its client gets no answer. */
  #refuseMalformed(streamId: number, section: FieldSection, reason: string): void {
    this.#settings.logger.debug('HTTP/2 request is malformed', { peer: this.#info.peerAddress, reason });
    const request = this.#heads.malformed(section);
    const stream = new H2Stream(this, streamId, request, false, DEFAULT_PRIORITY);
    const exchange = new ServerExchange(request, stream, this.#settings);
    const what = `Request is refused: ${reason}`;
    exchange.wireClosed(new GatewayError('LGW_HEAD_MALFORMED', what, { status: 400, luaCode: 'closed' }));
    this.#refuse(streamId, ERROR_CODE.protocolError);
  }

  /** Resets a stream that was never served. */
  #refuse(streamId: number, code: H2ErrorCode): void {
    this.output.resetStream(streamId, code);
    this.#streams.remember(streamId, RESET_BY_US);
    this.#countReset();
  }

  #countReset(): void {
    if (!this.#abuse.countReset()) this.#enhanceYourCalm('too many streams had to be reset');
  }

  #countControlFrame(): boolean {
    if (this.#abuse.countControlFrame()) return true;
    this.#enhanceYourCalm('too many frames that only steer the connection');
    return false;
  }

  #enhanceYourCalm(reason: string): void {
    this.fail(ERROR_CODE.enhanceYourCalm, reason);
  }

  /** DATA or HEADERS on a stream that is not open (RFC 9113 §5.1). */
  #takeOnClosed(streamId: number, type: number): void {
    if (this.#streams.isIdle(streamId)) {
      this.fail(ERROR_CODE.protocolError, 'a frame on an idle stream');
      return;
    }
    const ending = this.#streams.endingOf(streamId);
    if (ending === RESET_BY_US || (ending === FORGOTTEN && type === FRAME_TYPE.data)) {
      this.#countControlFrame();
    } else if (ending === RESET_BY_CLIENT) {
      this.output.resetStream(streamId, ERROR_CODE.streamClosed);
      this.#countReset();
    } else if (ending === NEVER_USED && type === FRAME_TYPE.headers) {
      this.fail(
        ERROR_CODE.protocolError,
        `stream ${streamId} is opened after stream ${this.#streams.lastId}`,
      );
    } else this.fail(ERROR_CODE.streamClosed, `a frame on stream ${streamId}, which is closed`);
  }

  /** The stream is closed. */
  #forget(stream: H2Stream, ending: Ending): void {
    this.#streams.closed(stream, ending);
    if (this.#state === FINISHING) this.#endIfFinished();
  }

  // ---- writing, for streams ----

  sendHead(streamId: number, head: ResponseHead, endStream: boolean): void {
    const size = this.#codec.encodeHead(head);
    this.output.headers(streamId, this.#codec.bytes, size, endStream);
  }

  sendInformational(streamId: number, status: number, fields: Fields): void {
    const size = this.#codec.encodeInformational(status, fields);
    this.output.headers(streamId, this.#codec.bytes, size, false);
  }

  sendTrailers(streamId: number, fields: Fields): void {
    const size = this.#codec.encodeTrailers(fields);
    this.output.headers(streamId, this.#codec.bytes, size, true);
  }

  push(parentId: number, promise: PushPromise): Exchange | undefined {
    if (!this.canPush) return undefined;
    this.#streams.lastPushedId += 2;
    const id = this.#streams.lastPushedId;
    const size = this.#codec.encodePromise(promise);
    this.output.pushPromise(parentId, id, this.#codec.bytes, size);
    const request: RequestHead = {
      protocol: 'HTTP/2',
      method: promise.method,
      target: promise.target,
      scheme: promise.scheme === 'http' ? 'http' : 'https',
      authority: promise.authority,
      fields: promise.fields,
      connection: this.#info,
      pushed: true,
      hasBody: false,
      declaredLength: undefined,
      memo: undefined,
    };
    const stream = new H2Stream(this, id, request, false, DEFAULT_PRIORITY);
    const exchange = new ServerExchange(request, stream, this.#settings);
    stream.attach(exchange);
    this.#streams.opened(stream);
    this.#streams.list(stream);
    this.#settings.counters.add('pushesTotal', 1);
    return exchange;
  }
}

/** What makes a HEADERS frame more than a block. */
const PLAIN_HEADERS_MASK: number = FLAG.endHeaders | FLAG.padded | FLAG.priority;
const LEAVING_PING: Buffer = Buffer.from('goodbye.', 'latin1');
const HELD_BACK_PING: Buffer = Buffer.from('patience', 'latin1');
