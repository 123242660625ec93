/** Checks what a server sends on one HTTP/2 connection, and notes every rule of RFC 9113 that the server breaks. */
import hpack, { type Decompressor } from 'hpack.js';
import {
  CODE,
  DEFAULT_FRAME_BYTES_MAX,
  DEFAULT_WINDOW_BYTES,
  SETTING,
  WINDOW_BYTES_MAX,
} from './h2-bytes.ts';
import { FLAG, FRAME } from './wire-client.ts';

export interface SeenFrame {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  /** The payload without padding and priority. */
  readonly payload: Buffer;
  /** Fields of a HEADERS or PUSH_PROMISE frame whose field block ends with this frame. */
  readonly fields: readonly (readonly [string, string])[] | undefined;
}

interface CheckedStream {
  /** The server has sent END_STREAM or RST_STREAM. */
  ended: boolean;
  reset: boolean;
  /** The server has sent a final head. */
  headed: boolean;
  window: number;
  received: number;
  length: number | undefined;
  bodyless: boolean;
}

const TABLE_BYTES = 4096;
const CONNECTION_FIELDS = [
  'connection',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
  'upgrade',
  'te',
];
/** Payload lengths that the RFC fixes, in octets, by frame type. */
const FIXED_LENGTHS: Readonly<Record<number, number>> = {
  [FRAME.priority]: 5,
  [FRAME.rstStream]: 4,
  [FRAME.ping]: 8,
  [FRAME.windowUpdate]: 4,
};
const ON_CONNECTION: ReadonlySet<number> = new Set([FRAME.settings, FRAME.ping, FRAME.goaway]);
const ON_STREAM: ReadonlySet<number> = new Set([
  FRAME.data,
  FRAME.headers,
  FRAME.priority,
  FRAME.rstStream,
  FRAME.pushPromise,
  FRAME.continuation,
]);

export class FrameChecker {
  readonly violations: string[] = [];
  /** The settings that the server has sent. */
  readonly settings: Map<number, number> = new Map();
  /** SETTINGS frames of the client that the server has not acknowledged yet. */
  readonly #unacknowledged: ReadonlyMap<number, number>[] = [];
  readonly #decompressor: Decompressor;
  readonly #streams = new Map<number, CheckedStream>();
  #frames = 0;
  #window = DEFAULT_WINDOW_BYTES;
  #initialWindow = DEFAULT_WINDOW_BYTES;
  #frameBytesMax = DEFAULT_FRAME_BYTES_MAX;
  #pushAllowed = true;
  #highestPromise = 0;
  #lastGoaway = WINDOW_BYTES_MAX;
  #fragments: Buffer[] = [];
  /** Stream and flags of the HEADERS frame whose field block is incomplete; stream 0: there is none. */
  #blockStream = 0;
  #blockFlags = 0;
  #blockPromised = 0;

  constructor(tableBytes: number = TABLE_BYTES) {
    this.#decompressor = hpack.decompressor.create({ table: { maxSize: tableBytes } });
    this.#decompressor.on('error', (error: Error) => this.#broken(`field block: ${error.message}`));
  }

