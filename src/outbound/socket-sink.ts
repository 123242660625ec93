/** What a script writes to a connection, as a sink of bytes: gathers what is written in one go, and bounds the time that a writer waits. */
import type { Socket } from 'node:net';
import type { ByteSink } from '../base/byte-stream.ts';
import type { GatewayError } from '../base/errors.ts';

export interface SocketSinkOptions {
  /** The longest time that a writer waits for room; infinity: for ever. */
  readonly timeoutMs: number;
  /** Makes the error of a write that has waited too long. */
  late(): GatewayError;
  /** The sink cannot be used any more for this reason. */
  broken(reason: GatewayError): void;
}

export class SocketSink implements ByteSink {
  readonly #socket: Socket;
  readonly #options: SocketSinkOptions;
  #error: GatewayError | undefined;
  #corked = false;
  /** Writers that wait for room: tasks of one request may write to the same connection. */
  #waiting: (() => void)[] = [];
  #timer: NodeJS.Timeout | undefined;

  constructor(socket: Socket, options: SocketSinkOptions) {
    this.#socket = socket;
    this.#options = options;
  }

  get error(): GatewayError | undefined {
    return this.#error;
  }

  get isFull(): boolean {
    return this.#socket.writableNeedDrain;
  }

  write(bytes: Uint8Array): boolean {
    return this.writeOwned(Buffer.from(bytes));
  }

  writeOwned(bytes: Uint8Array): boolean {
    if (this.#error !== undefined) return true;
    this.#gather();
    return this.#socket.write(bytes);
  }

  writeText(text: string): boolean {
    if (this.#error !== undefined) return true;
    this.#gather();
    return this.#socket.write(text, 'latin1');
  }

  whenDrained(drained: () => void): void {
    this.#waiting.push(drained);
    if (this.#error !== undefined || !this.#socket.writableNeedDrain) process.nextTick(tell, this);
    else this.#expect();
  }

  cancelDrained(drained?: () => void): void {
    this.#waiting = drained === undefined ? [] : this.#waiting.filter((waiting) => waiting !== drained);
    if (this.#waiting.length === 0) clearTimeout(this.#timer);
  }

  /** The socket has room again, or the sink has failed: writers are called. */
  drained(): void {
    clearTimeout(this.#timer);
    for (const drained of this.#waiting.splice(0)) drained();
  }

  /** Nothing is written any more. */
  fail(error: GatewayError): void {
    this.#error ??= error;
    if (this.#waiting.length > 0) process.nextTick(tell, this);
  }

  /** Sends what has been gathered. */
  flush(): void {
    if (!this.#corked) return;
    this.#corked = false;
    this.#socket.uncork();
  }

  /** What is written until the event loop goes on leaves in one packet, where it fits. */
  #gather(): void {
    if (this.#corked) return;
    this.#corked = true;
    this.#socket.cork();
    process.nextTick(flush, this);
  }

  #expect(): void {
    const { timeoutMs } = this.#options;
    clearTimeout(this.#timer);
    if (!Number.isFinite(timeoutMs)) return;
    // how much of it the peer has got is not known
    this.#timer = setTimeout(() => this.#options.broken(this.#options.late()), timeoutMs);
  }
}

function tell(sink: SocketSink): void {
  sink.drained();
}

function flush(sink: SocketSink): void {
  sink.flush();
}
