/**
 * A worker's front end: accepts connections, finds their protocol, and turns what arrives into exchanges.
 *
 * Long because sockets, handshakes, limits and the end concern the same set of sockets.
 */

import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import type { TLSSocket, TlsOptions } from 'node:tls';
import { GatewayError, messageOf } from '../../base/errors.ts';
import type { Logger } from '../../base/logger.ts';
import { MinuteNotice } from '../../base/minute-notice.ts';
import { LISTENER_COUNT, type ListenerCounterName } from '../../metrics/listener-metrics.ts';
import type { MetricRow } from '../../metrics/metric-row.ts';
import { COUNT, type Counters } from '../../metrics/worker-metrics.ts';
import { socketBelow } from '../../native/node-internals.ts';
import { DEFAULT_COMPRESSION } from '../../settings/compression.ts';
import type { ConnectionLimits } from '../../settings/limits.ts';
import { Compression } from '../coding/compression.ts';
import { PoolTurns } from '../coding/pool-turns.ts';
import { BODY_GRACE_MS } from '../exchange/body-rate.ts';
import type { ClientPatience } from '../exchange/client-watch.ts';
import type { Exchange } from '../exchange/exchange.ts';
import type { ExchangeObserver, ExchangeSettings } from '../exchange/exchange-wire.ts';
import { StallWatch } from '../exchange/stall-watch.ts';
import { UnreadBodies } from '../exchange/unread-bodies.ts';
import { LINGER_LIMITS, type LingerLimits } from '../h1/http1-linger.ts';
import { Http1Server } from '../h1/http1-server.ts';
import { SessionServer } from '../h2/session-server.ts';
import { answerCleartext } from '../routing/misdirected.ts';
import { AddressLimit, addressKey } from './address-limit.ts';
import type { ClientHello } from './client-hello.ts';
import { ConnectionFaults } from './connection-faults.ts';
import { isUsedUp, pause } from './descriptor-reserve.ts';
import { DescriptorWatch } from './descriptor-watch.ts';
import { chooseByFirstBytes, type SpokenProtocol } from './first-bytes.ts';
import { Handshakes } from './handshakes.ts';
import { ProxiedConnections } from './proxied-connections.ts';
import { chooseSweepInterval } from './sweep-interval.ts';
import { type HandshakePolicies, TlsServers } from './tls-servers.ts';

/** Infinity is no limit. */
export interface FrontEndLimits extends ConnectionLimits {
  /** Waiting that every body is given, whatever its rate; default: BODY_GRACE_MS. Tests shorten it. */
  readonly bodyGraceMs?: number;
  /** How long an HTTP/1 client may go on sending after its last answer; default: LINGER_LIMITS. Tests shorten it. */
  readonly linger?: LingerLimits;
}

/** What is read where it is needed, and changes when a reload changes it. */
type LiveLimits = { -readonly [Name in keyof FrontEndLimits]: FrontEndLimits[Name] } & {
  readonly linger: LingerLimits;
};
type LiveSettings = { -readonly [Name in keyof ExchangeSettings]: ExchangeSettings[Name] };

export interface FrontEndOptions {
  /** What `tls.createServer` takes (key, cert, ciphers, ticketKeys …), or several of that and which of them a handshake gets; undefined: cleartext. */
  readonly tls: TlsOptions | HandshakePolicies | undefined;
  /** At first. */
  readonly limits: FrontEndLimits;
  /** TCP_NODELAY for HTTP/1.x (HTTP/2 always has it); default true. */
  readonly noDelay?: boolean | undefined;
  readonly logger: Logger;
  readonly counters: Counters;
  /** What is counted for this listener alone; default: nothing. */
  readonly listener?: MetricRow<ListenerCounterName> | undefined;
  /** Strict-Transport-Security of answers over TLS that have none of their own, at first; default: none. */
  readonly transportSecurity?: string | undefined;
  /** Hear of each exchange that is over, at first; default: nobody. */
  readonly observers?: readonly ExchangeObserver[];
  /** Shared by the front ends of a worker, which count as one; default: counts for this one alone. */
  readonly addresses?: AddressLimit | undefined;
  /** Shared by the front ends of a worker; default: a budget of this one alone. */
  readonly unreadBodies?: UnreadBodies | undefined;
  /** Shared by the front ends of a worker; default: answers are compressed only where they ask for it. */
  readonly compression?: Compression | undefined;
  /**
   * Each connection begins with a PROXY head, and these addresses and networks may send it; default: no connection does. Clients are
   * counted by the addresses that the heads name.
   */
  readonly trustedProxies?: readonly string[] | undefined;
}

