/** The seam between the proxy and the servers behind it: one call for each request, over whatever protocol; and who chooses among servers. */
import type { ReadableBytes } from '../base/byte-queue.ts';
import type { GatewayError } from '../base/errors.ts';
import type { Exchange } from '../http/exchange/exchange.ts';
import type { Fields } from '../http/semantics/fields.ts';
import type { ProxyTarget } from '../mapping/proxy-target.ts';

/** A request as it goes to an upstream. Requests with equal heads of one connection may share it. */
export interface UpstreamRequest {
  readonly method: string;
  /** Origin form, or `*`: as the client sent it, perhaps with another path before it. */
  readonly target: string;
  readonly authority: string;
  /** Those that go end to end and those that the proxy adds; no Host, none that frames the message or speaks of a connection. */
  readonly fields: Fields;
  readonly hasBody: boolean;
  /** The Content-Length of the body; undefined where it is not known. */
  readonly declaredLength: number | undefined;
  /** Trailers follow the body, as far as its head says. */
  readonly announcesTrailers: boolean;
  /** The client takes trailers (`TE: trailers`). */
  readonly takesTrailers: boolean;
  /** The protocols that the client would go on with; undefined where it asks for none. */
  readonly upgrade: string | undefined;
  /** It may be sent twice (RFC 9110 §9.2.2). */
  readonly isIdempotent: boolean;
  /** Belongs to the upstream: what it has made of the head. */
  memo: unknown;
}

/** The head of a final answer, as it goes to the client. */
export interface UpstreamAnswer {
  readonly status: number;
  /** Reason phrase, where it is not the registered one. */
  readonly reason: string | undefined;
  /** Those that go end to end, with the one Content-Length where the length is known. */
  readonly fields: Fields;
}

/**
 * How far a call had come when it failed. `unsent`: nothing has left. `stale`: a connection that had served others has ended before
 * anything of an answer came, as it does when the server has closed it meanwhile. `unanswered`: so has a fresh one. `answering`: a
 * part of an answer had come.
 */
export type CallStage = 'unsent' | 'stale' | 'unanswered' | 'answering';

/** Hears of one call, in this order; nothing follows `ended`, `answeredWhole`, `failed`, or a cancelled call. */
export interface CallListener {
  /** There is a connection. Not called where there was one at once. */
  connected(): void;
  /** An informational answer that clients may see: neither 100 nor 101. */
  informed(status: number, fields: Fields): void;
  /** A short answer that has come in one piece: head and body at once. The bytes are only lent. */
  answeredWhole(answer: UpstreamAnswer, body: Buffer): void;
  answered(answer: UpstreamAnswer): void;
  /** Content of the body; only lent. False: nothing more comes before `resume`, but for what one read has brought. */
  received(bytes: Buffer): boolean;
  ended(trailers: Fields | undefined): void;
  /** The upstream goes on with another protocol: what is received and sent are its bytes, until either side ends. */
  switched(protocol: string, fields: Fields): void;
  /** There is room for more of the body after `send` has returned false. */
  drained(): void;
  failed(error: GatewayError, stage: CallStage): void;
}

/** One request on its way. Not to be touched any more when its listener has heard the last. */
export interface UpstreamCall {
  /** False: the connection is still being made. */
  readonly isConnected: boolean;
  /** Takes bytes of the request's body out of the queue. False: no more before `drained`. */
  send(queue: ReadableBytes): boolean;
  /** The body has ended. */
  endBody(trailers: Fields | undefined): void;
  resume(): void;
  /** Gives it up: nobody hears of it any more. */
  cancel(): void;
}

/**
 * The connection that a call gets. `any`: an idle one, or one of HTTP/2 with room, else a new one. `fresh`: one that has served nobody.
 * `own`: such a one, which ends with the call.
 */
export type LinkChoice = 'any' | 'fresh' | 'own';

/** One server, and the connections to it. */
export interface Upstream {
  readonly target: ProxyTarget;
  /** Begins a call. The listener hears nothing before this returns. */
  call(request: UpstreamRequest, listener: CallListener, choice: LinkChoice): UpstreamCall;
}

/** An upstream with connections of its own, whatever their protocol. */
export interface PooledUpstream extends Upstream {
  /** Connections, idle ones too. */
  readonly linkCount: number;
  /** Closes what has been idle for too long; `now` is a time of performance.now. */
  sweep(now: number): void;
  /** Calls under way go on, and nothing is kept behind them. */
  stop(): void;
}

/** What came of one call, for whoever chooses: the status of the answer, or why there is none. */
export type CallOutcome = number | 'failed' | 'given up';

/** Chooses among the upstreams of one proxy, and hears what came of it. */
export interface Balancer {
  /** A request names its upstreams: checks of them go on for a while. */
  renew(): void;
  /** A configuration names its upstreams, until `release`: they are checked all the time, and what is known of them is kept. */
  hold(): void;
  release(): void;
  /** Undefined: none is left. `tried`: those that have failed for this request. */
  choose(exchange: Exchange, tried: readonly Upstream[]): Upstream | undefined;
  began(upstream: Upstream): void;
  /** `ms`: until the head of the answer, or until it failed. */
  ended(upstream: Upstream, outcome: CallOutcome, ms: number): void;
}
