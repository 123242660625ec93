/** Passes requests of one worker on: bounds and counts them, and keeps the upstreams that several may have in common. */
import type { LookupFunction } from 'node:net';
import type { GatewayError } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import type { Exchange } from '../http/exchange/exchange.ts';
import type { UpstreamTls } from '../mapping/proxy-settings.ts';
import type { ProxyTarget } from '../mapping/proxy-target.ts';
import type { Counters } from '../metrics/worker-metrics.ts';
import type { ConnectPolicy } from '../outbound/connect-policy.ts';
import { AnswerBatch } from './answer-batch.ts';
import { callError } from './call-error.ts';
import { Deadlines } from './deadlines.ts';
import { Http1Upstream } from './http1-upstream.ts';
import { Http2Upstream } from './http2-upstream.ts';
import { NegotiatedUpstream } from './negotiated-upstream.ts';
import { CALLS_MAX, LINK_SWEEP_MS, UPSTREAMS_MAX } from './proxy-limits.ts';
import { type ProxyDone, type ProxyParts, type ProxyRoute, ProxyRun } from './proxy-run.ts';
import { ServerGroup } from './server-group.ts';
import type { PooledUpstream, Upstream } from './upstream.ts';
import { HealthTable } from './upstreams/health-table.ts';

const KINDS = { http1: Http1Upstream, http2: Http2Upstream, negotiated: NegotiatedUpstream } as const;

export class Proxies {
  readonly #policy: ConnectPolicy | undefined;
  readonly #parts: ProxyParts;
  readonly #health: HealthTable;
  /** By mapping. */
  readonly #groups = new Map<string, ServerGroup>();
  readonly #upstreams = new Map<string, PooledUpstream>();
  /** Those with connections, also where `#upstreams` has another in their place. */
  readonly #active = new Set<PooledUpstream>();
  /** Idle connections of all upstreams. */
  readonly #idle = { count: 0 };
  #sweeper: NodeJS.Timeout | undefined;
  #isStopped = false;

  /** `policy`: where scripts may connect to; undefined = everywhere, as an operator may. */
  constructor(
    counters: Counters,
    workerId: number,
    policy?: ConnectPolicy,
    health: HealthTable = new HealthTable(),
  ) {
    this.#policy = policy;
    this.#health = health;
    this.#parts = { counters, workerId, deadlines: new Deadlines(), batch: new AnswerBatch() };
  }

  /** Requests under way. */
  get running(): number {
    return this.#parts.deadlines.size;
  }

  /** The servers of a mapping, which only its proxies use; the same for all states that the mapping has one after the other. */
  groupOf(mapping: string, logger: Logger): ServerGroup {
    let group = this.#groups.get(mapping);
    if (group === undefined) {
      group = new ServerGroup(mapping, this.#health, logger);
      this.#groups.set(mapping, group);
    }
    return group;
  }

  /** The upstream of a target; the same one for the same target and TLS. Throws a GatewayError where the policy forbids it. */
  upstreamOf(target: ProxyTarget, tls: UpstreamTls): Upstream {
    const { name, basePath } = target;
    const key = JSON.stringify([name, basePath, tls.verify, tls.ca, tls.servername]);
    const known = this.#upstreams.get(key);
    if (known !== undefined) return known;
    const lookup = this.#lookupFor(target);
    if (this.#upstreams.size >= UPSTREAMS_MAX) this.#forgetIdle();
    if (this.#upstreams.size >= UPSTREAMS_MAX)
      throw callError('limit', name, `${UPSTREAMS_MAX} upstreams have connections and the limit is as many`);
    const Kind = KINDS[target.version];
    const upstream = new Kind({
      target,
      tls,
      lookup,
      idle: this.#idle,
      resumption: { session: undefined },
      opened: (opened) => this.#opened(opened),
    });
    this.#upstreams.set(key, upstream);
    return upstream;
  }

  /**
   * Passes a request on and answers it. `done` may be called before this returns. Where it is called with an error and the head of the
   * exchange was not given, the exchange has still to be answered.
   */
  pass(exchange: Exchange, route: ProxyRoute, done: ProxyDone): ProxyRun {
    const run = new ProxyRun(exchange, route, this.#parts, done);
    run.start(this.running < CALLS_MAX ? undefined : tooMany());
    return run;
  }

  /** Closes idle connections; requests under way go on. */
  stop(): void {
    this.#isStopped = true;
    for (const group of this.#groups.values()) group.stop();
    clearInterval(this.#sweeper);
    for (const upstream of this.#active) upstream.stop();
    this.#active.clear();
    this.#upstreams.clear();
  }

  #opened(upstream: PooledUpstream): void {
    if (this.#isStopped) {
      upstream.stop();
      return;
    }
    this.#active.add(upstream);
    this.#sweeper ??= setInterval(() => this.#sweep(), LINK_SWEEP_MS).unref();
  }

  #lookupFor(target: ProxyTarget): LookupFunction | undefined {
    const policy = this.#policy;
    if (policy === undefined) return undefined;
    const { socketPath, isSecure, host, port, name } = target;
    if (socketPath !== undefined) {
      if (policy.allowsSocket(socketPath)) return undefined;
      throw callError('denied', name, 'connections there are not allowed (see --allow-connect)');
    }
    if (policy.allowsAll) return undefined;
    const origin = `${isSecure ? 'https' : 'http'}://${host.includes(':') ? `[${host}]` : host}:${port}`;
    policy.check(origin, '/');
    return policy.lookupFor(origin);
  }

  #sweep(): void {
    const now = performance.now();
    for (const upstream of this.#active) {
      upstream.sweep(now);
      if (upstream.linkCount === 0) this.#active.delete(upstream);
    }
    if (this.#active.size > 0) return;
    clearInterval(this.#sweeper);
    this.#sweeper = undefined;
  }

  /** Whoever uses one keeps it. */
  #forgetIdle(): void {
    for (const [key, upstream] of this.#upstreams) if (upstream.linkCount === 0) this.#upstreams.delete(key);
  }
}

function tooMany(): GatewayError {
  return callError('limit', 'an upstream', `${CALLS_MAX} requests are under way and the limit is as many`);
}
