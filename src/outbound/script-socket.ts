/** A connection that a script has opened: joins its socket with the source and the sink that the script reads and writes. */
import type { Socket } from 'node:net';
import type { GatewayError } from '../base/errors.ts';
import { SOCKET_LINGER_MS } from './outbound-limits.ts';
import { socketErrorOf, socketFailure } from './socket-error.ts';
import { placeOf, type SocketRequest } from './socket-request.ts';
import { SocketSink } from './socket-sink.ts';
import { SocketSource } from './socket-source.ts';

export class ScriptSocket {
  readonly request: SocketRequest;
  readonly socket: Socket;
  readonly source: SocketSource;
  readonly sink: SocketSink;
  /** How often it has been given back before. */
  readonly reused: number;
  readonly #place: string;
  readonly #released: () => void;
  #state: 'open' | 'closing' | 'detached' | 'closed' = 'open';
  #lingerTimer: NodeJS.Timeout | undefined;

  /** `released` is called once, when it holds no connection any more. The socket has a listener for errors. */
  constructor(socket: Socket, request: SocketRequest, reused: number, released: () => void) {
    this.socket = socket;
    this.request = request;
    this.reused = reused;
    this.#released = released;
    const place = placeOf(request);
    this.#place = place;
    const { readMs, writeMs } = request.timeouts;
    const broken = (reason: GatewayError): void => this.#break(reason);
    this.source = new SocketSource({
      timeoutMs: readMs,
      late: () => socketFailure('timeout', 'read from', place, `nothing came for ${readMs / 1000} s`),
      broken,
      pause: () => socket.pause(),
      resume: () => socket.resume(),
    });
    this.sink = new SocketSink(socket, {
      timeoutMs: writeMs,
      late: () => socketFailure('timeout', 'write to', place, `nothing was taken for ${writeMs / 1000} s`),
      broken,
    });
    socket.on('data', this.#onData);
    socket.on('end', this.#onEnd);
    socket.on('drain', this.#onDrain);
    socket.on('error', this.#onError);
    socket.on('close', this.#onClose);
  }

  /** Ends the connection; what was written before still leaves, for a time. */
  close(): void {
    if (this.#state !== 'open') return;
    this.#state = 'closing';
    const { socket } = this;
    this.sink.flush();
    this.#fail(socketFailure('closed', 'use', this.#place, 'the stream was closed'));
    this.source.clear();
    if (socket.destroyed) return;
    socket.off('data', this.#onData);
    // what still comes is not for anybody
    socket.pause();
    socket.once('finish', () => socket.destroy());
    this.#lingerTimer = setTimeout(() => socket.destroy(), SOCKET_LINGER_MS);
    socket.end();
  }

  /** Ends the connection at once. */
  destroy(): void {
    if (this.#state === 'open') this.#break(socketFailure('closed', 'use', this.#place, 'it was ended'));
    else if (this.#state === 'closing') this.socket.destroy();
  }

  /** Gives the socket away, for another use; a text says why it cannot be used again, and then nothing has changed. */
  detach(): Socket | string {
    const { socket, source, sink } = this;
    sink.flush();
    if (this.#state !== 'open' || source.ended || sink.error !== undefined || !socket.writable)
      return 'it is closed';
    if (source.queue.length > 0) return `${source.queue.length} bytes that came have not been read`;
    if (source.isAwaited) return 'another task reads from it';
    if (socket.writableLength > 0) return 'the other side has not taken what was written';
    this.#state = 'detached';
    this.#leave();
    this.#fail(socketFailure('closed', 'use', this.#place, 'the stream was closed'));
    this.#released();
    return socket;
  }

  readonly #onData = (chunk: Buffer): void => this.source.receive(chunk);
  readonly #onEnd = (): void => this.source.finish();
  readonly #onDrain = (): void => this.sink.drained();
  readonly #onError = (error: Error): void => this.#break(socketErrorOf('use', this.#place, error));

  readonly #onClose = (): void => {
    clearTimeout(this.#lingerTimer);
    // where the other side has ended before, what came stays readable to its end
    this.#fail(socketFailure('closed', 'use', this.#place, 'the connection is closed'));
    this.#leave();
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#released();
  };

  #break(reason: GatewayError): void {
    if (this.#state === 'detached') return;
    this.#fail(reason);
    this.socket.destroy();
  }

  #fail(reason: GatewayError): void {
    this.source.fail(reason);
    this.sink.fail(reason);
  }

  #leave(): void {
    const { socket } = this;
    socket.off('data', this.#onData);
    socket.off('end', this.#onEnd);
    socket.off('drain', this.#onDrain);
    socket.off('close', this.#onClose);
    if (this.#state === 'detached') socket.off('error', this.#onError);
  }
}
