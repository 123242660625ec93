/** A WebSocket as handlers in TypeScript have it: an async iterator of messages, and promises where a client is waited for. */
import { isUtf8 } from 'node:buffer';
import { GatewayError } from '../base/errors.ts';
import type { Exchange } from '../http/exchange/exchange.ts';
import type { Share } from '../mapping/shares.ts';
import { CLOSE_CODE, isSendable } from '../websocket/close-codes.ts';
import { openWebSocket, WEBSOCKET_DEFAULTS } from '../websocket/open-websocket.ts';
import type { ServerWebSocket } from '../websocket/server-websocket.ts';
import {
  FRAGMENT_BYTES,
  MESSAGE_BYTES_MAX,
  REASON_BYTES_MAX,
  SENDS_WAITING_BYTES_MAX,
  SENDS_WAITING_MAX,
} from '../websocket/websocket-limits.ts';

export interface WebSocketUpgradeOptions {
  /** Subprotocols, the best first; default: none. */
  readonly protocols?: readonly string[];
  /** Where pages may come from that open it; `same`, the default: from the host that it is opened at; `any`: from anywhere. */
  readonly origins?: readonly string[] | 'same' | 'any';
  /** Compresses messages for clients that offer it; default: false. */
  readonly deflate?: boolean;
  /** Bytes of a message, inflated; default: 1 MiB, at most 64 MiB. */
  readonly messageBytesMax?: number;
  /** From one ping to the next; default: 30 s. */
  readonly pingMs?: number;
}

/** Text, or bytes. */
export type WebSocketMessage = string | Uint8Array;

export interface WebSocketClosing {
  /** Of the first close frame of either side; 1005 without a code, 1006 without a frame. */
  readonly code: number;
  readonly reason: string;
}

/** One WebSocket. It ends with the function that serves it. */
export interface HandlerWebSocket extends AsyncIterable<WebSocketMessage> {
  /** The subprotocol that was agreed upon; empty: none. */
  readonly protocol: string;
  /** Resolves when no message comes or goes any more. */
  readonly closed: Promise<WebSocketClosing>;
  /**
   * Resolves when the client has room for more. Rejects with a GatewayError when it is closed, and (`luaCode` limit) when 1,024 messages or
   * 16 MiB of this WebSocket wait already: whoever sends faster than the client reads has to await this.
   */
  send(message: WebSocketMessage): Promise<void>;
  /** Begins to close: 1000, or a code that may be sent, and a reason of at most 123 bytes. */
  close(code?: number, reason?: string): void;
}

/** Serves one WebSocket: when it returns, that closes with 1000, when it throws with 1011. */
export type WebSocketHandler = (socket: HandlerWebSocket) => void | Promise<void>;

/** What all WebSockets of a mapping have in common. */
export interface WebSocketSurroundings {
  readonly share: Share;
  /** Those that are open. */
  readonly sockets: Set<ServerWebSocket>;
  /** Hears what a function has thrown. */
  failed(error: unknown): void;
}

/** Answers the request of `exchange` by a WebSocket that `serve` has, or by an error page that says why not. */
export function upgrade(
  exchange: Exchange,
  serve: WebSocketHandler,
  {
    protocols = [],
    origins = WEBSOCKET_DEFAULTS.origins,
    deflate = false,
    ...options
  }: WebSocketUpgradeOptions,
  { share, sockets, failed }: WebSocketSurroundings,
): void {
  const { messageBytesMax = WEBSOCKET_DEFAULTS.messageBytesMax, pingMs = WEBSOCKET_DEFAULTS.pingMs } =
    options;
  if (!(messageBytesMax >= 1 && messageBytesMax <= MESSAGE_BYTES_MAX))
    throw new RangeError(`messageBytesMax is ${messageBytesMax} (1 to ${MESSAGE_BYTES_MAX} was expected)`);
  if (!(pingMs >= 1 && pingMs <= PING_MS_MAX))
    throw new RangeError(`pingMs is ${pingMs} (1 to ${PING_MS_MAX} was expected)`);
  const socket = openWebSocket(exchange, { protocols, origins, deflate, messageBytesMax, pingMs }, share);
  if (socket instanceof GatewayError) return;
  sockets.add(socket);
  const given = socket.onGone;
  socket.onGone = () => {
    sockets.delete(socket);
    given?.();
  };
  void run(new OpenWebSocket(socket), socket, serve, failed);
}

/** A day. */
const PING_MS_MAX = 86_400_000;

