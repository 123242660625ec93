/** Sends lines of the access log as datagrams, one for each line, to the system's log or another machine; nobody waits for a receiver. */
import { createSocket } from 'node:dgram';
import { write } from 'node:fs';
import { isIPv6 } from 'node:net';
import { hostname } from 'node:os';
import { giveBack } from '../base/lent-block.ts';
import { UnixDatagrams } from '../native/unix-datagrams.ts';
import { ACCESS_FIELD_SEPARATOR } from '../settings/log-settings.ts';
import { FlushWaiters } from './flush-waiters.ts';

/** Bytes of datagrams that wait for a slow receiver; lines beyond them are dropped and counted. */
const QUEUE_BYTES_MAX = 4 * 1024 * 1024;
/** Receivers cut longer messages (rsyslog's default is 8 KiB). */
const MESSAGE_BYTES_MAX = 8000;
/** Datagrams that are sent in one turn of the loop, or are on their way. */
const AT_ONCE_MAX = 64;
/** Pause before a receiver without room is tried again. */
const RETRY_DELAY_MS = 10;
/** A receiver that is not there is told of on standard error, but not more often. */
const COMPLAINT_INTERVAL_MS = 60_000;
/** The facility "daemon" (3) and the severity "informational" (6), RFC 5424 §6.2.1. */
const PRIORITY = 3 * 8 + 6;
const STDERR = 2;
/** No room at the moment: not the fault of a line. */
const NO_ROOM: ReadonlySet<string> = new Set(['EAGAIN', 'ENOBUFS']);

/** Sends one; `done` hears why it could not be sent, or undefined. */
interface Sender {
  send(bytes: Uint8Array, done: (reason: string | undefined) => void): void;
  close(): void;
}

export interface DatagramSinkOptions {
  /** What messages call the receiver. */
  readonly name: string;
  readonly sender: Sender;
  /** Makes a datagram of a line without its line end. */
  readonly frame: (line: string) => Buffer;
  readonly queueBytesMax?: number;
  /** Hears, at most once a minute, that lines are lost; default: a line on standard error. */
  readonly complain?: (message: string) => void;
}

export class DatagramSink {
  readonly #options: DatagramSinkOptions;
  readonly #queueBytesMax: number;
  #queue: Buffer[] = [];
  #queuedBytes = 0;
  #onTheWay = 0;
  #lost = 0;
  #complainedAt = Number.NEGATIVE_INFINITY;
  #scheduled = false;
  #isClosed = false;
  readonly #flushed = new FlushWaiters();

  constructor(options: DatagramSinkOptions) {
    this.#options = options;
    this.#queueBytesMax = options.queueBytesMax ?? QUEUE_BYTES_MAX;
  }

  /** Takes lines, each with its line end. Never blocks, never throws. */
  readonly writeLines = (bytes: Uint8Array): void => {
    if (!this.#isClosed) this.#take(bytes);
    giveBack(bytes);
  };

  #take(bytes: Uint8Array): void {
    for (const line of Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString().split('\n')) {
      if (line === '') continue;
      const datagram = this.#options.frame(line);
      if (this.#queuedBytes + datagram.length > this.#queueBytesMax) this.#lose('it takes them too slowly');
      else {
        this.#queue.push(datagram);
        this.#queuedBytes += datagram.length;
      }
    }
    this.#schedule(0);
  }

  /** Lines that no receiver got, since the start. */
  get lostTotal(): number {
    return this.#lost;
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
        if (!isRefused && reason !== undefined) this.#lose(reason);
        if (isCall) return;
        if (isRefused) this.#lose(reason);
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

  #lose(reason: string): void {
    this.#lost += 1;
    const now = performance.now();
    if (now - this.#complainedAt < COMPLAINT_INTERVAL_MS) return;
    this.#complainedAt = now;
    const message = `Cannot send the access log to ${this.#options.name}: ${reason}; ${this.#lost} lines are lost so far`;
    (this.#options.complain ?? complainOnStderr)(message);
  }
}

function complainOnStderr(message: string): void {
  write(STDERR, `lgateway: ${message}\n`, () => undefined);
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

/** RFC 5424 §6, without structured data. */
export function syslogFrame(line: string): Buffer {
  const head = `<${PRIORITY}>1 ${new Date().toISOString()} ${hostOf()} lgateway ${process.pid} access - `;
  const message = Buffer.from(head + line);
  return message.length <= MESSAGE_BYTES_MAX ? message : message.subarray(0, MESSAGE_BYTES_MAX);
}

/** Visible ASCII without blanks (§6.2.4). */
function hostOf(): string {
  return (
    hostname()
      .replace(/[^!-~]/g, '_')
      .slice(0, 255) || '-'
  );
}

/** The native protocol of journald (systemd.io/JOURNAL_NATIVE_PROTOCOL): a line for each field, since no value has an end of line. */
export function journaldFrame(line: string): Buffer {
  return Buffer.from(`${line.replaceAll(ACCESS_FIELD_SEPARATOR, '\n')}\n`);
}
