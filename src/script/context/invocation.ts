/** One call of a handler: joins an exchange with the coroutine that answers it, and ends both on one path. */
import type { GatewayError } from '../../base/errors.ts';
import type { TraceContext } from '../../base/trace-context.ts';
import type { Exchange } from '../../http/exchange/exchange.ts';
import type { Route } from '../../http/exchange/handler.ts';
import type { CoroutineScheduler } from '../../lua/coroutine-scheduler.ts';
import { LuaError } from '../../lua/lua-error.ts';
import { LUA_TYPE, type LuaThread } from '../../lua/lua-exports.ts';
import type { Reference } from '../../lua/state.ts';
import { isRoundFull } from '../../lua/turns.ts';
import { fetchDepthOf } from '../../outbound/fetch-loop.ts';
import { currentRun } from '../run/lua-run.ts';
import type { RunLimits } from '../run/run-limits.ts';
import { PreloadLinks } from './preload-links.ts';
import { RequestTable } from './request-table.ts';
import type { ScriptContext } from './script-context.ts';
import { ScriptRun } from './script-run.ts';

/** Promises of one response, as pushes or links: browsers take no more than a hundred. */
const PROMISES_MAX = 100;

/** What a function leaves that is called with two tables: its own result, and the tables (lua/lazy-tables.lua). */
const RESULTS_WITH_TABLES = 3;

/** The call that runs now, itself or one of its tasks; raises where none does, as while a script is loaded. */
export function currentInvocation(scheduler: CoroutineScheduler): Invocation {
  const run = currentRun(scheduler);
  if (run instanceof Invocation) return run;
  throw new LuaError(run?.hasNoClient ?? 'called outside of a request');
}

/** A function of a script that answers requests. */
export interface HandlerFunction {
  readonly reference: Reference;
  /** Pushes what it takes, and returns how many values that are; undefined: it takes nothing. */
  readonly pushArguments: ((L: LuaThread, invocation: Invocation) => number) | undefined;
  /** It has been wrapped (lua/lazy-tables.ts), so that it calls the hooks before a request by itself. */
  readonly callsHooks: boolean;
}

/** What has the connection of a request in the place of an answer, and ends it in its own way. */
export interface Takeover {
  /** What messages call it: "WebSocket". */
  readonly name: string;
  /** It may be silent: it finds out by itself whether its client is there. */
  readonly isOpen: boolean;
  /** The run has ended well. */
  finish(): void;
  /** It was ended with this status. */
  break(status: number): void;
}

/** The same, whose request and answer are still the script's to read and write. */
export function currentClient(scheduler: CoroutineScheduler): Invocation {
  const invocation = currentInvocation(scheduler);
  const { takeover } = invocation;
  if (takeover !== undefined) throw new LuaError(`the connection of this request is a ${takeover.name}`);
  return invocation;
}

export class Invocation extends ScriptRun {
  readonly exchange: Exchange;
  readonly route: Route;
  /** Set where the answer has no end of its own. */
  endStream: (() => void) | undefined;
  /** Undefined: the exchange gets an answer. */
  takeover: Takeover | undefined;
  /** Those who want to hear that the takeover is closed. */
  #closeListeners: Set<() => void> | undefined;
  /** How long it had to wait for its turn, ms; undefined: it had not to. */
  waitedMs: number | undefined;
  #hasBegun = false;
  #promises = 0;
  #links: PreloadLinks | undefined;
  #requestId: string | undefined;
  /** Its tables, once somebody has asked for them. */
  #request: RequestTable | undefined;

  constructor(script: ScriptContext, exchange: Exchange, route: Route, limits: RunLimits) {
    super(script, limits);
    this.exchange = exchange;
    exchange.answeredBy = this;
    this.route = route;
  }

  get trace(): TraceContext | undefined {
    return this.exchange.trace;
  }

  get fetchDepth(): number {
    return fetchDepthOf(this.exchange.fields);
  }

  get turnOwner(): object {
    return this.exchange.connection;
  }

  /** Identifies the exchange in env, error pages and logs. */
  override get requestId(): string {
    this.#requestId ??= super.requestId;
    return this.#requestId;
  }

  /** Promises that could not be pushed, to be sent as one 103 before anything else. */
  get links(): PreloadLinks {
    this.#links ??= new PreloadLinks(this.exchange);
    return this.#links;
  }

  get mappingName(): string {
    return this.script.mappingName;
  }

  get handlerName(): string {
    return this.route.handlerName;
  }

  /** How long it may be silent. */
  get timeLimitMs(): number {
    return this.limits.timeLimitMs;
  }

  /** True as often as this response may promise something. */
  admitPromise(): boolean {
    this.#promises += 1;
    if (this.#promises === PROMISES_MAX + 1) {
      const message = `Push promises dropped: a response may make ${PROMISES_MAX}`;
      this.script.logger.warn(message, this.logFields());
    }
    return this.#promises <= PROMISES_MAX;
  }

  /** Sends the preload links noted so far. */
  sendLinks(): void {
    this.#links?.send();
  }

  /** Calls the handler, now or when it is its turn. It may have ended when this returns. */
  start(handler: HandlerFunction): void {
    if (!isRoundFull()) this.#begin(handler);
    else {
      this.exchange.onAbort ??= (reason) => this.#abort(reason);
      const since = performance.now();
      this.goOnInTurn(() => {
        this.waitedMs = performance.now() - since;
        this.#begin(handler);
      });
    }
  }

