/** Serves HTTP/1.x on sockets that others accepted: the connections, their clocks and their end. */
import type { Socket } from 'node:net';
import type { Exchange } from '../exchange/exchange.ts';
import type { ExchangeSettings } from '../exchange/exchange-wire.ts';
import { Http1Connection, type Http1Limits } from './http1-connection.ts';

export class Http1Server {
  readonly #limits: Http1Limits;
  readonly #settings: ExchangeSettings;
  readonly #handle: (exchange: Exchange) => void;
  readonly #connections = new Map<Socket, Http1Connection>();
  #state: 'serving' | 'leaving' | 'draining' = 'serving';

  constructor(limits: Http1Limits, settings: ExchangeSettings, handle: (exchange: Exchange) => void) {
    this.#limits = limits;
    this.#settings = settings;
    this.#handle = handle;
  }

  /** Takes over a connected socket. */
  serve(socket: Socket): void {
    const connection = new Http1Connection(socket, this.#limits, this.#settings, this.#handle);
    this.#connections.set(socket, connection);
    socket.once('close', () => this.#connections.delete(socket));
    if (this.#state === 'leaving') connection.leave();
    else if (this.#state === 'draining') connection.drain();
  }

  /** Connections end behind their next answer; those that are idle, and new ones, may still ask. `drain` comes next. */
  leave(): void {
    this.#state = 'leaving';
    for (const connection of this.#connections.values()) connection.leave();
  }

  /** Connections end after the exchange they serve, idle ones at once. */
  drain(): void {
    this.#state = 'draining';
    for (const connection of this.#connections.values()) connection.drain();
  }

  /** Ends every connection. */
  stop(): void {
    for (const socket of this.#connections.keys()) socket.destroy();
  }

  /** Looks at the deadlines of all connections. */
  sweep(now: number): void {
    for (const connection of this.#connections.values()) connection.sweep(now);
  }
}
