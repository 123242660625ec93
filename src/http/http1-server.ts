/** Serves HTTP/1.x on sockets that others accepted: node's parser, its error answers, and the idle clock. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { systemCodeOf } from '../base/errors.ts';
import type { Exchange } from './exchange.ts';
import type { ExchangeSettings } from './exchange-wire.ts';
import { Http1Connection } from './http1-connection.ts';

interface Http1Limits {
  readonly idleTimeoutMs: number;
  readonly headTimeoutMs: number;
  readonly headBytesMax: number;
  /** How often deadlines are looked at. */
  readonly sweepIntervalMs: number;
}

export class Http1Server {
  readonly #server: Server;
  readonly #settings: ExchangeSettings;
  readonly #handle: (exchange: Exchange) => void;
  readonly #idleTimeoutMs: number;
  readonly #connections = new Map<Socket, Http1Connection>();
  #draining = false;

  constructor(limits: Http1Limits, settings: ExchangeSettings, handle: (exchange: Exchange) => void) {
    this.#settings = settings;
    this.#handle = handle;
    this.#idleTimeoutMs = limits.idleTimeoutMs;
    const server = createServer({
      insecureHTTPParser: false,
      maxHeaderSize: limits.headBytesMax,
      headersTimeout: limits.headTimeoutMs,
      connectionsCheckingInterval: limits.sweepIntervalMs,
      // bodies and idle connections have clocks of their own
      requestTimeout: 0,
      keepAliveTimeout: 0,
      // checked together with repeated ones
      requireHostHeader: false,
    });
    // 0 is no limit: fields past node's 2,000 would vanish without a word, and headBytesMax bounds them anyway
    server.maxHeadersCount = 0;
    server.on('request', (message, response) => this.#accept(message, response));
    server.on('checkContinue', (message, response) => this.#accept(message, response));
    server.on('checkExpectation', (message, response) => this.#accept(message, response));
    server.on('connect', (_message, socket) => this.#refuseConnect(socket as Socket));
    server.on('clientError', (error, socket) => this.#fail(error, socket as Socket));
    server.on('error', ignore);
    // The server never listens itself; its head deadline starts with this event.
    server.emit('listening');
    this.#server = server;
  }

  /** Takes over a connected socket. */
  serve(socket: Socket): void {
    const connection = new Http1Connection(socket, this.#settings, this.#handle);
    this.#connections.set(socket, connection);
    socket.once('close', () => this.#connections.delete(socket));
    this.#server.emit('connection', socket);
    if (this.#draining) connection.drain();
  }

  /** Connections end after the exchange they serve, idle ones at once. */
  drain(): void {
    this.#draining = true;
    for (const connection of this.#connections.values()) connection.drain();
  }

  /** Ends every connection and all clocks. */
  stop(): void {
    for (const socket of this.#connections.keys()) socket.destroy();
    this.#server.close(ignore);
  }

  /** Closes connections that have been idle for too long. */
  sweep(now: number): void {
    for (const connection of this.#connections.values()) {
      if (connection.idle && now - connection.idleSince >= this.#idleTimeoutMs) connection.close();
    }
  }

  #accept(message: IncomingMessage, response: ServerResponse): void {
    this.#connections.get(message.socket)?.accept(message, response);
  }

  #refuseConnect(socket: Socket): void {
    const connection = this.#connections.get(socket);
    if (connection === undefined || !connection.idle) socket.destroy();
    else connection.refuse(501);
  }

  #fail(error: Error, socket: Socket): void {
    const connection = this.#connections.get(socket);
    if (connection === undefined || !socket.writable) socket.destroy();
    // node pauses its parser when much is unsent, and fails on what a TLS read still brings: too much was pipelined
    else if (systemCodeOf(error) === 'HPE_PAUSED') connection.overflow();
    else {
      const status = statusOf(error);
      if (status === undefined) socket.destroy();
      else connection.refuse(status);
    }
  }
}

/** The status that answers what the parser refused; undefined when the socket itself has failed. */
function statusOf(error: Error): number | undefined {
  const packet: unknown = Reflect.get(error, 'rawPacket');
  switch (systemCodeOf(error)) {
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return 408;
    // the client has gone in the middle of a message
    case 'HPE_INVALID_EOF_STATE':
      return undefined;
    case 'HPE_HEADER_OVERFLOW':
      // no end of line among what arrived: it is the target that is too long
      return packet instanceof Uint8Array && !packet.includes(LINE_FEED) ? 414 : 431;
    case 'HPE_CHUNK_EXTENSIONS_OVERFLOW':
      return 413;
    case 'HPE_INVALID_METHOD':
      return packet instanceof Uint8Array && startsWithMethod(packet) ? 501 : 400;
    case 'HPE_INVALID_VERSION':
      return 505;
    default:
      return systemCodeOf(error)?.startsWith('HPE_') === true ? 400 : undefined;
  }
}

const LINE_FEED = 10;

/** A token, a blank and a target: a method this parser does not know rather than rubbish. */
function startsWithMethod(packet: Uint8Array): boolean {
  return /^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,32} [/*a-z]/.test(
    Buffer.from(packet.subarray(0, 64)).toString('latin1'),
  );
}

function ignore(): void {}
