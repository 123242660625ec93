/** Serves HTTP/1.x on sockets that others accepted: node's requests and responses, and the clocks of the connections. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Exchange } from '../exchange/exchange.ts';
import type { ExchangeSettings } from '../exchange/exchange-wire.ts';
import { Http1Connection, type Http1Limits } from './http1-connection.ts';

/** The parser's own limit must never be the one that is reached: it counts in another way. */
const PARSER_BYTES_SPARE = 64 * 1024;

export class Http1Server {
  readonly #server: Server;
  readonly #limits: Http1Limits;
  readonly #settings: ExchangeSettings;
  readonly #handle: (exchange: Exchange) => void;
  readonly #connections = new Map<Socket, Http1Connection>();
  #draining = false;

  constructor(limits: Http1Limits, settings: ExchangeSettings, handle: (exchange: Exchange) => void) {
    this.#limits = limits;
    this.#settings = settings;
    this.#handle = handle;
    // It never listens: heads, bodies and idle connections have clocks of ours.
    const server = createServer({
      insecureHTTPParser: false,
      maxHeaderSize: limits.headBytesMax + PARSER_BYTES_SPARE,
      headersTimeout: 0,
      requestTimeout: 0,
      keepAliveTimeout: 0,
      // checked together with repeated ones
      requireHostHeader: false,
    });
    // 0 is no limit: fields past node's 2,000 would vanish without a word, and their number is bounded before
    server.maxHeadersCount = 0;
    server.on('request', (message, response) => this.#accept(message, response));
    server.on('checkContinue', (message, response) => this.#accept(message, response));
    server.on('checkExpectation', (message, response) => this.#accept(message, response));
    server.on('clientError', (_error, socket) => socket.destroy());
    server.on('error', ignore);
    this.#server = server;
  }

  /** Takes over a connected socket. */
  serve(socket: Socket): void {
    const connection = new Http1Connection(socket, this.#server, this.#limits, this.#settings, this.#handle);
    this.#connections.set(socket, connection);
    socket.once('close', () => this.#connections.delete(socket));
    if (this.#draining) connection.drain();
  }

  /** Connections end after the exchange they serve, idle ones at once. */
  drain(): void {
    this.#draining = true;
    for (const connection of this.#connections.values()) connection.drain();
  }

  /** Ends every connection. */
  stop(): void {
    for (const socket of this.#connections.keys()) socket.destroy();
    this.#server.close(ignore);
  }

  /** Looks at the deadlines of all connections. */
  sweep(now: number): void {
    for (const connection of this.#connections.values()) connection.sweep(now);
  }

  #accept(message: IncomingMessage, response: ServerResponse): void {
    this.#connections.get(message.socket)?.accept(message, response);
  }
}

function ignore(): void {}
