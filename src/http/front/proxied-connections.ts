/** Connections that a trusted proxy has opened for clients: takes the PROXY head off each, and lets the socket say whose it is. */
import { type BlockList, isIPv6, type Socket } from 'node:net';
import { parseAddressList } from '../../base/address-list.ts';
import { assert } from '../../base/assert.ts';
import type { Logger } from '../../base/logger.ts';
import { MinuteNotice } from '../../base/minute-notice.ts';
import { COUNT, type Counters } from '../../metrics/worker-metrics.ts';
import { type ProxiedEnds, parseProxyHead } from './proxy-head.ts';

const MAPPED_PREFIX = '::ffff:';

export class ProxiedConnections {
  readonly #logger: Logger;
  readonly #counters: Counters;
  #trusted: BlockList;
  /** By the socket below TLS. */
  readonly #ends = new WeakMap<object, ProxiedEnds>();
  readonly #notice = new MinuteNotice();

  /** `trusted`: addresses and networks, checked before, that may say for whom a connection is. */
  constructor(trusted: readonly string[], logger: Logger, counters: Counters) {
    this.#trusted = readTrusted(trusted);
    this.#logger = logger;
    this.#counters = counters;
  }

  /** Connections that are accepted from now on go by this list. */
  trust(list: readonly string[]): void {
    this.#trusted = readTrusted(list);
  }

  /**
   * Waits at most `timeoutMs` for the head, puts back what follows it, and calls `taken`; from then on the socket has the ends that the head
   * names. Destroys the socket of whoever is not trusted, and where anything else comes.
   */
  take(socket: Socket, timeoutMs: number, taken: () => void): void {
    const peer = socket.remoteAddress;
    if (!this.#isTrusted(peer)) {
      this.#refuse(socket, peer, 'it is not from a trusted address (--proxy-trusted)');
      return;
    }
    let received: Buffer = Buffer.alloc(0);
    const timer = setTimeout(
      () => refuse(`its PROXY head was not complete after ${timeoutMs} ms`),
      timeoutMs,
    );
    timer.unref();
    const settle = (): void => {
      clearTimeout(timer);
      socket.removeListener('readable', look);
      socket.removeListener('end', ended);
      socket.removeListener('close', ended);
    };
    const refuse = (reason: string): void => {
      settle();
      this.#refuse(socket, peer, reason);
    };
    const ended = (): void => refuse('it ended before its PROXY head was complete');
    const look = (): void => {
      const bytes: unknown = socket.read();
      if (!(bytes instanceof Buffer)) return;
      received = received.length === 0 ? bytes : Buffer.concat([received, bytes]);
      const head = parseProxyHead(received);
      if (head.kind === 'more') return;
      if (head.kind === 'wrong') {
        refuse(head.reason);
        return;
      }
      settle();
      if (head.ends !== undefined) {
        this.#ends.set(socket, head.ends);
        setEnds(socket, head.ends);
      }
      if (received.length > head.size) socket.unshift(received.subarray(head.size));
      taken();
    };
    socket.on('readable', look);
    socket.on('end', ended);
    socket.on('close', ended);
  }

  /** Tells a socket over TLS what the one `below` it knows. */
  passOn(below: object, socket: Socket): void {
    const ends = this.#ends.get(below);
    if (ends !== undefined) setEnds(socket, ends);
  }

  #isTrusted(peer: string | undefined): boolean {
    if (peer === undefined) return false;
    const address =
      peer.startsWith(MAPPED_PREFIX) && peer.includes('.') ? peer.slice(MAPPED_PREFIX.length) : peer;
    return this.#trusted.check(address, isIPv6(address) ? 'ipv6' : 'ipv4');
  }

  #refuse(socket: Socket, peer: string | undefined, reason: string): void {
    socket.destroy();
    this.#counters.add(COUNT.proxyHeadsRefusedTotal, 1);
    const times = this.#notice.note();
    if (times !== undefined) this.#logger.warn(`Connection closed: ${reason}`, { peer, times });
  }
}

function readTrusted(texts: readonly string[]): BlockList {
  const list = parseAddressList(texts);
  assert(list !== undefined, 'the trusted addresses have been checked');
  return list;
}

/** What a socket tells by getters of its class it tells by itself from now on. */
function setEnds(socket: Socket, ends: ProxiedEnds): void {
  Object.defineProperties(socket, {
    remoteAddress: { value: ends.address },
    remotePort: { value: ends.port },
    remoteFamily: { value: isIPv6(ends.address) ? 'IPv6' : 'IPv4' },
    localAddress: { value: ends.localAddress },
    localPort: { value: ends.localPort },
  });
}
