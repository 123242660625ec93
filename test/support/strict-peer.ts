/** A strict HTTP/2 client for conformance tests: sends any bytes, checks everything it receives, and waits with deadlines. */
import { deepStrictEqual, ok, strictEqual } from 'node:assert/strict';
import type { Duplex } from 'node:stream';
import { FrameChecker, type SeenFrame } from './frame-checker.ts';
import {
  CODE,
  dataFrame,
  END_BOTH,
  type Field,
  frame,
  headersFrame,
  PREFACE,
  pingFrame,
  requestFields,
  SETTING,
  settingsFrame,
  WINDOW_BYTES_MAX,
} from './h2-bytes.ts';
import { FLAG, FRAME } from './wire-client.ts';

/** Longest wait of a rule, sufficient on a busy machine. */
const WAIT_MAX_MS = 60_000;
const FRAME_HEADER_BYTES = 9;

export interface PeerResponse {
  readonly status: number;
  readonly fields: ReadonlyMap<string, string>;
  readonly body: string;
  readonly trailers: ReadonlyMap<string, string> | undefined;
  readonly informational: readonly number[];
}

export class StrictPeer {
  readonly socket: Duplex;
  readonly checker: FrameChecker = new FrameChecker();
  /** Every received frame, in order. */
  readonly frames: SeenFrame[] = [];
  #received: Buffer = Buffer.alloc(0);
  #closed = false;
  #wake: (() => void) | undefined;
  #pings = 0;
  /** False: the client does not acknowledge settings. */
  #acknowledges = true;

  constructor(socket: Duplex) {
    this.socket = socket;
    socket.on('data', (chunk: Buffer) => this.#take(chunk));
    socket.on('error', () => undefined);
    const close = (): void => {
      this.#closed = true;
      this.#wake?.();
    };
    socket.on('close', close);
    socket.on('end', close);
  }

  get closed(): boolean {
    return this.#closed;
  }

  // ---- sending ----

  /** Sends bytes unchanged, in one write. Notes the streams and windows they open, to check the answers. */
  send(...parts: readonly Uint8Array[]): void {
    const bytes = Buffer.concat(parts);
    this.#note(bytes);
    if (!this.socket.writableEnded && !this.socket.destroyed) this.socket.write(bytes);
  }

  /** Sends bytes that are no frames. */
  raw(bytes: Uint8Array | string): void {
    this.socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes);
  }

  /** Sends preface and settings. */
  start(...settings: readonly (readonly [number, number])[]): void {
    this.raw(PREFACE);
    this.send(settingsFrame(...settings));
  }

  keepSettingsUnacknowledged(): void {
    this.#acknowledges = false;
  }

  /** Sends a whole request without a body. */
  get(stream: number, path = '/hello', extra: readonly Field[] = []): void {
    this.send(headersFrame(stream, requestFields(path, extra)));
  }

  /** Sends the head of a request whose body follows. */
  post(stream: number, path = '/echo', extra: readonly Field[] = []): void {
    this.send(headersFrame(stream, requestFields(path, extra, 'POST'), FLAG.endHeaders));
  }

  data(stream: number, content: string | Uint8Array, last = false): void {
    this.send(dataFrame(stream, content, last ? FLAG.endStream : 0));
  }

  // ---- waiting ----

  /** Resolves with the first matching frame from index `from` on, received already or later. */
  async frame(matches: (frame: SeenFrame) => boolean, what: string, from = 0): Promise<SeenFrame> {
    let found: SeenFrame | undefined;
    await this.until(() => {
      found = this.frames.slice(from).find(matches);
      return found !== undefined;
    }, what);
    return found as SeenFrame;
  }

