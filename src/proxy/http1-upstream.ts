/** One upstream of HTTP/1.1: makes connections to it, and keeps those that are idle for the next call. */
import type { Socket } from 'node:net';
import type { ProxyTarget } from '../mapping/proxy-target.ts';
import { connectTo, type UpstreamParts } from './connect-to.ts';
import { Http1Link, type LinkOwner } from './http1-link.ts';
import { KnownAnswers } from './known-answers.ts';
import { IDLE_LINKS_MAX, IDLE_LINKS_WORKER_MAX, LINK_FRESH_MS, LINK_IDLE_MS } from './proxy-limits.ts';
import type { CallListener, LinkChoice, PooledUpstream, UpstreamCall, UpstreamRequest } from './upstream.ts';

export class Http1Upstream implements PooledUpstream, LinkOwner {
  readonly target: ProxyTarget;
  readonly known: KnownAnswers = new KnownAnswers();
  readonly #parts: UpstreamParts;
  readonly #links = new Set<Http1Link>();
  /** The one used last stands last. */
  readonly #idle: Http1Link[] = [];
  #isStopped = false;

  constructor(parts: UpstreamParts) {
    this.target = parts.target;
    this.#parts = parts;
  }

  /** Connections, idle ones too. */
  get linkCount(): number {
    return this.#links.size;
  }

  call(request: UpstreamRequest, listener: CallListener, choice: LinkChoice): UpstreamCall {
    const link = (choice === 'any' ? this.#takeIdle(request) : this.#takeUnused()) ?? this.#open();
    link.begin(request, listener, choice === 'own');
    return link;
  }

  /** Takes a connection that was made elsewhere and has no call. */
  adopt(socket: Socket): void {
    const link = this.#link(socket, undefined);
    link.idleMs = LINK_IDLE_MS;
    this.free(link);
  }

  /** Closes what has been idle for too long; `now` is a time of performance.now. */
  sweep(now: number): void {
    for (const link of this.#idle.filter((one) => now - one.idleSince >= one.idleMs)) link.close();
  }

  /** Calls under way go on, and nothing is kept behind them. */
  stop(): void {
    this.#isStopped = true;
    for (const link of [...this.#idle]) link.close();
  }

  // ---- LinkOwner ----

  free(link: Http1Link): void {
    const { idle } = this.#parts;
    const isFull = this.#idle.length >= IDLE_LINKS_MAX || idle.count >= IDLE_LINKS_WORKER_MAX;
    if (this.#isStopped || isFull || link.idleMs <= 0) {
      link.close();
      return;
    }
    link.idleSince = performance.now();
    this.#idle.push(link);
    idle.count += 1;
  }

  closed(link: Http1Link): void {
    this.#links.delete(link);
    const at = this.#idle.indexOf(link);
    if (at === -1) return;
    this.#idle.splice(at, 1);
    this.#parts.idle.count -= 1;
  }

  // ---- inside ----

  #takeIdle({ isIdempotent }: UpstreamRequest): Http1Link | undefined {
    const link = this.#idle[this.#idle.length - 1];
    if (link === undefined) return undefined;
    const now = performance.now();
    if (now - link.idleSince >= link.idleMs) {
      this.sweep(now);
      return this.#popIdle();
    }
    // a server that closes at this moment would leave open whether it has done what cannot be repeated
    if (!isIdempotent && now - link.idleSince >= LINK_FRESH_MS) return undefined;
    return this.#popIdle();
  }

  /** One that was made elsewhere, for whoever waits for it. */
  #takeUnused(): Http1Link | undefined {
    const at = this.#idle.findIndex((link) => !link.isReused);
    if (at === -1) return undefined;
    this.#parts.idle.count -= 1;
    return this.#idle.splice(at, 1)[0];
  }

  #popIdle(): Http1Link | undefined {
    const link = this.#idle.pop();
    if (link !== undefined) this.#parts.idle.count -= 1;
    return link;
  }

  #open(): Http1Link {
    return this.#link(
      connectTo(this.#parts, ['http/1.1']),
      this.target.isSecure ? 'secureConnect' : 'connect',
    );
  }

  #link(socket: Socket, connectEvent: 'connect' | 'secureConnect' | undefined): Http1Link {
    const link = new Http1Link(socket, connectEvent, this);
    this.#links.add(link);
    this.#parts.opened(this);
    return link;
  }
}
