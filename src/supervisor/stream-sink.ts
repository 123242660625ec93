/** Sends lines of a log over a connection to a unix socket, each with its size (RFC 6587); nobody waits for a receiver, and one that is away is looked for. */
import { connect, type Socket } from 'node:net';
import { systemCodeOf } from '../base/errors.ts';
import { giveBack } from '../base/lent-block.ts';
import { FlushWaiters } from './flush-waiters.ts';
import { counted, type Frame, linesOf } from './log-frames.ts';
import { LostLines, type LostLinesOptions, TOO_SLOW } from './lost-lines.ts';

/** Bytes of messages that wait for a receiver, those that are being written included; lines beyond them are dropped and counted. */
const QUEUE_BYTES_MAX = 4 * 1024 * 1024;
/** Bytes of one write: what is lost at most, and counted, where the receiver closes. */
const WRITE_BYTES_MAX = 64 * 1024;
/** Pause before a receiver that is away is looked for again: twice as long each time, up to the second (ms). */
const RETRY_DELAY_MIN_MS = 50;
const RETRY_DELAY_MAX_MS = 5000;
/** A target that a reload has replaced gets what waits for it within this time (ms). */
const LAST_WAIT_MS = 10_000;

export interface StreamSinkOptions extends LostLinesOptions {
  /** Of the socket. Nobody has to be there yet. */
  readonly path: string;
  /** Makes a message of a line or record without its line end. */
  readonly frame: Frame;
  readonly queueBytesMax?: number;
  readonly lastWaitMs?: number;
}

export class StreamSink {
  readonly #path: string;
  readonly #frame: Frame;
  readonly #queueBytesMax: number;
  readonly #lastWaitMs: number;
  readonly #lost: LostLines;
  readonly #flushed = new FlushWaiters();
  #queue: Buffer[] = [];
  /** Of the queue and of what is being written. */
  #bytes = 0;
  /** Messages and bytes that are being written. */
  #writing = { count: 0, bytes: 0 };
  /** A connection, also while it is made. */
  #socket: Socket | undefined;
  #isConnected = false;
  #retry: NodeJS.Timeout | undefined;
  #retryDelayMs = RETRY_DELAY_MIN_MS;
  #isClosed = false;

  constructor(options: StreamSinkOptions) {
    this.#path = options.path;
    this.#frame = counted(options.frame);
    this.#queueBytesMax = options.queueBytesMax ?? QUEUE_BYTES_MAX;
    this.#lastWaitMs = options.lastWaitMs ?? LAST_WAIT_MS;
    this.#lost = new LostLines(options);
  }

  /** Takes lines, each with its line end. Never blocks, never throws. */
  readonly writeLines = (bytes: Uint8Array): void => {
    if (!this.#isClosed) for (const line of linesOf(bytes)) this.#push(line);
    giveBack(bytes);
    this.#goOn();
  };

  /** Takes one record, which may have line ends. Never blocks, never throws. */
  readonly write = (record: string): void => {
    if (this.#isClosed) return;
    this.#push(record);
    this.#goOn();
  };

  /** A process that ends now cannot wait for its connection: its last record goes elsewhere, too. */
  writeNow(record: string): void {
    this.write(record);
  }

  /** Lines that no receiver got, since the start. */
  get lostTotal(): number {
    return this.#lost.total;
  }

  /** There is nothing to open anew: a connection that ends is made again. */
  reopen(): void {}
  setRotation(): void {}

  async flush(timeoutMs: number): Promise<void> {
    if (this.#bytes === 0) return;
    await this.#flushed.wait(timeoutMs);
  }

  /** Takes no more lines, and closes its connection behind those that wait, which it does not for long. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    if (this.#bytes === 0) {
      this.#socket?.end();
      return;
    }
    const giveUp = setTimeout(() => {
      this.#lost.add(this.#queue.length, TOO_SLOW);
      this.#drop();
      clearTimeout(this.#retry);
      this.#socket?.destroy();
    }, this.#lastWaitMs).unref();
    this.#flushed.add(() => {
      clearTimeout(giveUp);
      this.#socket?.end();
    });
  }

  #push(record: string): void {
    const message = this.#frame(record);
    if (this.#bytes + message.length > this.#queueBytesMax) {
      this.#lost.add(1, TOO_SLOW);
      return;
    }
    this.#queue.push(message);
    this.#bytes += message.length;
  }

  #drop(): void {
    this.#queue = [];
    this.#bytes = this.#writing.bytes;
  }

  #goOn(): void {
    if (this.#bytes === 0) this.#flushed.release();
    else if (this.#socket === undefined) this.#connect();
    else if (this.#isConnected && this.#writing.count === 0) this.#writeNext(this.#socket);
  }

  #connect(): void {
    if (this.#retry !== undefined) return;
    const socket = connect(this.#path);
    this.#socket = socket;
    let reason = 'it has closed the connection';
    socket.unref();
    socket.on('error', (error) => {
      reason = systemCodeOf(error) ?? error.message;
    });
    socket.on('connect', () => {
      this.#isConnected = true;
      this.#goOn();
    });
    // whatever it says is of no interest, but has to be read so that its end shows
    socket.resume();
    socket.on('close', () => this.#closed(reason));
  }

  #closed(reason: string): void {
    const { count, bytes } = this.#writing;
    this.#socket = undefined;
    this.#isConnected = false;
    this.#writing = { count: 0, bytes: 0 };
    this.#bytes -= bytes;
    if (count > 0 || this.#bytes > 0) this.#lost.add(count, reason);
    if (this.#bytes === 0) {
      this.#goOn();
      return;
    }
    this.#retry = setTimeout(() => {
      this.#retry = undefined;
      this.#goOn();
    }, this.#retryDelayMs).unref();
    this.#retryDelayMs = Math.min(RETRY_DELAY_MAX_MS, 2 * this.#retryDelayMs);
  }

  /** At most WRITE_BYTES_MAX bytes, but at least one message. */
  #writeNext(socket: Socket): void {
    let [count, bytes] = [0, 0];
    for (const { length } of this.#queue) {
      if (count > 0 && bytes + length > WRITE_BYTES_MAX) break;
      count += 1;
      bytes += length;
    }
    this.#writing = { count, bytes };
    socket.write(Buffer.concat(this.#queue.splice(0, count)), (error) => {
      // the end of the connection says what is lost
      if (error != null || this.#socket !== socket) return;
      this.#writing = { count: 0, bytes: 0 };
      this.#bytes -= bytes;
      this.#retryDelayMs = RETRY_DELAY_MIN_MS;
      this.#goOn();
    });
  }
}