  async until(holds: () => boolean, what: string): Promise<void> {
    const limit = performance.now() + WAIT_MAX_MS;
    while (!holds()) {
      if (this.#closed || performance.now() > limit) throw new Error(`Expected ${what}, but ${this}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, limit - performance.now());
        this.#wake = () => {
          clearTimeout(timer);
          this.#wake = undefined;
          resolve();
        };
      });
    }
  }

  /** Resolves when the server has processed everything sent before and its answers have arrived. */
  async settled(): Promise<void> {
    for (let round = 0; round < 2; round++) {
      this.#pings += 1;
      const payload = `settle${String(this.#pings).padStart(2, '0')}`;
      this.send(pingFrame(payload));
      await this.frame(
        ({ type, flags, payload: answer }) =>
          type === FRAME.ping && (flags & FLAG.ack) !== 0 && answer.toString('latin1') === payload,
        'the answer to a PING',
      );
    }
  }

  // ---- expecting ----

  /** Expects a whole response: it ends with END_STREAM and not with a reset. */
  async expectResponse(stream: number, status = 200): Promise<PeerResponse> {
    const end = await this.frame(
      (seen) => seen.stream === stream && (seen.type === FRAME.rstStream || endsStream(seen, this.frames)),
      `a response on stream ${stream}`,
    );
    if (end.type === FRAME.rstStream) throw new Error(`Expected a response on stream ${stream}, but ${this}`);
    const response = this.#response(stream);
    strictEqual(response.status, status, `status on stream ${stream}; ${this}`);
    return response;
  }

  /** Expects RST_STREAM with one of the codes on a connection that stays open. */
  async expectReset(stream: number, ...codes: readonly number[]): Promise<void> {
    const seen = await this.frame(
      ({ type, stream: own }) => (type === FRAME.rstStream && own === stream) || type === FRAME.goaway,
      `RST_STREAM on stream ${stream}`,
    );
    strictEqual(seen.type, FRAME.rstStream, `RST_STREAM on stream ${stream}; ${this}`);
    this.#expectCode(seen.payload.readUInt32BE(0), codes);
    await this.expectAlive();
  }

  /** Expects GOAWAY with one of the codes, and then the end of the connection. */
  async expectGoaway(...codes: readonly number[]): Promise<void> {
    const seen = await this.frame(({ type }) => type === FRAME.goaway, 'GOAWAY');
    this.#expectCode(seen.payload.readUInt32BE(4), codes);
    await this.expectConnectionClosed();
  }

  /** Expects the end of the connection, with or without GOAWAY. */
  async expectConnectionClosed(...codes: readonly number[]): Promise<void> {
    const limit = performance.now() + WAIT_MAX_MS;
    while (!this.#closed) {
      if (performance.now() > limit) throw new Error(`Expected the end of the connection, but ${this}`);
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    const told = this.frames.find(({ type }) => type === FRAME.goaway);
    if (told !== undefined && codes.length > 0) this.#expectCode(told.payload.readUInt32BE(4), codes);
  }

  /** Expects a stream error, which a server may treat as a connection error (§5.4.1). */
  async expectStreamError(stream: number, ...codes: readonly number[]): Promise<void> {
    const seen = await this.frame(
      ({ type, stream: own }) => (type === FRAME.rstStream && own === stream) || type === FRAME.goaway,
      `a stream error on stream ${stream}`,
    );
    this.#expectCode(seen.payload.readUInt32BE(seen.type === FRAME.goaway ? 4 : 0), codes);
    if (seen.type === FRAME.goaway) await this.expectConnectionClosed();
    else await this.expectAlive();
  }

  /**
   * Expects the reaction to a malformed message: a stream error of type PROTOCOL_ERROR, after an optional answer with 4xx
   * (§8.1.1).
   */
  async expectMalformed(stream: number): Promise<void> {
    const seen = await this.frame(
      (own) =>
        own.type === FRAME.goaway ||
        (own.stream === stream && (own.type === FRAME.rstStream || endsStream(own, this.frames))),
      `an error on stream ${stream}`,
    );
    if (seen.type === FRAME.goaway) return await this.expectGoaway(CODE.protocolError);
    const { status } = this.#response(stream);
    ok(status === 0 || (status >= 400 && status < 500), `status ${status}; ${this}`);
    if (seen.type === FRAME.rstStream) {
      const code = seen.payload.readUInt32BE(0);
      this.#expectCode(code, status === 0 ? [CODE.protocolError] : [CODE.protocolError, CODE.noError]);
    }
    await this.expectAlive();
  }

  /** Expects that the connection answers a PING and has sent no GOAWAY. */
  async expectAlive(): Promise<void> {
    await this.settled();
    deepStrictEqual(
      this.frames.filter(({ type }) => type === FRAME.goaway),
      [],
      String(this),
    );
  }

  /** Expects that the connection still serves: it answers a new request. */
  async expectServes(stream: number): Promise<void> {
    this.get(stream);
    strictEqual((await this.expectResponse(stream)).body, 'hello');
  }

  /** Expects that no frame of the type has arrived on the stream. */
  expectNone(type: number, stream: number): void {
    deepStrictEqual(
      this.frames.filter((seen) => seen.type === type && seen.stream === stream),
      [],
    );
  }

  /** Returns the body bytes of a stream received so far. */
  body(stream: number): Buffer {
    const own = this.frames.filter((seen) => seen.type === FRAME.data && seen.stream === stream);
    return Buffer.concat(own.map(({ payload }) => payload));
  }

  /** Fails with every rule that the server has broken. */
  check(): void {
    deepStrictEqual(this.checker.violations, [], String(this));
  }

  toString(): string {
    const names = Object.keys(FRAME);
    const seen = this.frames.slice(-40).map(({ type, flags, stream, payload }) => {
      const code =
        type === FRAME.rstStream
          ? `=${payload.readUInt32BE(0)}`
          : type === FRAME.goaway
            ? `=${payload.readUInt32BE(4)} ${payload.toString('latin1', 8)}`
            : '';
      return `${names[type] ?? type}/${flags}/${stream}:${payload.length}${code}`;
    });
    return `got ${seen.join(' ') || 'nothing'}${this.#closed ? ' and the end' : ''}`;
  }

  destroy(): void {
    this.socket.destroy();
  }

  #expectCode(code: number, codes: readonly number[]): void {
    ok(codes.includes(code), `error code ${code} instead of ${codes.join(' or ')}; ${this}`);
  }

  #response(stream: number): PeerResponse {
    const heads = this.frames.filter((seen) => seen.stream === stream && seen.type !== FRAME.pushPromise);
    let status = 0;
    let fields: ReadonlyMap<string, string> = new Map();
    let trailers: ReadonlyMap<string, string> | undefined;
    const informational: number[] = [];
    for (const { fields: list } of heads) {
      if (list === undefined) continue;
      const map = new Map(list);
      const code = Number(map.get(':status') ?? 0);
      if (code >= 200) {
        status = code;
        fields = map;
      } else if (code >= 100) informational.push(code);
      else trailers = map;
    }
    return { status, fields, body: this.body(stream).toString('latin1'), trailers, informational };
  }

  /** Informs the checker of the frames in these bytes, which decide what the server may send. */
  #note(bytes: Buffer): void {
    for (let at = 0; at + FRAME_HEADER_BYTES <= bytes.length; ) {
      const length = bytes.readUIntBE(at, 3);
      const type = bytes.readUInt8(at + 3);
      const flags = bytes.readUInt8(at + 4);
      const stream = bytes.readUInt32BE(at + 5) & WINDOW_BYTES_MAX;
      const payload = bytes.subarray(at + FRAME_HEADER_BYTES, at + FRAME_HEADER_BYTES + length);
      at += FRAME_HEADER_BYTES + length;
      // a server resets the stream of a faulty frame as well
      if (stream !== 0) this.checker.opened(stream, payload.includes('\x04HEAD', 0, 'latin1'));
      if (type === FRAME.windowUpdate && payload.length === 4)
        this.checker.gaveWindow(stream, payload.readUInt32BE(0) & WINDOW_BYTES_MAX);
      if (type === FRAME.settings && (flags & FLAG.ack) === 0 && length % 6 === 0) {
        const settings = new Map<number, number>();
        for (let row = 0; row + 6 <= payload.length; row += 6)
          settings.set(payload.readUInt16BE(row), payload.readUInt32BE(row + 2));
        this.checker.sentSettings(settings);
      }
    }
  }

  #take(chunk: Buffer): void {
    this.#received = this.#received.length === 0 ? chunk : Buffer.concat([this.#received, chunk]);
    let at = 0;
    while (this.#received.length - at >= FRAME_HEADER_BYTES) {
      const length = this.#received.readUIntBE(at, 3);
      if (this.#received.length - at < FRAME_HEADER_BYTES + length) break;
      const type = this.#received.readUInt8(at + 3);
      const flags = this.#received.readUInt8(at + 4);
      const stream = this.#received.readUInt32BE(at + 5) & WINDOW_BYTES_MAX;
      const payload = this.#received.subarray(at + FRAME_HEADER_BYTES, at + FRAME_HEADER_BYTES + length);
      at += FRAME_HEADER_BYTES + length;
      this.frames.push(this.checker.take(type, flags, stream, payload));
      if (type === FRAME.settings && (flags & FLAG.ack) === 0 && this.#acknowledges)
        this.send(frame(FRAME.settings, FLAG.ack, 0));
    }
    this.#received = this.#received.subarray(at);
    this.#wake?.();
  }
}

