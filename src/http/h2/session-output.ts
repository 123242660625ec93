/** What a connection sends: frames go into the shared writer and pieces to the socket; streams send DATA in turns while there is room. */
import type { Socket } from 'node:net';
import { beginTurn, endTurn } from '../exchange/ended-exchanges.ts';
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

/** With so many bytes waiting in the socket no more DATA is sent: two pieces, one on its way and one behind it. */
const SOCKET_BYTES_MAX = 256 * 1024;
/** With so many bytes waiting the socket is not read either: heads and answers to PING are sent above the limit for DATA. */
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
  /** Bytes that the client allows on all streams together. */
  sendWindow: number = INITIAL_WINDOW_BYTES;
  /** SOCKET_BYTES_MAX bytes wait in the socket: no DATA is sent. */
  #full = false;
  /** The socket is not read because READ_PAUSE_BYTES wait to be sent (`#paused`), or because the session wants it so (`#readingHeld`). */
  #paused = false;
  #readingHeld = false;
  /** A call of `flush` is certain to follow. */
  #due = false;
  #ended = false;
  /** Bytes have left the socket since the last call of `hasProgressed`. */
  #progressed = true;

  constructor(socket: Socket, writer: FrameWriter, abuse: AbuseLimits) {
    this.socket = socket;
    this.#writer = writer;
    this.#abuse = abuse;
    socket.on('drain', () => this.#drained());
  }

  /** True when DATA can be sent at once: the socket has room, and no stream waits for its turn. */
  get takesData(): boolean {
    return !this.#full && this.scheduler.isEmpty;
  }

  /** The caller promises a `flush`: what is written until then leaves with it. */
  hold(): void {
    this.#due = true;
    beginTurn();
  }

  flushLater(): void {
    if (this.#due) return;
    this.#due = true;
    process.nextTick(flush, this);
  }

  /** Gives streams their turns, and sends what has been written. */
  flush(): void {
    while (!this.#full && this.sendWindow > 0) {
      const stream = this.scheduler.next();
      if (stream === undefined) break;
      stream.sendTurn();
    }
    endTurn();
    this.#writer.flush(this);
    this.#due = false;
  }

  /** Ends the server's side of the connection behind what has been written. */
  end(): void {
    this.flush();
    if (this.#ended) return;
    this.#ended = true;
    this.socket.end();
  }

  /** Stops (true) or continues (false) reading, as the session wants. */
  holdReading(held: boolean): void {
    this.#readingHeld = held;
    if (held) this.socket.pause();
    else if (!this.#paused && !this.socket.destroyed) this.socket.resume();
  }

  /** The socket is closed. */
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

  /** Writes HEADERS with the block in `block[0, size)`, and CONTINUATION where one frame is too small. */
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

  /** Writes DATA of at most FRAME_PAYLOAD_BYTES_MAX bytes; the caller has made sure that the windows have room. */
  data(streamId: number, chunk: Uint8Array, start: number, end: number, endStream: boolean): void {
    const size = end - start;
    const writer = this.#writer;
    writer.claim(this, FRAME_HEAD_BYTES + size);
    writer.head(size, FRAME_TYPE.data, endStream ? FLAG.endStream : 0, streamId);
    writer.copy(chunk, start, end);
    this.sendWindow -= size;
    this.#abuse.dataSent();
  }

  /** Writes DATA of a byte string, under the same conditions. */
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
        // after an error the system may still read the buffer
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

  /** Bytes have left the socket: reads and sends again where there is room. */
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
