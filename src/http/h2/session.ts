/** One HTTP/2 connection: reads its socket, gives each frame to the part that handles its type, and looks at the deadlines. */
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import type { ConnectionLimits } from '../../settings/limits.ts';
import { describeConnection } from '../exchange/connection-info.ts';
import type { Exchange } from '../exchange/exchange.ts';
import type { ExchangeSettings } from '../exchange/exchange-wire.ts';
import { readSocket } from '../exchange/socket-reader.ts';
import type { StallWatch } from '../exchange/stall-watch.ts';
import { AbuseLimits, type AbuseRates } from './abuse-limits.ts';
import { ControlFrames } from './control-frames.ts';
import { DataFrames } from './data-frames.ts';
import { ERROR_CODE, type H2ErrorCode } from './error-codes.ts';
import { FrameReader, type FrameSink } from './frame-reader.ts';
import { FLAG, FRAME_TYPE } from './frame-types.ts';
import type { FrameWriter } from './frame-writer.ts';
import { HeadCodec } from './head-codec.ts';
import { HeadFrames } from './head-frames.ts';
import { HeadReader } from './known-head.ts';
import { SessionBodies } from './session-bodies.ts';
import { HEAD_SLACK, STREAM_WINDOW_BYTES } from './session-bounds.ts';
import { SETTINGS_ACKNOWLEDGED_MS, type SessionClocks } from './session-clock.ts';
import { SessionLife } from './session-life.ts';
import { SessionOutput } from './session-output.ts';
import { SessionStreams } from './session-streams.ts';
import { SETTING } from './settings.ts';
import { StreamTable } from './stream-table.ts';

export type SessionLimits = AbuseRates & Pick<ConnectionLimits, 'headBytesMax' | 'streamsMax'>;

/** A compressed head may exceed the decoded limit by this: it is still decoded, so that the request gets an answer. */
const BLOCK_BYTES_SPARE = 128 * 1024;

export class Session implements FrameSink {
  readonly socket: Socket;
  readonly #limits: SessionLimits;
  readonly #table = new StreamTable();
  readonly #output: SessionOutput;
  readonly #bodies: SessionBodies;
  readonly #life: SessionLife;
  readonly #streams: SessionStreams;
  readonly #heads: HeadFrames;
  readonly #data: DataFrames;
  readonly #control: ControlFrames;
  readonly #reader: FrameReader;
  /** The client has ended its side. */
  #inputEnded = false;