/** The head of a stream with END_STREAM ends the stream when its last CONTINUATION frame has arrived. */
function endsStream(seen: SeenFrame, frames: readonly SeenFrame[]): boolean {
  if (seen.type === FRAME.data) return (seen.flags & FLAG.endStream) !== 0;
  if (seen.fields === undefined) return false;
  if (seen.type === FRAME.headers) return (seen.flags & FLAG.endStream) !== 0;
  if (seen.type !== FRAME.continuation) return false;
  const head = frames.findLast(({ type, stream }) => type === FRAME.headers && stream === seen.stream);
  return head !== undefined && (head.flags & FLAG.endStream) !== 0;
}

/** Returns how many bytes the client may still send on a stream, according to the server's settings and window updates. */
export function sendWindow(peer: StrictPeer, stream: number, sent: number): number {
  const initial = stream === 0 ? 65_535 : (peer.checker.settings.get(SETTING.initialWindowSize) ?? 65_535);
  let window = initial - sent;
  for (const seen of peer.frames)
    if (seen.type === FRAME.windowUpdate && seen.stream === stream)
      window += seen.payload.readUInt32BE(0) & WINDOW_BYTES_MAX;
  return window;
}

/** Makes the frames of a whole request with a body, as one piece. */
export function wholePost(stream: number, path: string, body: string, extra: readonly Field[] = []): Buffer {
  return Buffer.concat([
    headersFrame(stream, requestFields(path, extra, 'POST'), END_BOTH & ~FLAG.endStream),
    dataFrame(stream, body, FLAG.endStream),
  ]);
}
