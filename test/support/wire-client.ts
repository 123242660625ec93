/** An HTTP/2 client that shows every frame: a TLS socket, frames made in the test, field blocks by hpack.js. */
import type { Socket } from 'node:net';
import hpack, { type Compressor, type Decompressor } from 'hpack.js';

export const FRAME = {
  data: 0,
  headers: 1,
  priority: 2,
  rstStream: 3,
  settings: 4,
  pushPromise: 5,
  ping: 6,
  goaway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const;

export const FLAG = { endStream: 1, ack: 1, endHeaders: 4, padded: 8 } as const;

const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';
const HEADER_BYTES = 9;
const WAIT_MAX_MS = 60_000;
const TABLE_BYTES = 4096;

export type Head = readonly (readonly [name: string, value: string])[];

export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly payload: Buffer;
  /** The decoded head of a HEADERS or PUSH_PROMISE frame that contains a whole field block. */
  readonly head: ReadonlyMap<string, string> | undefined;
}

export class WireClient {
  readonly socket: Socket;
  /** Every received frame, in order. */
  readonly frames: Frame[] = [];
  readonly #compressor: Compressor = hpack.compressor.create({ table: { maxSize: TABLE_BYTES } });
  readonly #decompressor: Decompressor = hpack.decompressor.create({ table: { maxSize: TABLE_BYTES } });
  #received: Buffer = Buffer.alloc(0);
  #block: Buffer = Buffer.alloc(0);
  #closed = false;
  #wake: (() => void) | undefined;

