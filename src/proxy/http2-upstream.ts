/** One upstream of HTTP/2, by TLS or with prior knowledge: one connection, and further ones where that has no room. */
import type { LookupFunction } from 'node:net';
import type { UpstreamTls } from '../mapping/proxy-settings.ts';
import type { ProxyTarget } from '../mapping/proxy-target.ts';
import { callError } from './call-error.ts';
import { connectTo } from './connect-to.ts';
import { Http2Call } from './http2-call.ts';
import { Http2Session } from './http2-session.ts';
import { LINK_IDLE_MS, SESSIONS_MAX } from './proxy-limits.ts';
import type { CallListener, PooledUpstream, UpstreamCall, UpstreamRequest } from './upstream.ts';

export class Http2Upstream implements PooledUpstream {
  readonly target: ProxyTarget;
  readonly #tls: UpstreamTls;
  readonly #lookup: LookupFunction | undefined;
  readonly #opened: (upstream: PooledUpstream) => void;
  readonly #sessions = new Set<Http2Session>();

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

  get linkCount(): number {
    return this.#sessions.size;
  }

  call(request: UpstreamRequest, listener: CallListener, isFresh: boolean): UpstreamCall {
    const session = isFresh ? undefined : this.#find();
    if (session !== undefined) return session.call(request, listener);
    return this.#sessions.size < SESSIONS_MAX
      ? this.#open().call(request, listener)
      : this.#refuse(request, listener);
  }

  sweep(now: number): void {
    for (const session of [...this.#sessions])
      if (session.callCount === 0 && now - session.idleSince >= LINK_IDLE_MS) session.close();
  }

  stop(): void {
    for (const session of [...this.#sessions]) session.retire();
  }

  #find(): Http2Session | undefined {
    for (const session of this.#sessions) if (session.hasRoom) return session;
    return undefined;
  }

  #refuse(request: UpstreamRequest, listener: CallListener): UpstreamCall {
    const { target } = this;
    const call = new Http2Call(request, listener, { target, heard() {}, closed() {} });
    const text = `${SESSIONS_MAX} connections to it are in use, and the limit is as many`;
    process.nextTick(() => call.fail(callError('limit', target.name, text), 'unsent'));
    return call;
  }

  #open(): Http2Session {
    const socket = connectTo(this.target, this.#tls, this.#lookup, 'h2', undefined);
    const session = new Http2Session(this.target, socket, (closed) => this.#sessions.delete(closed));
    this.#sessions.add(session);
    this.#opened(this);
    return session;
  }
}
