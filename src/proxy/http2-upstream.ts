/** One upstream of HTTP/2, by TLS or with prior knowledge: one connection, and further ones where that has no room. */
import type { Socket } from 'node:net';
import type { ProxyTarget } from '../mapping/proxy-target.ts';
import { callError } from './call-error.ts';
import { connectTo, type UpstreamParts } from './connect-to.ts';
import { Http2Call } from './http2-call.ts';
import { Http2Session, type SessionOwner } from './http2-session.ts';
import { IDLE_LINKS_WORKER_MAX, LINK_IDLE_MS, SESSIONS_MAX } from './proxy-limits.ts';
import type { CallListener, LinkChoice, PooledUpstream, UpstreamCall, UpstreamRequest } from './upstream.ts';

export class Http2Upstream implements PooledUpstream, SessionOwner {
  readonly target: ProxyTarget;
  readonly #parts: UpstreamParts;
  readonly #sessions = new Set<Http2Session>();
  readonly #idle = new Set<Http2Session>();
  #isStopped = false;

  constructor(parts: UpstreamParts) {
    this.target = parts.target;
    this.#parts = parts;
  }

  get linkCount(): number {
    return this.#sessions.size;
  }

  call(request: UpstreamRequest, listener: CallListener, choice: LinkChoice): UpstreamCall {
    const session = this.#find(choice === 'any') ?? this.#open();
    if (session === undefined) return this.#refuse(request, listener);
    const call = session.call(request, listener);
    if (choice === 'own') session.retire();
    return call;
  }

  /** Takes a connection that was made elsewhere. */
  adopt(socket: Socket): void {
    this.#session(socket, true);
  }

  sweep(now: number): void {
    for (const session of [...this.#sessions])
      if (session.callCount === 0 && now - session.idleSince >= LINK_IDLE_MS) session.close();
  }

  stop(): void {
    this.#isStopped = true;
    for (const session of [...this.#sessions]) session.retire();
  }

  // ---- SessionOwner ----

  idle(session: Http2Session): void {
    const { idle } = this.#parts;
    if (this.#idle.has(session)) return;
    if (this.#isStopped || idle.count >= IDLE_LINKS_WORKER_MAX) {
      session.close();
      return;
    }
    this.#idle.add(session);
    idle.count += 1;
  }

  used(session: Http2Session): void {
    if (this.#idle.delete(session)) this.#parts.idle.count -= 1;
  }

  closed(session: Http2Session): void {
    this.used(session);
    this.#sessions.delete(session);
  }

  // ---- inside ----

  #find(mayBeUsed: boolean): Http2Session | undefined {
    for (const session of this.#sessions)
      if (session.hasRoom && (mayBeUsed || session.isUnused)) return session;
    return undefined;
  }

  #refuse(request: UpstreamRequest, listener: CallListener): UpstreamCall {
    const { target } = this;
    const call = new Http2Call(request, listener, { target, heard() {}, closed() {} });
    const text = `${SESSIONS_MAX} connections to it are in use, and the limit is as many`;
    process.nextTick(() => call.fail(callError('limit', target.name, text), 'unsent'));
    return call;
  }

  /** Undefined: there are as many as may be. */
  #open(): Http2Session | undefined {
    if (this.#sessions.size >= SESSIONS_MAX) return undefined;
    return this.#session(connectTo(this.#parts, ['h2']), false);
  }

  #session(socket: Socket, isConnected: boolean): Http2Session {
    const session = new Http2Session(this.target, socket, isConnected, this);
    // whoever stops it now leaves this one to its call
    this.#parts.opened(this);
    this.#sessions.add(session);
    return session;
  }
}