  #begin(handler: HandlerFunction): void {
    this.#hasBegun = true;
    this.begin((L) => {
      this.script.state.pushReference(L, handler.reference);
      return handler.pushArguments?.(L, this) ?? 0;
    });
  }

  /** Pushes the table of `httpd.request`, always the same one; raises when there is no memory for it. */
  pushRequest(L: LuaThread): void {
    this.request.push(L, this.coroutine?.thread);
  }

  /** Pushes the same env that its handler has. */
  pushEnvironment(L: LuaThread): void {
    this.request.pushEnvironment(L, this.coroutine?.thread);
  }

  protected get request(): RequestTable {
    this.#request ??= new RequestTable(this.script, this);
    return this.#request;
  }

  /** Keeps env and header on top of the stack, which are popped, for whoever asks for the request later. */
  noteTables(L: LuaThread): void {
    this.request.take(L);
  }

  /** The tasks may ask for the request, and nobody has its tables then. */
  protected override outlived(L: LuaThread): void {
    const x = this.script.state.exports;
    if (this.#request !== undefined || x.lua_gettop(L) !== RESULTS_WITH_TABLES) return;
    if (x.lua_type(L, -1) !== LUA_TYPE.table || x.lua_type(L, -2) !== LUA_TYPE.table) return;
    this.script.scheduler.attempt(() => {
      x.lua_checkstack(L, 2);
      x.lua_pushvalue(L, -2);
      x.lua_pushvalue(L, -2);
      this.noteTables(L);
    });
  }

  protected override over(): void {
    this.#request?.release();
    this.#request = undefined;
  }

  whenClosed(closed: () => void): void {
    this.#closeListeners ??= new Set();
    this.#closeListeners.add(closed);
  }

  cancelClosed(closed: () => void): void {
    this.#closeListeners?.delete(closed);
  }

  /** The takeover neither sends nor takes anything any more. */
  takeoverClosed(): void {
    const listeners = this.#closeListeners;
    this.#closeListeners = undefined;
    if (listeners !== undefined) for (const closed of listeners) closed();
  }

  endWithClient(): void {
    const { exchange } = this;
    if (this.takeover === undefined && !exchange.finished) exchange.connection.series?.endWithClient();
  }

  suspended(): void {
    const { exchange } = this;
    if (this.takeover !== undefined) {
      exchange.flush();
      return;
    }
    if (exchange.error !== undefined) {
      this.#abort(exchange.error);
      return;
    }
    // A handler that never waits never needs to hear of its client's end.
    exchange.onAbort ??= (reason) => this.#abort(reason);
    this.#links?.send();
    exchange.flush();
  }

  /** Ends the handler at its next wait: its client has gone, and it need not notice. */
  endAtNextWait(): void {
    this.kill();
  }

  /** The response ends with the last of the handler's tasks. */
  protected complete(L?: LuaThread): void {
    this.#endResponse(L);
    this.end();
  }

  /** Ends the response as if the handler had returned here, and whatever runs for it; the caller at its next wait. */
  leave(): void {
    if (!this.ended) this.#endResponse();
    this.kill();
  }

  #endResponse(L?: LuaThread): void {
    const { exchange } = this;
    this.#links?.send();
    if (this.takeover !== undefined) this.takeover.finish();
    else if (exchange.headGiven) exchange.end();
    else if (!exchange.finished) {
      this.script.logger.error(`Handler sent nothing${this.#hint(L)}`, this.logFields());
      exchange.reset(500);
    }
  }

  /** In scripts for other servers, what a function returns is the answer. */
  #hint(L: LuaThread | undefined): string {
    if (L === undefined || this.script.state.exports.lua_type(L, 1) !== LUA_TYPE.string) return '';
    return ': it returned a string, and what it returns is not sent; httpd.write(nil, s) sends one';
  }

  /** Ends the handler from outside; the client gets `status` if it has got nothing yet. */
  cancel(status: number): void {
    if (this.ended) return;
    if (this.takeover !== undefined) this.takeover.break(status);
    else {
      this.exchange.onAbort = undefined;
      this.exchange.reset(status);
    }
    this.kill();
  }

  checkTime(now: number): void {
    if (this.takeover?.isOpen === true) this.isExcused();
    else this.checkSilence(now, this.exchange.bytesWritten, 'the handler');
  }

  withdraw(): Exchange | undefined {
    if (this.#hasBegun || this.ended) return undefined;
    this.exchange.onAbort = undefined;
    this.end();
    return this.exchange;
  }

  /** The client is gone. */
  #abort(reason: GatewayError): void {
    this.script.logger.debug(reason.message, this.logFields());
    // what many close at the same time, because their connection has gone, may take its time
    if (this.#hasBegun && isRoundFull()) this.goOnInTurn(() => this.kill());
    else this.kill();
  }

  logFields(): Record<string, string> {
    return {
      request: this.requestId,
      mapping: this.script.mappingName,
      handler: this.route.handlerName,
      method: this.exchange.method,
      target: this.exchange.target,
      ...(this.trace && { trace_id: this.trace.traceId, span_id: this.trace.spanId }),
    };
  }
}
