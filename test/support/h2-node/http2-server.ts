/**
 * Serves exchanges of the gateway with the sessions of node:http2, as a reference for our own sessions. Windows, timeouts and
 * shutdown are the same as there.
 */

import {
  createServer,
  type Http2Server as NodeHttp2Server,
  type ServerHttp2Session,
  type ServerOptions,
} from 'node:http2';
import type { Socket } from 'node:net';
import { assert } from '../../../src/base/assert.ts';
import type { Exchange } from '../../../src/http/exchange/exchange.ts';
import type { ExchangeSettings } from '../../../src/http/exchange/exchange-wire.ts';
import {
  CONNECTION_WINDOW_BYTES,
  GOAWAY_GRACE_MS,
  HEAD_SLACK,
  STREAM_WINDOW_BYTES,
} from '../../../src/http/h2/session-bounds.ts';
import { FIELDS_MAX } from '../../../src/http/semantics/fields.ts';
import { COUNT } from '../../../src/metrics/worker-metrics.ts';
import { Http2Connection } from './http2-connection.ts';

interface Http2Limits {
  readonly idleTimeoutMs: number;
  readonly stallTimeoutMs: number;
  readonly headBytesMax: number;
  readonly streamsMax: number;
}

export class Http2Server {
  readonly #limits: Http2Limits;
  readonly #settings: ExchangeSettings;
  readonly #handle: (exchange: Exchange) => void;
  readonly #connections = new Set<Http2Connection>();
  /** Makes sessions of cleartext sockets; does not listen. */
  #cleartext: NodeHttp2Server | undefined;
  /** The socket whose session is being made. The session itself exposes only a proxy of the socket, which cannot destroy it. */
  #socket: Socket | undefined;

  constructor(limits: Http2Limits, settings: ExchangeSettings, handle: (exchange: Exchange) => void) {
    this.#limits = limits;
    this.#settings = settings;
    this.#handle = handle;
  }

  #serverOptions(): ServerOptions {
    return {
      maxHeaderListPairs: FIELDS_MAX,
      settings: {
        // no enablePush: a server that sends it violates RFC 9113 §6.5.2, and clients end the connection
        initialWindowSize: STREAM_WINDOW_BYTES,
        maxConcurrentStreams: this.#limits.streamsMax,
        maxHeaderListSize: this.#limits.headBytesMax * HEAD_SLACK,
      },
    };
  }

  /** Takes over a connected cleartext socket that speaks HTTP/2 by prior knowledge. */
  serve(socket: Socket): void {
    if (this.#cleartext === undefined) {
      this.#cleartext = createServer(this.#serverOptions());
      this.#cleartext.on('error', ignore);
      this.#cleartext.on('session', (session: ServerHttp2Session) => this.#open(session));
      this.#cleartext.on('sessionError', ignore);
    }
    socket.on('error', ignore);
    this.#socket = socket;
    this.#cleartext.emit('connection', socket);
    this.#socket = undefined;
  }

  stop(): void {
    for (const connection of this.#connections) connection.session.destroy();
  }

  /** Closes idle sessions, sessions whose complete responses are not read, and sessions that stay after GOAWAY. */
  sweep(now: number): void {
    const { idleTimeoutMs, stallTimeoutMs } = this.#limits;
    for (const connection of this.#connections) {
      if (connection.session.destroyed) {
        // Node waits for a write that never ends: the client does not read, or is gone
        connection.socket.destroy();
        continue;
      }
      connection.refresh(now);
      const quietMs = now - connection.activeSince;
      if (connection.closingSince !== 0) {
        const closedMs = now - connection.closingSince;
        if (connection.idle && Math.min(quietMs, closedMs) >= GOAWAY_GRACE_MS) connection.session.destroy();
      } else if (connection.idle && quietMs >= idleTimeoutMs) connection.close();
      if (connection.unread && quietMs >= stallTimeoutMs) connection.session.destroy();
    }
  }

  #open(session: ServerHttp2Session): void {
    const { counters } = this.#settings;
    const socket = this.#socket;
    assert(socket !== undefined, 'sessions are made by open()');
    const connection = new Http2Connection(
      session,
      socket,
      this.#limits.headBytesMax,
      this.#settings,
      this.#handle,
    );
    this.#connections.add(connection);
    counters.add(COUNT.sessions, 1);
    session.setLocalWindowSize(CONNECTION_WINDOW_BYTES);
    session.on('close', () => {
      this.#settings.unreadBodies.letGo(connection);
      this.#connections.delete(connection);
      counters.add(COUNT.sessions, -1);
      // the socket may outlive its session by seconds
      setTimeout(() => socket.destroy(), GOAWAY_GRACE_MS).unref();
    });
  }
}

/** Ignores errors of sessions and sockets, because `close` follows each of them. */
function ignore(): void {}
