/** What a connection sends: frames into the shared writer, pieces to the socket, and DATA by turns while it has room. */
import type { Socket } from 'node:net';
import type { AbuseLimits } from './abuse-limits.ts';
import {
  FLAG,
  FRAME_HEAD_BYTES,
  FRAME_PAYLOAD_BYTES_MAX,
  FRAME_TYPE,
  INITIAL_WINDOW_BYTES,
} from './frame-types.ts';
import type { FrameOwner, FrameWriter } from './frame-writer.ts';
import { type Scheduled, SendScheduler } from './send-scheduler.ts';

/** Bytes that may wait in the socket before no more DATA is sent: two pieces, one on its way and one behind it. */
const SOCKET_BYTES_MAX = 256 * 1024;
/** With this much waiting (heads and answers to PING are never held back) nothing more is read either. */
const READ_PAUSE_BYTES = 512 * 1024;

/** A stream with something to send. */
interface Sender extends Scheduled {
  /** Sends one frame of what waits. */
  sendTurn(): void;
}

export class SessionOutput implements FrameOwner {
  readonly socket: Socket;
  readonly #writer: FrameWriter;
  readonly #abuse: AbuseLimits;
  readonly scheduler: SendScheduler<Sender> = new SendScheduler<Sender>();
  /** What the client takes on all streams together. */
  sendWindow: number = INITIAL_WINDOW_BYTES;
  /** The socket has enough for now. */
  #full = false;
  /** Nothing is read: too much waits to be sent, or the session wants it so. */
  #paused = false;
  #readingHeld = false;
  /** A flush will come. */
  #due = false;
  #ended = false;
  /** Bytes have gone out, or nothing waits, since `hasProgressed` was last asked. */
  #progressed = true;