  constructor(
    socket: Socket,
    writer: FrameWriter,
    limits: SessionLimits,
    settings: ExchangeSettings,
    lateBodies: StallWatch,
    handle: (exchange: Exchange) => void,
  ) {
    const info = describeConnection(socket);
    const listBytesMax = limits.headBytesMax * HEAD_SLACK;
    const abuse = new AbuseLimits(limits);
    const output = new SessionOutput(socket, writer, abuse);
    const bodies = new SessionBodies(output, this.#table, settings.unreadBodies);
    const report = { logger: settings.logger, peerAddress: info.peerAddress };
    const life = new SessionLife(output, this.#table, bodies, abuse, report);
    const isSecure = socket instanceof TLSSocket;
    const codec = new HeadCodec(listBytesMax, isSecure ? settings.transportSecurity : undefined);
    const streams = new SessionStreams(life, output, bodies, this.#table, codec, info, settings, lateBodies);
    const heads = new HeadReader(info, isSecure ? 'https' : 'http', {
      headBytesMax: limits.headBytesMax,
      bodyBytesMax: settings.bodyBytesMax,
    });
    this.socket = socket;
    this.#limits = limits;
    this.#output = output;
    this.#bodies = bodies;
    this.#life = life;
    this.#streams = streams;
    const blockBytesMax = listBytesMax + BLOCK_BYTES_SPARE;
    this.#heads = new HeadFrames(streams, heads, blockBytesMax, limits.streamsMax, handle);
    this.#data = new DataFrames(streams);
    this.#control = new ControlFrames(streams);
    this.#reader = new FrameReader(this);
  }

  /** Sends the server's settings and begins to read. */
  start(): void {
    const { socket } = this;
    this.#output.settings([
      SETTING.maxConcurrentStreams,
      this.#limits.streamsMax,
      SETTING.initialWindowSize,
      STREAM_WINDOW_BYTES,
      SETTING.maxHeaderListSize,
      this.#limits.headBytesMax * HEAD_SLACK,
      SETTING.noRfc7540Priorities,
      1,
      SETTING.enableConnectProtocol,
      1,
    ]);
    this.#bodies.start();
    readSocket(socket, (bytes) => this.#read(bytes));
    // otherwise Node would end the server's side as soon as the client ends its own
    socket.allowHalfOpen = true;
    socket.on('end', () => this.#endInput());
    socket.on('close', () => this.#life.gone());
  }

  /** Announces the end: requests that are open or on their way are served, then the connection closes. */
  close(): void {
    this.#life.close();
  }

  // ---- deadlines ----

  /** Looks at the deadlines; `now` is a time of performance.now. */
  sweep(now: number, clocks: SessionClocks): void {
    const life = this.#life;
    const { clock } = life;
    const idleTooLong = clock.isIdleTooLong(now, this.#table.hasChanged(), clocks);
    if (life.isEnding) {
      if (clock.isGraceOver(now)) this.socket.destroy();
      return;
    }
    if (clock.sendsTooSlowly(now, this.#output.hasProgressed(), clocks)) {
      this.socket.destroy();
      return;
    }
    if (this.#bodies.isHeldBack) {
      clock.isDeaf(now);
      this.#output.ping(PROBE_PING);
      this.#bodies.sweepHeldBack(now);
    }
    if (this.#inputEnded) {
      this.#output.ping(PROBE_PING);
      this.#streams.cutUnsendable();
      return;
    }
    if (life.isLeaving && clock.isGraceOver(now)) life.finish();
    if (life.isServing && this.#table.openCount === 0 && idleTooLong) life.close();
    this.#sweepReading(now, clocks);
  }

  /** Fails when a frame, a head or the acknowledgement of SETTINGS takes too long. */
  #sweepReading(now: number, clocks: SessionClocks): void {
    const { clock } = this.#life;
    const { framesTotal, isAmidFrame } = this.#reader;
    const { streamId: headOf } = this.#heads;
    const { settingsSeen, settingsAcknowledged } = this.#control;
    const waits = isAmidFrame || headOf !== 0 || !settingsSeen;
    if (clock.readsTooSlowly(now, waits, headOf === 0 ? framesTotal : -headOf, clocks)) {
      const code = settingsSeen ? ERROR_CODE.enhanceYourCalm : ERROR_CODE.settingsTimeout;
      this.#life.fail(code, `a frame or a head took longer than ${clocks.headTimeoutMs} ms`);
    }
    if (!settingsAcknowledged && clock.isSettingsAnswerDue(now))
      this.#life.fail(
        ERROR_CODE.settingsTimeout,
        `settings were not acknowledged within ${SETTINGS_ACKNOWLEDGED_MS} ms`,
      );
  }

  // ---- reading ----

  #read(chunk: Buffer): void {
    if (this.#life.isEnding) return;
    this.#output.hold();
    this.#reader.read(chunk);
    this.#output.flush();
  }

  /** The client has ended its side. Complete requests are answered as far as the windows are open. */
  #endInput(): void {
    this.#inputEnded = true;
    this.#bodies.end();
    for (const stream of [...this.#table.all()]) if (!stream.remoteEnded) this.#streams.cut(stream);
    if (this.#life.isEnding) this.socket.destroy();
    else this.#life.finish();
  }

  // ---- FrameSink ----

  get deaf(): boolean {
    return this.#life.isEnding;
  }

  takeFrame(type: number, flags: number, streamId: number, bytes: Buffer, start: number, end: number): void {
    if (this.#heads.streamId !== 0 && type !== FRAME_TYPE.continuation) {
      this.readFailed(ERROR_CODE.protocolError, HEAD_INTERRUPTED);
      return;
    }
    if (!this.#control.settingsSeen && (type !== FRAME_TYPE.settings || (flags & FLAG.ack) !== 0)) {
      this.readFailed(ERROR_CODE.protocolError, SETTINGS_MISSING);
      return;
    }
    switch (type) {
      case FRAME_TYPE.headers:
        this.#heads.takeHeaders(flags, streamId, bytes, start, end);
        break;
      case FRAME_TYPE.priority:
        this.#control.takePriority(streamId, bytes, start, end);
        break;
      case FRAME_TYPE.rstStream:
        this.#control.takeReset(streamId, end - start);
        break;
      case FRAME_TYPE.settings:
        this.#control.takeSettings(flags, streamId, bytes, start, end);
        break;
      case FRAME_TYPE.pushPromise:
        this.readFailed(ERROR_CODE.protocolError, 'clients do not push');
        break;
      case FRAME_TYPE.ping:
        this.#control.takePing(flags, streamId, bytes, start, end);
        break;
      case FRAME_TYPE.goaway:
        this.#control.takeGoAway(streamId, end - start);
        break;
      case FRAME_TYPE.windowUpdate:
        this.#control.takeWindowUpdate(streamId, bytes, start, end);
        break;
      case FRAME_TYPE.continuation:
        this.#heads.takeContinuation(flags, streamId, bytes, start, end);
        break;
      case FRAME_TYPE.priorityUpdate:
        this.#control.takePriorityUpdate(streamId, bytes, start, end);
        break;
    }
  }

  skipFrame(): void {
    if (this.#mayCome()) this.#life.countControlFrame();
  }

  beginData(streamId: number, flags: number, length: number): void {
    if (this.#mayCome()) this.#data.begin(streamId, flags, length);
    else this.#data.skip();
  }

  takeData(bytes: Buffer, start: number, end: number): void {
    this.#data.take(bytes, start, end);
  }

  endData(_streamId: number, flags: number, paddingBytes: number): void {
    this.#data.end(flags, paddingBytes);
  }

  /** The connection cannot be read any further. */
  readFailed(code: H2ErrorCode, reason: string): void {
    this.#life.fail(code, reason);
  }

  /** True when a frame that is neither SETTINGS nor CONTINUATION may come now; otherwise the connection fails. */
  #mayCome(): boolean {
    if (this.#heads.streamId === 0 && this.#control.settingsSeen) return true;
    const reason = this.#control.settingsSeen ? HEAD_INTERRUPTED : SETTINGS_MISSING;
    this.readFailed(ERROR_CODE.protocolError, reason);
    return false;
  }
}

const HEAD_INTERRUPTED = 'a head is interrupted by another frame';
const SETTINGS_MISSING = 'the first frame is not SETTINGS';
/** The system of a client that has gone answers with a TCP reset; a client that still reads answers PING. */
const PROBE_PING: Buffer = Buffer.from('patience', 'latin1');