/** Where to listen: a descriptor that already listens, or a port of an address. */
export type ListenTarget =
  | { readonly fd: number }
  /** `reusePort`: others may bind the same address too (Node 22.12 and later). */
  | { readonly port: number; readonly host?: string; readonly reusePort?: boolean };

export class FrontEnd {
  readonly #server: Server;
  /** Undefined: cleartext. */
  readonly #tls: TlsServers | undefined;
  readonly #http1: Http1Server;
  readonly #http2: SessionServer;
  readonly #options: FrontEndOptions;
  /** One object for all parts. */
  readonly #limits: LiveLimits;
  readonly #settings: LiveSettings;
  readonly #stalls: StallWatch;
  readonly #faults: ConnectionFaults;
  /** Those who speak without TLS on a port that has it. */
  #misdirected: { readonly http1: Http1Server; readonly http2: SessionServer } | undefined;
  readonly #handshakes = new Handshakes();
  readonly #proxied: ProxiedConnections | undefined;
  readonly #sockets = new Set<Socket>();
  #sweepTimer: NodeJS.Timeout | undefined;
  readonly #addresses: AddressLimit;
  readonly #tooMany = new MinuteNotice();
  readonly #descriptors: DescriptorWatch;
  #draining = false;
  #graceTimer: NodeJS.Timeout | undefined;
  #stopped = false;
  /** Called when the last socket has closed. */
  #emptied: (() => void) | undefined;

  /** `handle` owns each exchange it is given: it has to end or reset it. */
  constructor(options: FrontEndOptions, handle: (exchange: Exchange) => void) {
    const { logger, counters, trustedProxies } = options;
    this.#proxied = trustedProxies && new ProxiedConnections(trustedProxies, logger, counters);
    const limits = { ...options.limits, linger: options.limits.linger ?? LINGER_LIMITS };
    this.#options = options;
    this.#limits = limits;
    this.#stalls = new StallWatch(limits.stallTimeoutMs);
    const settings: LiveSettings = {
      logger,
      counters,
      bodyBytesMax: limits.bodyBytesMax,
      patience: this.#patienceOf(limits),
      unreadBodies: options.unreadBodies ?? new UnreadBodies(limits.unreadBodyBytesMax, counters, logger),
      compression: options.compression ?? new Compression(DEFAULT_COMPRESSION, new PoolTurns(1), counters),
      observers: options.observers ?? [],
      transportSecurity: options.transportSecurity,
    };
    this.#settings = settings;
    this.#faults = new ConnectionFaults(logger, counters);
    this.#descriptors = new DescriptorWatch(logger, counters);
    this.#http1 = new Http1Server(limits, settings, handle);
    this.#http2 = new SessionServer(limits, settings, handle);
    this.#tls = options.tls === undefined ? undefined : this.#createTls(options.tls);
    this.#server = this.#tls === undefined ? this.#createCleartext() : this.#createSecure(this.#tls);
    this.#server.maxConnections = limits.connectionsMax;
    this.#server.on('connection', (socket: Socket) => this.#track(socket));
    this.#server.on('drop', () => this.#refusedTooMany());
    this.#server.on('error', (error) => this.#failed(error));
    this.#addresses = options.addresses ?? new AddressLimit(limits.connectionsPerAddressMax);
  }

