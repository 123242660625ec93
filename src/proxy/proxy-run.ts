/**
 * One request that is passed on: chooses an upstream, tries another where that is safe, and moves both bodies with bounded buffers.
 *
 * Long because request and answer go on at the same time, and each may end the other.
 */
import { GatewayError, messageOf } from '../base/errors.ts';
import { nextRequestNumber, requestIdOf } from '../base/request-id.ts';
import type { Answerer, Exchange, ExchangeConnection } from '../http/exchange/exchange.ts';
import { type Fields, fieldValue, isNamed } from '../http/semantics/fields.ts';
import { webSocketAccept } from '../http/semantics/websocket-key.ts';
import { COUNT, type Counters } from '../metrics/worker-metrics.ts';
import { readLatin1 } from '../native/node-internals.ts';
import type { AnswerBatch, BatchedAnswer } from './answer-batch.ts';
import { callError } from './call-error.ts';
import type { Deadlines, Waiting } from './deadlines.ts';
import {
  forwardedRequest,
  forwardedTarget,
  forwardedTrailers,
  isLastHop,
  isPassable,
  viaDepth,
} from './forwarded-request.ts';
import type { ProxySettings } from './proxy-settings.ts';
import type {
  Balancer,
  CallListener,
  CallOutcome,
  CallStage,
  Upstream,
  UpstreamAnswer,
  UpstreamCall,
  UpstreamRequest,
} from './upstream.ts';

/** Gateways of this kind that one request goes through: services that ask services have chains of three or four. */
const VIA_DEPTH_MAX = 8;

/** What requests that are passed on alike have in common. */
export interface ProxyRoute {
  readonly settings: ProxySettings;
  readonly balancer: Balancer;
  /** Of the mapping. */
  readonly prefix: string;
}

/** What all of a worker have in common. */
export interface ProxyParts {
  readonly workerId: number;
  readonly counters: Counters;
  readonly deadlines: Deadlines;
  readonly batch: AnswerBatch;
}

/** The answer that the client has got. */
export interface ProxyResult {
  readonly status: number;
  /** Of its body. */
  readonly bytes: number;
}

/** `GatewayError`: with the status for its client, who has got nothing where the head of the exchange was not given. */
export type ProxyDone = (result: ProxyResult | GatewayError) => void;

/** Requests as they go out, by what they were made of: a client that repeats a head gets the same one. */
const known = new WeakMap<
  object,
  { readonly route: ProxyRoute; readonly upstream: Upstream; readonly request: UpstreamRequest }
>();

const NONE: readonly Upstream[] = [];

export class ProxyRun implements CallListener, Waiting, BatchedAnswer, Answerer {
  readonly #exchange: Exchange;
  readonly #route: ProxyRoute;
  readonly #parts: ProxyParts;
  readonly #done: ProxyDone;
  /** Upstreams that have failed. */
  #tried: Upstream[] | undefined;
  #upstream: Upstream | undefined;
  #request: UpstreamRequest | undefined;
  #call: UpstreamCall | undefined;
  #begunAt = 0;
  /** Until when the head of an answer has to be there, whatever is tried; where a body is sent, no try begins later. */
  #limitAt = 0;
  #ended = false;
  /** The choice of the upstream has been told what came of it. */
  #isTold = true;
  /** A part of the body has left: the request cannot be sent again. */
  #bodyTaken = false;
  #bodySent = false;
  #isAnswered = false;
  #isTunnel = false;
  #isRepeated = false;
  /** A short answer that waits for its batch. */
  #whole: UpstreamAnswer | undefined;
  #wholeBody = '';
  #moreBody: (() => void) | undefined;
  #moreRoom: (() => void) | undefined;
  #requestId: string | undefined;
  deadline: number = Number.POSITIVE_INFINITY;
  place = 0;

  constructor(exchange: Exchange, route: ProxyRoute, parts: ProxyParts, done: ProxyDone) {
    this.#exchange = exchange;
    this.#route = route;
    this.#parts = parts;
    this.#done = done;
  }

