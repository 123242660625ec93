/** One upstream of HTTP/1.1: makes connections to it, and keeps those that are idle for the next call. */
import type { LookupFunction, Socket } from 'node:net';
import type { UpstreamTls } from '../mapping/proxy-settings.ts';
import type { ProxyTarget } from '../mapping/proxy-target.ts';
import { connectTo } from './connect-to.ts';
import { Http1Link, type LinkOwner } from './http1-link.ts';
import { KnownAnswers } from './known-answers.ts';
import { IDLE_LINKS_MAX, LINK_FRESH_MS } from './proxy-limits.ts';
import type { CallListener, PooledUpstream, UpstreamCall, UpstreamRequest } from './upstream.ts';

export class Http1Upstream implements PooledUpstream, LinkOwner {
  readonly target: ProxyTarget;
  readonly known: KnownAnswers = new KnownAnswers();
  readonly #tls: UpstreamTls;
  readonly #lookup: LookupFunction | undefined;
  readonly #links = new Set<Http1Link>();
  /** The one used last stands last. */
  readonly #idle: Http1Link[] = [];
  readonly #opened: (upstream: PooledUpstream) => void;
  #session: Buffer | undefined;
  #isStopped = false;

  /** `lookup`: resolves the host; undefined = Node's own. `opened` hears of each new connection. */
  constructor(
    target: ProxyTarget,
    tls: UpstreamTls,
    lookup: LookupFunction | undefined,
    opened: (upstream: PooledUpstream) => void,
  ) {
    this.target = target;
    this.#tls = tls;
    this.#lookup = lookup;
    this.#opened = opened;
  }

  /** Connections, idle ones too. */
  get linkCount(): number {
    return this.#links.size;
  }

  call(request: UpstreamRequest, listener: CallListener, isFresh: boolean): UpstreamCall {
    const link = (isFresh ? undefined : this.#takeIdle(request)) ?? this.#open();
    link.begin(request, listener);
    return link;
  }

  /** Closes what has been idle for too long; `now` is a time of performance.now. */
  sweep(now: number): void {
    for (const link of this.#idle.filter((one) => now - one.idleSince >= one.idleMs)) link.close();
  }

  /** Calls under way go on, and nothing is kept behind them. */
  stop(): void {
    this.#isStopped = true;
    for (const link of this.#idle.splice(0)) link.close();
  }

  // ---- LinkOwner ----

  free(link: Http1Link): void {
    if (this.#isStopped || this.#idle.length >= IDLE_LINKS_MAX || link.idleMs <= 0) {
      link.close();
      return;
    }
    link.idleSince = performance.now();
    this.#idle.push(link);
  }

  closed(link: Http1Link): void {
    this.#links.delete(link);
    const at = this.#idle.indexOf(link);
    if (at !== -1) this.#idle.splice(at, 1);
  }

  // ---- inside ----

  #takeIdle({ isIdempotent }: UpstreamRequest): Http1Link | undefined {
    const link = this.#idle[this.#idle.length - 1];
    if (link === undefined) return undefined;
    const now = performance.now();
    if (now - link.idleSince >= link.idleMs) {
      this.sweep(now);
      return this.#idle.pop();
    }
    // a server that closes at this moment would leave open whether it has done what cannot be repeated
    if (!isIdempotent && now - link.idleSince >= LINK_FRESH_MS) return undefined;
    return this.#idle.pop();
  }

  #open(): Http1Link {
    const { isSecure } = this.target;
    const link = new Http1Link(this.#connect(), isSecure ? 'secureConnect' : 'connect', this);
    this.#links.add(link);
    this.#opened(this);
    return link;
  }

  #connect(): Socket {
    const socket = connectTo(this.target, this.#tls, this.#lookup, 'http/1.1', this.#session);
    socket.on('session', (session: Buffer) => {
      this.#session = session;
    });
    return socket;
  }
}