  /** Starts accepting; resolves to the address that is bound. */
  listen(target: ListenTarget): Promise<AddressInfo> {
    return new Promise((resolve, reject) => {
      const failed = (error: Error): void => {
        reject(new GatewayError('LGW_LISTEN_FAILED', `Cannot listen: ${error.message}`, { cause: error }));
      };
      this.#server.once('error', failed);
      this.#server.listen(target, () => {
        this.#server.removeListener('error', failed);
        const address = this.#server.address();
        if (address === null || typeof address === 'string') {
          reject(new GatewayError('LGW_LISTEN_FAILED', 'Cannot listen: the descriptor is not a TCP socket'));
          return;
        }
        this.#descriptors.start();
        this.#startSweeps();
        resolve(address);
      });
    });
  }

  /** Starts accepting on a descriptor that is already listening; the front end owns it and closes it. */
  start(fd: number): Promise<AddressInfo> {
    return this.listen({ fd });
  }

  /**
   * Connections that are made from now on keep these limits, and so do requests that begin on those that exist, but for
   * what a connection was told at its start (sizes of heads, streams of a session) or counts for itself (resets, frames).
   * Deadlines hold for what waits already.
   */
  setLimits(limits: ConnectionLimits): void {
    Object.assign(this.#limits, limits);
    const settings = this.#settings;
    this.#stalls.limitMs = limits.stallTimeoutMs;
    settings.bodyBytesMax = limits.bodyBytesMax;
    settings.patience = this.#patienceOf(this.#limits);
    settings.unreadBodies.resize(limits.unreadBodyBytesMax);
    this.#addresses.connectionsMax = limits.connectionsPerAddressMax;
    this.#server.maxConnections = limits.connectionsMax;
    if (this.#sweepTimer !== undefined && !this.#stopped) this.#startSweeps();
  }

  /** Who hears of each exchange that is over from now on. */
  setObservers(observers: readonly ExchangeObserver[]): void {
    this.#settings.observers = observers;
  }

  /** Of a front end whose connections begin with a PROXY head: who may send it from now on. */
  setTrustedProxies(trusted: readonly string[]): void {
    this.#proxied?.trust(trusted);
  }

  /** Of answers from now on; over HTTP/2 of those of sessions that begin from now on. */
  setTransportSecurity(value: string | undefined): void {
    this.#settings.transportSecurity = value;
  }

  #patienceOf({ bodyRateMin, bodyGraceMs = BODY_GRACE_MS }: FrontEndLimits): ClientPatience {
    return {
      stalls: this.#stalls,
      bodyRate: { bytesPerSecondMin: bodyRateMin, graceMs: bodyGraceMs },
    };
  }

  /** New handshakes use these certificates and keys; connections that exist stay as they are. */
  setTls(tls: TlsOptions | HandshakePolicies): void {
    this.#tls?.replace(tls);
  }

  /**
   * Stops accepting, lets open exchanges finish (GOAWAY, `connection: close`), and after `timeoutMs` cuts what is
   * left. Resolves to the number of connections that had to be cut. Connections that are idle, or in their handshake, may ask once
   * more for `graceMs`: of those that are closed at once, one may have a request on its way.
   */
  drain(timeoutMs: number, graceMs = 0): Promise<number> {
    if (!this.#draining) {
      this.#draining = true;
      if (this.#server.listening) this.#server.close();
      this.#misdirected?.http1.drain();
      if (graceMs === 0) this.#drainConnections();
      else {
        this.#http1.leave();
        this.#http2.leave();
        this.#graceTimer = setTimeout(() => this.#drainConnections(), graceMs);
      }
    }
    return new Promise((resolve) => {
      const finish = (cut: number): void => {
        clearTimeout(timer);
        this.stop();
        resolve(cut);
      };
      const timer = setTimeout(() => finish(this.#sockets.size), timeoutMs);
      this.#emptied = () => finish(0);
      if (this.#sockets.size === 0) process.nextTick(finish, 0);
    });
  }

  #drainConnections(): void {
    this.#http1.drain();
    this.#http2.drain();
  }

  /** Ends everything at once. */
  stop(): void {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#emptied = undefined;
    clearInterval(this.#sweepTimer);
    clearTimeout(this.#graceTimer);
    this.#descriptors.end();
    if (this.#server.listening) this.#server.close();
    this.#http2.stop();
    this.#http1.stop();
    this.#misdirected?.http2.stop();
    this.#misdirected?.http1.stop();
    for (const socket of this.#sockets) socket.destroy();
  }

  #createTls(tls: TlsOptions | HandshakePolicies): TlsServers {
    return new TlsServers(tls, {
      secured: (socket, speaksHttp) => {
        socket.on('error', ignore);
        const below = socketBelow(socket);
        this.#handshakeDone(below);
        this.#countVersion(socket);
        this.#proxied?.passOn(below, socket);
        if (!speaksHttp) socket.end();
        else if (socket.alpnProtocol === 'h2') this.#http2.serve(socket);
        else this.#http1.serve(socket);
      },
      // end() would wait for ever on a socket whose handshake never finishes
      failed: (error, socket) => {
        this.#faults.handshakeFailed(this.#handshakes.peerOf(socketBelow(socket)), error);
        socket.destroy();
      },
    });
  }

  #createSecure(tls: TlsServers): Server {
    return createServer({ noDelay: this.#options.noDelay ?? true }, (socket) => {
      const acceptedAt = performance.now();
      this.#choose(socket, acceptedAt, tls.readsHello, (protocol, hello) => {
        if (protocol !== 'tls' && protocol !== 'other') {
          this.#handshakes.forget(socket);
          this.#serveCleartext(socket, protocol);
          return;
        }
        if (!tls.start(socket, hello)) this.#faults.nameRefused(socket.remoteAddress, hello?.serverName);
      });
    });
  }

  #handshakeDone(socket: object): void {
    const tookMs = this.#handshakes.complete(socket);
    if (tookMs !== undefined) this.#options.counters.observe(COUNT.handshakes, tookMs);
  }

  #countVersion(socket: TLSSocket): void {
    const isResumed = socket.isSessionReused();
    const slot =
      socket.getProtocol() === 'TLSv1.2'
        ? isResumed
          ? COUNT.tls12ResumedTotal
          : COUNT.tls12Total
        : isResumed
          ? COUNT.tls13ResumedTotal
          : COUNT.tls13Total;
    this.#options.counters.add(slot, 1);
  }

  #createCleartext(): Server {
    return createServer({ noDelay: this.#options.noDelay ?? true, allowHalfOpen: true }, (socket) => {
      this.#choose(socket, performance.now(), false, (protocol) => {
        this.#handshakes.forget(socket);
        if (protocol === 'tls') this.#faults.spokeTls(socket);
        if (protocol === 'h2') this.#http2.serve(socket);
        else this.#http1.serve(socket);
      });
    });
  }

  #choose(
    socket: Socket,
    acceptedAt: number,
    readsHello: boolean,
    chosen: (protocol: SpokenProtocol, hello: ClientHello | undefined) => void,
  ): void {
    if (this.#proxied === undefined) this.#chooseProtocol(socket, acceptedAt, readsHello, chosen);
    else
      this.#proxied.take(socket, this.#limits.handshakeTimeoutMs, () => {
        if (this.#admit(socket)) this.#chooseProtocol(socket, acceptedAt, readsHello, chosen);
      });
  }

  /** Counts a connection by the address of its client, which a PROXY head may have named. */
  #admit(socket: Socket): boolean {
    const address = addressKey(socket.remoteAddress);
    if (address === undefined) return true;
    if (!this.#addresses.admit(address)) {
      this.#refusedOf(address);
      socket.destroy();
      return false;
    }
    socket.once('close', () => this.#addresses.release(address));
    return true;
  }

  #chooseProtocol(
    socket: Socket,
    acceptedAt: number,
    readsHello: boolean,
    chosen: (protocol: SpokenProtocol, hello: ClientHello | undefined) => void,
  ): void {
    const peer = socket.remoteAddress;
    this.#handshakes.begin(socket, acceptedAt);
    const saidNothing = (): void => this.#faults.saidNothing(peer);
    chooseByFirstBytes(socket, readsHello, chosen, saidNothing);
  }

  /** Whoever speaks HTTP without TLS here is told where to go, in his own protocol. */
  #serveCleartext(socket: Socket, protocol: 'h2' | 'http/1'): void {
    this.#faults.spokeCleartext(socket);
    this.#misdirected ??= {
      http1: new Http1Server(this.#limits, this.#settings, answerCleartext),
      http2: new SessionServer(this.#limits, this.#settings, answerCleartext),
    };
    const { http1, http2 } = this.#misdirected;
    if (protocol === 'h2') {
      http2.serve(socket);
      // the session ends behind what it has been asked
      http2.drain();
    } else http1.serve(socket);
  }

  #track(socket: Socket): void {
    const { counters, listener } = this.#options;
    socket.on('error', ignore);
    if (this.#descriptors.isLent()) {
      socket.destroy();
      this.#descriptors.takeBack();
      return;
    }
    if (this.#proxied === undefined && !this.#admit(socket)) return;
    this.#descriptors.lookSoon();
    this.#sockets.add(socket);
    counters.add(COUNT.connections, 1);
    counters.add(COUNT.connectionsTotal, 1);
    listener?.add(LISTENER_COUNT.connections, 1);
    listener?.add(LISTENER_COUNT.connectionsTotal, 1);
    socket.on('close', () => {
      this.#sockets.delete(socket);
      this.#handshakes.forget(socket);
      counters.add(COUNT.connections, -1);
      listener?.add(LISTENER_COUNT.connections, -1);
      if (this.#sockets.size === 0) this.#emptied?.();
    });
  }

  #failed(error: Error): void {
    if (!isUsedUp(error)) {
      this.#options.logger.error('Listener failed', { error: messageOf(error) });
      return;
    }
    // libuv tries to accept the same connection again and again: one has to be closed, so that other events are handled
    if (!this.#descriptors.lend()) this.#cutOldest();
  }

  #cutOldest(): void {
    for (const socket of this.#sockets) {
      // their events come when libuv has had its connection
      if (socket.destroyed) continue;
      socket.destroy();
      return;
    }
    pause();
  }

  #refusedTooMany(): void {
    const { counters, logger } = this.#options;
    counters.add(COUNT.connectionsRefusedTotal, 1);
    const times = this.#tooMany.note();
    if (times === undefined) return;
    const text = 'Connections are refused: as many are open as may be (--max-connections)';
    logger.warn(text, { limit: this.#limits.connectionsMax, times });
  }

  /** `address`: of the one that was refused last. */
  #refusedOf(address: string): void {
    const { counters, logger } = this.#options;
    counters.add(COUNT.connectionsRefusedTotal, 1);
    const times = this.#addresses.notice.note();
    if (times === undefined) return;
    const text = 'Connections are refused: one address has as many as it may (--max-connections-per-address)';
    logger.warn(text, { address, limit: this.#limits.connectionsPerAddressMax, times });
  }

  #startSweeps(): void {
    clearInterval(this.#sweepTimer);
    this.#sweepTimer = setInterval(() => this.#sweep(), chooseSweepInterval(this.#limits));
    this.#sweepTimer.unref();
  }

  #sweep(): void {
    const now = performance.now();
    this.#descriptors.look();
    this.#handshakes.sweep(this.#limits.handshakeTimeoutMs);
    this.#stalls.sweep(now);
    this.#settings.unreadBodies.sweep();
    this.#http1.sweep(now);
    this.#http2.sweep(now);
    this.#misdirected?.http1.sweep(now);
    this.#misdirected?.http2.sweep(now);
  }
}

/** Socket errors are followed by `close`. */
function ignore(): void {}
