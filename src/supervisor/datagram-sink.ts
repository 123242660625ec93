/** Sends lines of a log as datagrams, one for each line, to the system's log or another machine; nobody waits for a receiver. */
import { createSocket } from 'node:dgram';
import { isIPv6 } from 'node:net';
import { giveBack } from '../base/lent-block.ts';
import { UnixDatagrams } from '../native/unix-datagrams.ts';
import { FlushWaiters } from './flush-waiters.ts';
import { type Frame, linesOf } from './log-frames.ts';
import { LostLines, type LostLinesOptions, TOO_SLOW } from './lost-lines.ts';

/** Bytes of datagrams that wait for a slow receiver; lines beyond them are dropped and counted. */
const QUEUE_BYTES_MAX = 4 * 1024 * 1024;
/** Datagrams that are sent in one turn of the loop, or are on their way. */
const AT_ONCE_MAX = 64;
/** Pause before a receiver without room is tried again. */
const RETRY_DELAY_MS = 10;
/** No room at the moment: not the fault of a line. */
const NO_ROOM: ReadonlySet<string> = new Set(['EAGAIN', 'ENOBUFS']);

/** Sends one; `done` hears why it could not be sent, or undefined. */
interface Sender {
  send(bytes: Uint8Array, done: (reason: string | undefined) => void): void;
  close(): void;
}

export interface DatagramSinkOptions extends LostLinesOptions {
  readonly sender: Sender;
  /** Makes a datagram of a line or record without its line end. */
  readonly frame: Frame;
  readonly queueBytesMax?: number;
}

export class DatagramSink {
  readonly #options: DatagramSinkOptions;
  readonly #queueBytesMax: number;
  #queue: Buffer[] = [];
  #queuedBytes = 0;
  #onTheWay = 0;
  readonly #lost: LostLines;
  #scheduled = false;
  #isClosed = false;
  readonly #flushed = new FlushWaiters();

  constructor(options: DatagramSinkOptions) {
    this.#options = options;
    this.#lost = new LostLines(options);
    this.#queueBytesMax = options.queueBytesMax ?? QUEUE_BYTES_MAX;
  }

  /** Takes lines, each with its line end. Never blocks, never throws. */
  readonly writeLines = (bytes: Uint8Array): void => {
    if (!this.#isClosed) {
      for (const line of linesOf(bytes)) this.#push(line);
      this.#schedule(0);
    }
    giveBack(bytes);
  };

  /** Takes one record, which may have line ends. Never blocks, never throws. */
  readonly write = (record: string): void => {
    if (this.#isClosed) return;
    this.#push(record);
    this.#schedule(0);
  };

  /** Sends what waits and the last record of a process that ends now, as far as there is room. */
  writeNow(record: string): void {
    for (const datagram of [...this.#queue, this.#options.frame(record)])
      this.#options.sender.send(datagram, () => undefined);
    this.#queue = [];
    this.#queuedBytes = 0;
  }

  #push(record: string): void {
    const datagram = this.#options.frame(record);
    if (this.#queuedBytes + datagram.length > this.#queueBytesMax) this.#lost.add(1, TOO_SLOW);
    else {
      this.#queue.push(datagram);
      this.#queuedBytes += datagram.length;
    }
  }

  /** Lines that no receiver got, since the start. */
  get lostTotal(): number {
    return this.#lost.total;
  }

  /** There is nothing to open anew: each datagram finds whoever is there. */
  reopen(): void {}
  setRotation(): void {}

  async flush(timeoutMs: number): Promise<void> {
    if (this.#isEmpty) return;
    await this.#flushed.wait(timeoutMs);
  }

  /** Takes no more lines, and closes its socket behind those that wait. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    if (this.#isEmpty) this.#options.sender.close();
    else this.#flushed.add(() => this.#options.sender.close());
  }

  get #isEmpty(): boolean {
    return this.#queue.length === 0 && this.#onTheWay === 0;
  }

  #schedule(delayMs: number): void {
    // what is on its way calls again
    if (this.#scheduled || this.#queue.length === 0 || this.#onTheWay >= AT_ONCE_MAX) return;
    this.#scheduled = true;
    const go = (): void => {
      this.#scheduled = false;
      this.#pump();
    };
    if (delayMs === 0) setImmediate(go);
    else setTimeout(go, delayMs);
  }

  #pump(): void {
    let count = 0;
    let hasRoom = true;
    while (hasRoom && count < AT_ONCE_MAX && this.#onTheWay < AT_ONCE_MAX) {
      const datagram = this.#queue[count];
      if (datagram === undefined) break;
      this.#onTheWay += 1;
      let isCall = true;
      this.#options.sender.send(datagram, (reason) => {
        this.#onTheWay -= 1;
        const isRefused = reason !== undefined && NO_ROOM.has(reason);
        if (isCall) hasRoom = !isRefused;
        if (!isRefused && reason !== undefined) this.#lost.add(1, reason);
        if (isCall) return;
        if (isRefused) this.#lost.add(1, reason);
        this.#goOn(0);
      });
      isCall = false;
      // one that was refused in the call stays the first
      if (hasRoom) count += 1;
    }
    for (const datagram of this.#queue.splice(0, count)) this.#queuedBytes -= datagram.length;
    this.#goOn(hasRoom ? 0 : RETRY_DELAY_MS);
  }

  #goOn(delayMs: number): void {
    if (this.#isEmpty) this.#flushed.release();
    else this.#schedule(delayMs);
  }
}

/** To the socket of a path. Errors: LGW_NATIVE_UNAVAILABLE, LGW_DESCRIPTOR. */
export function unixSender(path: string): Sender {
  const socket = new UnixDatagrams(path);
  return {
    send: (bytes, done) => done(socket.send(bytes)),
    close: () => socket.close(),
  };
}

/** `host` is an address, so that no line waits for a resolver. */
export function udpSender(host: string, port: number): Sender {
  const socket = createSocket(isIPv6(host) ? 'udp6' : 'udp4').unref();
  socket.on('error', () => undefined);
  return {
    send: (bytes, done) =>
      socket.send(bytes, port, host, (error) => done(error === null ? undefined : codeOf(error))),
    close: () => socket.close(),
  };
}

function codeOf(error: Error): string {
  return 'code' in error ? String(error.code) : error.message;
}