async function run(
  open: OpenWebSocket,
  socket: ServerWebSocket,
  serve: WebSocketHandler,
  failed: (error: unknown) => void,
): Promise<void> {
  try {
    await serve(open);
    socket.close(CLOSE_CODE.normal);
  } catch (error) {
    // that its client has gone is no failure of the handler
    if (socket.isOpen) failed(error);
    socket.close(CLOSE_CODE.internalError);
  }
}

const SENT: Promise<void> = Promise.resolve();

function tooMuch(): Promise<never> {
  const text = `${SENDS_WAITING_MAX} messages or ${SENDS_WAITING_BYTES_MAX} bytes wait for its client, and the limit is as many`;
  return Promise.reject(
    new GatewayError('LGW_WEBSOCKET_LIMIT', `Cannot send by the WebSocket: ${text}`, { luaCode: 'limit' }),
  );
}

class OpenWebSocket implements HandlerWebSocket {
  readonly #socket: ServerWebSocket;
  readonly protocol: string;
  readonly closed: Promise<WebSocketClosing>;
  /** Messages go one after the other. */
  #sending: Promise<void> = SENT;
  #waiting = 0;
  #waitingBytes = 0;
  #isIterated = false;

  constructor(socket: ServerWebSocket) {
    this.#socket = socket;
    this.protocol = socket.protocol ?? '';
    this.closed = new Promise((resolve) => {
      socket.onClosed = () =>
        resolve({ code: socket.code ?? CLOSE_CODE.abnormal, reason: Buffer.from(socket.reason).toString() });
    });
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<WebSocketMessage, void, undefined> {
    if (this.#isIterated) throw new TypeError('The messages of a WebSocket are iterated once');
    this.#isIterated = true;
    const socket = this.#socket;
    for (;;) {
      const message = socket.take();
      if (message !== undefined) yield message.isBinary ? message.data : message.data.toString();
      else if (!socket.isOpen) return;
      else await new Promise<void>((resolve) => socket.whenMessage(resolve));
    }
  }

  send(message: WebSocketMessage): Promise<void> {
    const isBinary = typeof message !== 'string';
    const size = isBinary ? message.length : Buffer.byteLength(message);
    const socket = this.#socket;
    const { output } = socket;
    const isReady = this.#waiting === 0 && socket.isOpen && !socket.isLeaving && !output.isFull;
    if (isReady && size <= FRAGMENT_BYTES) {
      output.send(isBinary ? message : Buffer.from(message), isBinary, true);
      return SENT;
    }
    const sent = this.#hasRoom(size) ? this.#sendLater(Buffer.from(message as string), isBinary) : tooMuch();
    // a handler need not look at each of its messages
    sent.catch(() => undefined);
    return sent;
  }

  #hasRoom(size: number): boolean {
    if (this.#waiting === 0) return true;
    return this.#waiting < SENDS_WAITING_MAX && this.#waitingBytes + size <= SENDS_WAITING_BYTES_MAX;
  }

  /** `bytes` are nobody else's. */
  #sendLater(bytes: Uint8Array, isBinary: boolean): Promise<void> {
    this.#waiting += 1;
    this.#waitingBytes += bytes.length;
    const sent = this.#sending
      .then(() => this.#send(bytes, isBinary))
      .finally(() => {
        this.#waiting -= 1;
        this.#waitingBytes -= bytes.length;
      });
    this.#sending = sent.catch(() => undefined);
    return sent;
  }

  async #send(bytes: Uint8Array, isBinary: boolean): Promise<void> {
    const socket = this.#socket;
    const { output } = socket;
    if (socket.isLeaving) socket.close(CLOSE_CODE.goingAway);
    let sent = 0;
    do {
      if (output.isFull && socket.isOpen) await new Promise<void>((resolve) => output.whenDrained(resolve));
      if (!socket.isOpen)
        throw (
          socket.error ??
          new GatewayError('LGW_WEBSOCKET_CLOSED', 'WebSocket is closed', { luaCode: 'closed' })
        );
      const part = Math.min(FRAGMENT_BYTES, bytes.length - sent);
      output.send(bytes.subarray(sent, sent + part), isBinary, sent + part === bytes.length);
      sent += part;
    } while (sent < bytes.length);
  }

  close(code: number = CLOSE_CODE.normal, reason = ''): void {
    const bytes = Buffer.from(reason);
    if (!isSendable(code)) throw new RangeError(`Code ${code} may not be sent`);
    if (bytes.length > REASON_BYTES_MAX || !isUtf8(bytes))
      throw new RangeError(`The reason has ${bytes.length} bytes and the limit is ${REASON_BYTES_MAX}`);
    this.#socket.close(code, bytes);
  }
}