  /** `refusal`: it may not begin. `done` may be called before this returns. */
  start(refusal?: GatewayError): void {
    const exchange = this.#exchange;
    const { counters, deadlines } = this.#parts;
    counters.add(COUNT.proxied, 1);
    counters.add(COUNT.proxiedTotal, 1);
    deadlines.add(this);
    exchange.answeredBy ??= this;
    if (refusal !== undefined) this.#fail(refusal);
    else if (isLastHop(exchange)) {
      exchange.head(204, []);
      this.#finish();
    } else if (viaDepth(exchange.fields) >= VIA_DEPTH_MAX) {
      const text = `${VIA_DEPTH_MAX} gateways have passed it on, and it seems to come back`;
      this.#fail(
        new GatewayError('LGW_PROXY_LIMIT', `Cannot pass the request on: ${text}`, {
          status: 508,
          luaCode: 'limit',
        }),
      );
    } else this.#try(false);
  }

  /** Identifies the exchange in error pages and logs; made at the first use. */
  get requestId(): string {
    this.#requestId ??= requestIdOf(this.#parts.workerId, nextRequestNumber());
    return this.#requestId;
  }

  /** Bytes that have gone either way: whoever waits sees by it that the run goes on. */
  get moved(): number {
    const { body, bytesWritten } = this.#exchange;
    return this.#request?.hasBody === true ? bytesWritten + body.queue.taken : bytesWritten;
  }

  /** The client has gone, or nobody wants the answer any more: the call ends, and `done` is not called. */
  cancel(): void {
    if (this.#ended) return;
    this.#tell('given up');
    this.#end();
  }

  // ---- Waiting ----

  expired(): void {
    const { timeouts, totalMs } = this.#route.settings;
    const call = this.#call;
    const upstream = this.#upstream;
    if (call === undefined || upstream === undefined) return;
    const name = upstream.target.name;
    const isLast = this.deadline === this.#limitAt;
    const all = isLast && this.#tried !== undefined ? ' of all tries together' : '';
    const error = (text: string): GatewayError => callError('timeout', name, text);
    this.#call = undefined;
    call.cancel();
    if (!call.isConnected)
      this.failed(error(`no connection within ${isLast ? totalMs : timeouts.connectMs} ms${all}`), 'unsent');
    else if (this.#isTunnel) {
      this.#exchange.end();
      this.#finish();
    } else if (this.#isAnswered)
      this.failed(error(`it was silent for ${timeouts.idleMs} ms within its answer`), 'answering');
    else if (!this.#bodySent)
      this.failed(error(`it took nothing of the body for ${timeouts.idleMs} ms`), 'answering');
    else this.failed(error(`no answer within ${isLast ? totalMs : timeouts.headMs} ms${all}`), 'unanswered');
  }

  // ---- BatchedAnswer ----

  get connection(): ExchangeConnection {
    return this.#exchange.connection;
  }

  deliver(): void {
    const answer = this.#whole;
    if (this.#ended || answer === undefined) return;
    this.#giveHead(answer);
    if (this.#ended) return;
    const exchange = this.#exchange;
    if (exchange.writeText === undefined) exchange.write(Buffer.from(this.#wholeBody, 'latin1'));
    else exchange.writeText(this.#wholeBody);
    this.#finish();
  }

  // ---- CallListener ----

  connected(): void {
    this.#waitForHead(performance.now(), this.#route.settings.timeouts.headMs);
    if (this.#request?.hasBody === true) this.#sendBody();
  }

  informed(status: number, fields: Fields): void {
    if (this.#exchange.headGiven) return;
    try {
      this.#exchange.inform(status, fields);
    } catch (error) {
      // an upstream may send more of them than an exchange takes
      this.#refuse(`its informational heads cannot be passed on: ${messageOf(error)}`);
    }
  }

  answeredWhole(answer: UpstreamAnswer, body: Buffer): void {
    this.#call = undefined;
    this.#answered(answer);
    if (this.#exchange.protocol === 'HTTP/2') {
      this.#whole = answer;
      this.#wholeBody = body.length === 0 ? '' : readLatin1(body, 0, body.length);
      this.#parts.batch.add(this);
      return;
    }
    this.#giveHead(answer);
    if (this.#ended) return;
    if (body.length > 0) this.#exchange.write(body);
    this.#finish();
  }

  answered(answer: UpstreamAnswer): void {
    this.#answered(answer);
    this.#giveHead(answer);
    if (!this.#ended) this.#exchange.flush();
  }

  received(bytes: Buffer): boolean {
    const exchange = this.#exchange;
    const hasRoom = exchange.write(bytes);
    exchange.flush();
    if (hasRoom || exchange.isFull !== true) {
      this.#wait(this.#silenceMs());
      return true;
    }
    // the client is waited for now, within its own limits
    this.deadline = Number.POSITIVE_INFINITY;
    this.#moreRoom ??= () => this.#resume();
    exchange.whenDrained(this.#moreRoom);
    return false;
  }

  ended(trailers: Fields | undefined): void {
    this.#call = undefined;
    if (trailers !== undefined && !this.#isTunnel) this.#exchange.trailers(trailers);
    this.#finish();
  }

  switched(protocol: string, fields: Fields): void {
    this.#answered({ status: 101, reason: undefined, fields });
    if (this.#isAccepted(fields) && this.#exchange.openTunnel(protocol, this.#tunnelFields(fields))) {
      this.#isTunnel = true;
      this.#wait(this.#silenceMs());
      this.#sendBody();
      return;
    }
    this.#refuse(`it changes over to ${protocol} otherwise than the client has asked for`);
  }

  drained(): void {
    this.#sendBody();
  }

  failed(error: GatewayError, stage: CallStage): void {
    this.#call = undefined;
    const upstream = this.#upstream as Upstream;
    if (this.#mayRepeat(stage) && performance.now() < this.#limitAt) {
      // a connection that its server has closed meanwhile says nothing about the server
      if (stage === 'stale' && !this.#isRepeated) {
        this.#isRepeated = true;
        this.#tell('given up');
        this.#try(true, upstream);
        return;
      }
      this.#tell('failed');
      this.#tried ??= [];
      this.#tried.push(upstream);
      if (this.#tried.length <= this.#route.settings.retries && this.#try(false, undefined, error)) return;
    } else this.#tell('failed');
    this.#fail(error);
  }

  // ---- inside ----

  /** Gives the call up for what the upstream has sent. */
  #refuse(text: string): void {
    this.#tell('failed');
    this.#fail(callError('invalid', this.#upstream?.target.name ?? '', text));
  }

  /** Begins a call to `again`, or to another upstream. False: none is left, and nothing was done. */
  #try(isFresh: boolean, again?: Upstream, before?: GatewayError): boolean {
    const { balancer } = this.#route;
    const exchange = this.#exchange;
    const upstream = again ?? balancer.choose(exchange, this.#tried ?? NONE);
    if (upstream === undefined) {
      if (before === undefined)
        this.#fail(
          new GatewayError('LGW_PROXY_LIMIT', 'Cannot pass the request on: no upstream is left', {
            status: 503,
            luaCode: 'limit',
          }),
        );
      return false;
    }
    const request = this.#requestFor(upstream);
    if (request === undefined) return false;
    this.#upstream = upstream;
    this.#request = request;
    exchange.upstream = upstream.target.name;
    this.#isTold = false;
    balancer.began(upstream);
    this.#begunAt = performance.now();
    // the first try begins with the run, and the clock is asked once
    if (this.#limitAt === 0) this.#limitAt = this.#begunAt + this.#route.settings.totalMs;
    const call = upstream.call(request, this, isFresh ? 'fresh' : 'any');
    this.#call = call;
    this.#bodySent = !request.hasBody;
    const { connectMs, headMs } = this.#route.settings.timeouts;
    this.#waitForHead(this.#begunAt, call.isConnected ? headMs : connectMs);
    if (call.isConnected && request.hasBody) this.#sendBody();
    return true;
  }

  #requestFor(upstream: Upstream): UpstreamRequest | undefined {
    const exchange = this.#exchange;
    const route = this.#route;
    const before = known.get(exchange.identity);
    if (before !== undefined && before.route === route && before.upstream === upstream) return before.request;
    if (!isPassable(exchange.target))
      return this.#refuseTarget('it has a fragment or bytes that a path has as escapes only');
    const target = forwardedTarget(exchange, route.prefix, upstream.target, route.settings);
    if (target === undefined)
      return this.#refuseTarget(
        `it does not begin with ${JSON.stringify(route.prefix)} as it is written, and the target has a path to put there`,
      );
    const request = forwardedRequest(exchange, route.settings, upstream.target, target);
    // each WebSocket has a key of its own, and each request of a trace a span
    if (exchange.connectProtocol === undefined && exchange.trace === undefined)
      known.set(exchange.identity, { route, upstream, request });
    return request;
  }

  #refuseTarget(why: string): undefined {
    const text = `Cannot pass the request on with its path: ${why}`;
    this.#fail(new GatewayError('LGW_PROXY_INVALID', text, { status: 400, luaCode: 'invalid' }));
  }

  /** For a client of HTTP/2 the gateway itself has asked, and looks whether the answer is one to its question. */
  #isAccepted(fields: Fields): boolean {
    if (this.#exchange.connectProtocol === undefined) return true;
    const key = fieldValue(this.#request?.fields ?? [], 'sec-websocket-key') ?? '';
    return fieldValue(fields, 'sec-websocket-accept') === webSocketAccept(key);
  }

  /** HTTP/2 knows no such answer (RFC 8441 §5). */
  #tunnelFields(fields: Fields): Fields {
    if (this.#exchange.connectProtocol === undefined) return fields;
    return fields.filter((_text, i) => !isNamed(fields[i - (i % 2)] as string, 'sec-websocket-accept'));
  }

  #mayRepeat(stage: CallStage): boolean {
    if (this.#bodyTaken || this.#exchange.finished || stage === 'answering') return false;
    return stage === 'unsent' || this.#request?.isIdempotent === true;
  }

  /** Moves what has come of the request's body, and waits for more. */
  #sendBody(): void {
    const { body } = this.#exchange;
    const call = this.#call;
    if (call === undefined || this.#ended || (this.#bodySent && !this.#isTunnel)) return;
    if (body.queue.length > 0) {
      this.#bodyTaken = true;
      const hasRoom = call.send(body.queue);
      body.consumed();
      if (!hasRoom) {
        if (!this.#isTunnel) this.#wait(this.#route.settings.timeouts.idleMs);
        return;
      }
    }
    if (body.queue.length === 0 && body.ended) {
      // what breaks off is told by the exchange
      if (body.error !== undefined) return;
      this.#bodySent = true;
      call.endBody(forwardedTrailers(body.trailers, this.#route.settings));
      if (!this.#isAnswered) this.#wait(this.#route.settings.timeouts.headMs);
      return;
    }
    // the client is waited for now, within its own limits
    if (this.#isTunnel) this.#wait(this.#silenceMs());
    else if (!this.#isAnswered) this.deadline = Number.POSITIVE_INFINITY;
    this.#moreBody ??= () => this.#sendBody();
    body.request(1, this.#moreBody);
  }

  #resume(): void {
    if (this.#ended) return;
    this.#wait(this.#silenceMs());
    this.#call?.resume();
  }

  #silenceMs(): number {
    const { idleMs, tunnelMs } = this.#route.settings.timeouts;
    return this.#isTunnel ? tunnelMs : idleMs;
  }

  #waitForHead(now: number, ms: number): void {
    this.deadline = this.#request?.hasBody === true ? now + ms : Math.min(now + ms, this.#limitAt);
  }

  #wait(ms: number): void {
    this.deadline = performance.now() + ms;
  }

  #answered({ status }: UpstreamAnswer): void {
    this.#isAnswered = true;
    const now = performance.now();
    this.#parts.counters.observe(COUNT.upstreamAnswers, now - this.#begunAt);
    this.#tell(status, now);
    this.deadline = now + this.#route.settings.timeouts.idleMs;
  }

  #giveHead({ status, reason, fields }: UpstreamAnswer): void {
    const exchange = this.#exchange;
    if (reason !== undefined) exchange.reason = reason;
    exchange.head(status, fields);
    // a hook may have refused it
    if (exchange.finished) this.cancel();
  }

  #tell(outcome: CallOutcome, now: number = performance.now()): void {
    if (this.#isTold || this.#upstream === undefined) return;
    this.#isTold = true;
    this.#route.balancer.ended(this.#upstream, outcome, now - this.#begunAt);
  }

  /** The answer has come to its end. */
  #finish(): void {
    if (this.#ended) return;
    const exchange = this.#exchange;
    this.#end();
    exchange.end();
    this.#done({ status: exchange.status, bytes: exchange.bytesWritten });
  }

  #fail(error: GatewayError): void {
    if (this.#ended) return;
    this.#parts.counters.add(COUNT.proxyFailuresTotal, 1);
    this.#end();
    // an answer that has begun must not look whole
    if (this.#exchange.headGiven) this.#exchange.reset(error.status);
    this.#done(error);
  }

  #end(): void {
    this.#ended = true;
    const { counters, deadlines } = this.#parts;
    counters.add(COUNT.proxied, -1);
    deadlines.remove(this);
    const call = this.#call;
    this.#call = undefined;
    call?.cancel();
    if (this.#moreBody !== undefined) this.#exchange.body.cancelRequest(this.#moreBody);
    if (this.#moreRoom !== undefined) this.#exchange.cancelDrained(this.#moreRoom);
  }
}