  /** Notes that the client opens a stream. */
  opened(stream: number, bodyless = false): void {
    if (this.#streams.has(stream)) return;
    this.#streams.set(stream, this.#newStream(bodyless));
  }
  sentSettings(settings: ReadonlyMap<number, number>): void {
    this.#unacknowledged.push(settings);
  }
  gaveWindow(stream: number, bytes: number): void {
    if (stream === 0) this.#window += bytes;
    else {
      const state = this.#streams.get(stream);
      if (state !== undefined) state.window += bytes;
    }
  }

  /** Checks a frame and parses it. */
  take(type: number, flags: number, stream: number, payload: Buffer): SeenFrame {
    this.#frames += 1;
    const name = `frame ${this.#frames} (type ${type}, flags ${flags}, stream ${stream}, ${payload.length} bytes)`;
    if (this.#frames === 1 && (type !== FRAME.settings || (flags & FLAG.ack) !== 0))
      this.#broken(`${name}: the first frame is SETTINGS (§3.4)`);
    if (payload.length > this.#frameBytesMax)
      this.#broken(`${name}: larger than SETTINGS_MAX_FRAME_SIZE (§4.2)`);
    if (this.#blockStream !== 0 && (type !== FRAME.continuation || stream !== this.#blockStream))
      this.#broken(`${name}: a field block is interrupted (§4.3)`);
    const length = FIXED_LENGTHS[type];
    if (length !== undefined && payload.length !== length) this.#broken(`${name}: wrong length (§6)`);
    if (ON_CONNECTION.has(type) && stream !== 0) this.#broken(`${name}: belongs to stream 0 (§6)`);
    if (ON_STREAM.has(type) && stream === 0) this.#broken(`${name}: belongs to a stream (§6)`);
    if (stream !== 0 && !tellsClosed(type, payload)) this.#checkState(type, stream, name);
    let content = payload;
    let fields: SeenFrame['fields'];
    if (type === FRAME.data) content = this.#data(flags, stream, payload, name);
    else if (type === FRAME.headers || type === FRAME.pushPromise || type === FRAME.continuation)
      fields = this.#block(type, flags, stream, payload, name);
    else if (type === FRAME.rstStream) this.#ended(stream, true);
    else if (type === FRAME.settings) this.#settings(flags, payload, name);
    else if (type === FRAME.goaway) this.#goaway(payload, name);
    else if (type === FRAME.windowUpdate && (payload.readUInt32BE() & WINDOW_BYTES_MAX) === 0)
      this.#broken(`${name}: an increment of 0 (§6.9)`);
    return { type, flags, stream, payload: content, fields };
  }

  #checkState(type: number, stream: number, name: string): void {
    const state = this.#streams.get(stream);
    if (state === undefined) {
      if (type !== FRAME.priority) this.#broken(`${name}: the stream is idle (§5.1)`);
      return;
    }
    if (state.reset) {
      if (type !== FRAME.priority) this.#broken(`${name}: after RST_STREAM (§5.1)`);
    } else if (
      state.ended &&
      type !== FRAME.priority &&
      type !== FRAME.windowUpdate &&
      type !== FRAME.rstStream
    )
      this.#broken(`${name}: after END_STREAM (§5.1)`);
  }

  #data(flags: number, stream: number, payload: Buffer, name: string): Buffer {
    const state = this.#streams.get(stream);
    let content = payload;
    if ((flags & FLAG.padded) !== 0) {
      const pad = payload[0] ?? 0;
      if (pad >= payload.length) this.#broken(`${name}: too much padding (§6.1)`);
      content = payload.subarray(1, payload.length - pad);
    }
    this.#window -= payload.length;
    if (this.#window < 0) this.#broken(`${name}: the connection's window is passed (§6.9)`);
    if (state === undefined) return content;
    state.window -= payload.length;
    state.received += content.length;
    if (payload.length > 0 && state.window < 0) this.#broken(`${name}: the stream's window is passed (§6.9)`);
    if (!state.headed) this.#broken(`${name}: before the head (§8.1)`);
    if (state.bodyless && content.length > 0) this.#broken(`${name}: an answer without content (§8.1)`);
    if ((flags & FLAG.endStream) !== 0) this.#ended(stream, false);
    return content;
  }

  #block(type: number, flags: number, stream: number, payload: Buffer, name: string): SeenFrame['fields'] {
    let content = payload;
    if (type === FRAME.continuation) {
      if (this.#blockStream === 0) this.#broken(`${name}: continues nothing (§6.10)`);
    } else {
      if ((flags & FLAG.padded) !== 0) content = content.subarray(1, content.length - (content[0] ?? 0));
      if (type === FRAME.headers && (flags & 0x20) !== 0) content = content.subarray(5);
      this.#blockPromised = 0;
      if (type === FRAME.pushPromise) {
        this.#promised(content.readUInt32BE() & WINDOW_BYTES_MAX, name);
        content = content.subarray(4);
      }
      this.#fragments = [];
      this.#blockStream = stream;
      this.#blockFlags = flags;
    }
    this.#fragments.push(content);
    if ((flags & FLAG.endHeaders) === 0) return undefined;
    const fields = this.#decode();
    this.#blockStream = 0;
    if (this.#blockPromised === 0) this.#checkHead(fields, stream, name);
    return fields;
  }

  #decode(): (readonly [string, string])[] {
    this.#decompressor.write(Buffer.concat(this.#fragments));
    this.#decompressor.execute();
    const fields: (readonly [string, string])[] = [];
    for (let field = this.#decompressor.read(); field !== null; field = this.#decompressor.read())
      fields.push([field.name, field.value]);
    return fields;
  }

  #checkHead(fields: readonly (readonly [string, string])[], stream: number, name: string): void {
    const state = this.#streams.get(stream);
    const ends = (this.#blockFlags & FLAG.endStream) !== 0;
    const pseudo = fields.filter(([field]) => field.startsWith(':'));
    for (const [field] of fields) {
      if (field !== field.toLowerCase()) this.#broken(`${name}: "${field}" is not lower case (§8.2)`);
      if (CONNECTION_FIELDS.includes(field)) this.#broken(`${name}: "${field}" (§8.2.2)`);
    }
    if (state?.headed === true) {
      if (pseudo.length > 0) this.#broken(`${name}: pseudo-header fields in trailers (§8.1)`);
      if (!ends) this.#broken(`${name}: trailers without END_STREAM (§8.1)`);
    } else {
      if (pseudo.length !== 1 || fields[0]?.[0] !== ':status')
        this.#broken(`${name}: one :status comes first (§8.3.2)`);
      const status = Number(fields[0]?.[1]);
      if (!(status >= 100 && status <= 599) || status === 101)
        this.#broken(`${name}: status ${status} (§8.6)`);
      if (status < 200 && ends) this.#broken(`${name}: an informational head ends the stream (§8.1)`);
      if (status >= 200 && state !== undefined) {
        state.headed = true;
        if (status === 204 || status === 304) state.bodyless = true;
        const length = fields.find(([field]) => field === 'content-length')?.[1];
        if (length !== undefined && !state.bodyless) state.length = Number(length);
      }
    }
    if (ends) this.#ended(stream, false);
  }

  #promised(promise: number, name: string): void {
    if (!this.#pushAllowed) this.#broken(`${name}: push is disabled (§8.4)`);
    if (promise === 0 || promise % 2 === 1 || promise <= this.#highestPromise)
      this.#broken(`${name}: promises stream ${promise} (§5.1.1)`);
    this.#highestPromise = promise;
    this.#blockPromised = promise;
    this.#streams.set(promise, this.#newStream(false));
  }

  #settings(flags: number, payload: Buffer, name: string): void {
    if ((flags & FLAG.ack) !== 0) {
      if (payload.length !== 0) this.#broken(`${name}: an acknowledgement is empty (§6.5)`);
      const settings = this.#unacknowledged.shift();
      if (settings === undefined) this.#broken(`${name}: acknowledges nothing (§6.5.3)`);
      else this.#apply(settings);
      return;
    }
    if (payload.length % 6 !== 0) this.#broken(`${name}: wrong length (§6.5)`);
    for (let at = 0; at + 6 <= payload.length; at += 6) {
      const identifier = payload.readUInt16BE(at);
      const value = payload.readUInt32BE(at + 2);
      this.settings.set(identifier, value);
      if (identifier === SETTING.enablePush && value !== 0) this.#broken(`${name}: ENABLE_PUSH (§6.5.2)`);
      if (identifier === SETTING.initialWindowSize && value > WINDOW_BYTES_MAX)
        this.#broken(`${name}: INITIAL_WINDOW_SIZE ${value} (§6.5.2)`);
      if (identifier === SETTING.maxFrameSize && (value < DEFAULT_FRAME_BYTES_MAX || value > 0xffffff))
        this.#broken(`${name}: MAX_FRAME_SIZE ${value} (§6.5.2)`);
    }
  }

  #apply(settings: ReadonlyMap<number, number>): void {
    this.#frameBytesMax = settings.get(SETTING.maxFrameSize) ?? this.#frameBytesMax;
    const push = settings.get(SETTING.enablePush);
    if (push !== undefined) this.#pushAllowed = push === 1;
    const initial = settings.get(SETTING.initialWindowSize);
    if (initial === undefined) return;
    for (const state of this.#streams.values()) state.window += initial - this.#initialWindow;
    this.#initialWindow = initial;
  }

  #goaway(payload: Buffer, name: string): void {
    const last = payload.length < 8 ? 0 : payload.readUInt32BE() & WINDOW_BYTES_MAX;
    if (payload.length < 8) this.#broken(`${name}: wrong length (§6.8)`);
    if (last > this.#lastGoaway) this.#broken(`${name}: the last stream grows (§6.8)`);
    this.#lastGoaway = last;
  }

  #ended(stream: number, reset: boolean): void {
    const state = this.#streams.get(stream);
    if (state === undefined) return;
    state.ended = true;
    if (reset) state.reset = true;
    else if (state.length !== undefined && !state.bodyless && state.received !== state.length)
      this.#broken(`stream ${stream}: ${state.received} bytes of content-length ${state.length} (§8.1.1)`);
  }

  #newStream(bodyless: boolean): CheckedStream {
    const window = this.#initialWindow;
    return { ended: false, reset: false, headed: false, window, received: 0, length: undefined, bodyless };
  }

  #broken(what: string): void {
    this.violations.push(what);
  }
}

/**
 * True for RST_STREAM with STREAM_CLOSED. A server answers a frame on a closed stream with it, so this frame may follow the end
 * of a stream.
 */
function tellsClosed(type: number, payload: Buffer): boolean {
  return type === FRAME.rstStream && payload.length === 4 && payload.readUInt32BE() === CODE.streamClosed;
}