  constructor(socket: Socket, writer: FrameWriter, abuse: AbuseLimits) {
    this.socket = socket;
    this.#writer = writer;
    this.#abuse = abuse;
    socket.on('drain', () => this.#drained());
  }

  /** True when DATA can go out at once: the socket has room, and nobody else waits for a turn. */
  get takesData(): boolean {
    return !this.#full && this.scheduler.isEmpty;
  }

  /** What is written from now on leaves with the next `flush` of the caller. */
  hold(): void {
    this.#due = true;
  }

  flushLater(): void {
    if (this.#due) return;
    this.#due = true;
    process.nextTick(flush, this);
  }

  /** Lets streams have their turns, and sends everything. */
  flush(): void {
    while (!this.#full && this.sendWindow > 0) {
      const stream = this.scheduler.next();
      if (stream === undefined) break;
      stream.sendTurn();
    }
    this.#writer.flush(this);
    this.#due = false;
  }

  /** Ends our side behind what has been written. */
  end(): void {
    this.flush();
    if (this.#ended) return;
    this.#ended = true;
    this.socket.end();
  }

  /** Whether the session wants nothing to be read. */
  holdReading(held: boolean): void {
    this.#readingHeld = held;
    if (held) this.socket.pause();
    else if (!this.#paused && !this.socket.destroyed) this.socket.resume();
  }

  /** The socket is gone. */
  drop(): void {
    this.#ended = true;
    this.#writer.drop(this);
  }

  /** False when bytes have waited in the socket since the last call, and none has gone out. */
  hasProgressed(): boolean {
    const progressed = this.#progressed || this.socket.writableLength === 0;
    this.#progressed = false;
    return progressed;
  }

  // ---- frames ----

  resetStream(streamId: number, code: number): void {
    this.#writer.resetStream(this, streamId, code);
  }

  windowUpdate(streamId: number, increment: number): void {
    this.#writer.windowUpdate(this, streamId, increment);
  }

  settings(settings: readonly number[]): void {
    this.#writer.settings(this, 0, settings);
  }

  acknowledgeSettings(): void {
    this.#writer.settings(this, FLAG.ack, []);
  }

  ping(payload: Uint8Array): void {
    this.#writer.ping(this, 0, payload, 0);
  }

  acknowledgePing(bytes: Buffer, start: number): void {
    this.#writer.ping(this, FLAG.ack, bytes, start);
  }

  goAway(lastStreamId: number, code: number, reason: string): void {
    this.#writer.goAway(this, lastStreamId, code, reason);
  }

  /** HEADERS with the block in `block[0, size)`, and CONTINUATION where one frame is too small. */
  headers(streamId: number, block: Uint8Array, size: number, endStream: boolean): void {
    const writer = this.#writer;
    const flags = endStream ? FLAG.endStream : 0;
    if (size > FRAME_PAYLOAD_BYTES_MAX) {
      this.#longBlock(FRAME_TYPE.headers, flags, streamId, block, size, 0);
      return;
    }
    writer.claim(this, FRAME_HEAD_BYTES + size);
    writer.head(size, FRAME_TYPE.headers, flags | FLAG.endHeaders, streamId);
    writer.copy(block, 0, size);
  }

  pushPromise(parentId: number, promisedId: number, block: Uint8Array, size: number): void {
    this.#longBlock(FRAME_TYPE.pushPromise, 0, parentId, block, size, promisedId);
  }

  /** DATA of at most FRAME_PAYLOAD_BYTES_MAX bytes; the windows have been looked at. */
  data(streamId: number, chunk: Uint8Array, start: number, end: number, endStream: boolean): void {
    const size = end - start;
    const writer = this.#writer;
    writer.claim(this, FRAME_HEAD_BYTES + size);
    writer.head(size, FRAME_TYPE.data, endStream ? FLAG.endStream : 0, streamId);
    writer.copy(chunk, start, end);
    this.sendWindow -= size;
    this.#abuse.dataSent();
  }

  /** The same for a byte string. */
  dataText(streamId: number, text: string, endStream: boolean): void {
    const size = text.length;
    const writer = this.#writer;
    writer.claim(this, FRAME_HEAD_BYTES + size);
    writer.head(size, FRAME_TYPE.data, endStream ? FLAG.endStream : 0, streamId);
    writer.text(text);
    this.sendWindow -= size;
    this.#abuse.dataSent();
  }

  // ---- inside ----

  sendPiece(piece: Buffer, lent: Buffer | undefined): void {
    const { socket } = this;
    if (this.#ended || socket.destroyed) {
      if (lent !== undefined) this.#writer.recycle(lent);
      return;
    }
    if (lent === undefined) socket.write(piece);
    else {
      socket.write(piece, (error) => {
        // after an error the system may still have it
        if (!error) this.#writer.recycle(lent);
        this.#sent();
      });
    }
    const waiting = socket.writableLength;
    if (waiting >= SOCKET_BYTES_MAX) this.#full = true;
    if (waiting >= READ_PAUSE_BYTES && !this.#paused) {
      this.#paused = true;
      socket.pause();
    }
  }

  #longBlock(
    type: number,
    flags: number,
    streamId: number,
    block: Uint8Array,
    size: number,
    promisedId: number,
  ): void {
    const writer = this.#writer;
    let frameType = type;
    let before = type === FRAME_TYPE.pushPromise ? 4 : 0;
    let at = 0;
    do {
      const part = Math.min(FRAME_PAYLOAD_BYTES_MAX - before, size - at);
      const last = at + part === size ? FLAG.endHeaders : 0;
      writer.claim(this, FRAME_HEAD_BYTES + before + part);
      writer.head(before + part, frameType, (at === 0 ? flags : 0) | last, streamId);
      if (before > 0) writer.uint32(promisedId);
      writer.copy(block, at, at + part);
      at += part;
      before = 0;
      frameType = FRAME_TYPE.continuation;
    } while (at < size);
  }

  #drained(): void {
    this.#progressed = true;
    if (this.socket.writableLength === 0) this.#sent();
  }

  /** Something has left the socket: is there room for more? */
  #sent(): void {
    this.#progressed = true;
    if (this.socket.destroyed) return;
    const waiting = this.socket.writableLength;
    if (this.#paused && waiting < SOCKET_BYTES_MAX) {
      this.#paused = false;
      if (!this.#readingHeld) this.socket.resume();
    }
    if (!this.#full || waiting >= SOCKET_BYTES_MAX) return;
    this.#full = false;
    if (!this.#due) {
      this.#due = true;
      this.flush();
    }
  }
}

function flush(output: SessionOutput): void {
  output.flush();
}