  /** The socket has negotiated h2. Sends preface and settings (identifier and value). */
  constructor(socket: Socket, settings: Readonly<Record<number, number>> = {}) {
    this.socket = socket;
    socket.on('data', (chunk: Buffer) => this.#take(chunk));
    socket.on('close', () => {
      this.#closed = true;
      this.#wake?.();
    });
    const rows = Object.entries(settings).map(([identifier, value]) => {
      const row = Buffer.alloc(6);
      row.writeUInt16BE(Number(identifier), 0);
      row.writeUInt32BE(value, 2);
      return row;
    });
    socket.write(PREFACE, 'latin1');
    this.send(FRAME.settings, 0, 0, Buffer.concat(rows));
  }

  get closed(): boolean {
    return this.#closed;
  }

  send(type: number, flags: number, stream: number, payload: Uint8Array = Buffer.alloc(0)): void {
    const header = Buffer.alloc(HEADER_BYTES);
    header.writeUIntBE(payload.length, 0, 3);
    header.writeUInt8(type, 3);
    header.writeUInt8(flags, 4);
    header.writeUInt32BE(stream, 5);
    this.socket.write(Buffer.concat([header, payload]));
  }

  /** Encodes the field block of a head. Blocks have to be sent in the order in which they were encoded. */
  encode(head: Head): Buffer {
    this.#compressor.write(head.map(([name, value]) => ({ name, value })));
    const parts: Buffer[] = [];
    for (let part = this.#compressor.read(); part !== null; part = this.#compressor.read()) parts.push(part);
    return Buffer.concat(parts);
  }

  /** Sends a request head, with END_STREAM unless `open`. `pieces` > 1 divides it into CONTINUATION frames. */
  request(stream: number, path: string, options: RequestOptions = {}): void {
    const { method = 'GET', fields = [], open = false, pieces = 1 } = options;
    const block = this.encode([
      [':method', method],
      [':scheme', 'https'],
      [':authority', 'localhost'],
      [':path', path],
      ...fields,
    ]);
    const size = Math.ceil(block.length / pieces);
    for (let at = 0; at < block.length; at += size) {
      const last = at + size >= block.length ? FLAG.endHeaders : 0;
      const piece = block.subarray(at, at + size);
      if (at === 0) this.send(FRAME.headers, last | (open ? 0 : FLAG.endStream), stream, piece);
      else this.send(FRAME.continuation, last, stream, piece);
    }
  }

  data(stream: number, bytes: Uint8Array | string, last = false): void {
    this.send(FRAME.data, last ? FLAG.endStream : 0, stream, Buffer.from(bytes as string, 'latin1'));
  }

  windowUpdate(stream: number, bytes: number): void {
    const payload = Buffer.alloc(4);
    payload.writeUInt32BE(bytes);
    this.send(FRAME.windowUpdate, 0, stream, payload);
  }

  reset(stream: number, code: number): void {
    const payload = Buffer.alloc(4);
    payload.writeUInt32BE(code);
    this.send(FRAME.rstStream, 0, stream, payload);
  }

  /** Resolves with the first frame for which `matches` returns true, received already or later. */
  async frame(matches: (frame: Frame) => boolean, what: string): Promise<Frame> {
    const limit = performance.now() + WAIT_MAX_MS;
    for (;;) {
      const found = this.frames.find(matches);
      if (found !== undefined) return found;
      if (this.#closed || performance.now() > limit) throw new Error(`Waited in vain for ${what}: ${this}`);
      await this.#nextFrames(limit);
    }
  }

  /** Waits until the gateway has ended the stream and returns its status, body and reset code. */
  async response(stream: number): Promise<{ status: number; body: Buffer; resetCode: number | undefined }> {
    const ended = (frame: Frame): boolean =>
      frame.stream === stream &&
      (frame.type === FRAME.rstStream ||
        ((frame.type === FRAME.data || frame.type === FRAME.headers) &&
          (frame.flags & FLAG.endStream) !== 0));
    const end = await this.frame(ended, `the end of stream ${stream}`);
    const own = this.frames.filter((frame) => frame.stream === stream);
    const heads = own.filter((frame) => frame.type === FRAME.headers && frame.head?.has(':status') === true);
    return {
      status: Number(heads.at(-1)?.head?.get(':status') ?? 0),
      body: this.body(stream),
      resetCode: end.type === FRAME.rstStream ? end.payload.readUInt32BE() : undefined,
    };
  }

  /** Returns the body bytes of a stream received so far. */
  body(stream: number): Buffer {
    return Buffer.concat(
      this.frames
        .filter((frame) => frame.type === FRAME.data && frame.stream === stream)
        .map((frame) => frame.payload),
    );
  }

  /** Sends a PING and waits for its answer. Everything the gateway sent before has then arrived. */
  async ping(payload: Buffer = Buffer.from('settled!')): Promise<Buffer> {
    const before = this.frames.length;
    this.send(FRAME.ping, 0, 0, payload);
    const isAnswer = (frame: Frame): boolean =>
      frame.type === FRAME.ping && (frame.flags & FLAG.ack) !== 0 && this.frames.indexOf(frame) >= before;
    return (await this.frame(isAnswer, 'the answer to a PING')).payload;
  }

  toString(): string {
    return this.frames
      .slice(-50)
      .map(({ type, flags, stream, payload }) => `${type}/${flags}/${stream}:${payload.length}`)
      .join(' ');
  }

  destroy(): void {
    this.socket.destroy();
  }

  #nextFrames(limit: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, limit - performance.now());
      this.#wake = () => {
        clearTimeout(timer);
        this.#wake = undefined;
        resolve();
      };
    });
  }

  #take(chunk: Buffer): void {
    this.#received = Buffer.concat([this.#received, chunk]);
    while (this.#received.length >= HEADER_BYTES) {
      const length = this.#received.readUIntBE(0, 3);
      if (this.#received.length < HEADER_BYTES + length) break;
      const type = this.#received.readUInt8(3);
      const flags = this.#received.readUInt8(4);
      const stream = this.#received.readUInt32BE(5) & 0x7fffffff;
      const payload = Buffer.from(this.#received.subarray(HEADER_BYTES, HEADER_BYTES + length));
      this.#received = this.#received.subarray(HEADER_BYTES + length);
      this.frames.push({ type, flags, stream, payload, head: this.#readHead(type, flags, payload) });
      if (type === FRAME.settings && (flags & FLAG.ack) === 0) this.send(FRAME.settings, FLAG.ack, 0);
    }
    this.#wake?.();
  }

  /** One decompressor reads the field blocks of all streams in order (RFC 7541 §2.2). */
  #readHead(type: number, flags: number, payload: Buffer): ReadonlyMap<string, string> | undefined {
    if (type !== FRAME.headers && type !== FRAME.pushPromise && type !== FRAME.continuation) return undefined;
    let block = type === FRAME.pushPromise ? payload.subarray(4) : payload;
    if (type === FRAME.headers && (flags & 0x20) !== 0) block = block.subarray(5);
    this.#block = Buffer.concat([this.#block, block]);
    if ((flags & FLAG.endHeaders) === 0) return undefined;
    this.#decompressor.write(this.#block);
    this.#block = Buffer.alloc(0);
    this.#decompressor.execute();
    const head = new Map<string, string>();
    for (let field = this.#decompressor.read(); field !== null; field = this.#decompressor.read())
      head.set(field.name, field.value);
    return head;
  }
}

export interface RequestOptions {
  readonly method?: string;
  readonly fields?: Head;
  /** True: a body follows. */
  readonly open?: boolean;
  /** Number of frames into which the head is divided. */
  readonly pieces?: number;
}
