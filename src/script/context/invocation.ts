/** One call of a handler: joins an exchange with the coroutine that answers it, and ends both on one path. */
import type { GatewayError } from '../../base/errors.ts';
import { nextRequestNumber, requestIdOf } from '../../base/request-id.ts';
import { Scope } from '../../base/scope.ts';
import { OperationOwner } from '../../file/operation-queue.ts';
import type { Exchange } from '../../http/exchange/exchange.ts';
import type { Route } from '../../http/exchange/handler.ts';
import type { Coroutine, CoroutineScheduler, LimitReached } from '../../lua/coroutine.ts';
import { LuaError } from '../../lua/lua-error.ts';
import { LUA_TYPE, type LuaThread } from '../../lua/lua-exports.ts';
import { isRoundFull, takeTurn } from '../../lua/turns.ts';
import { fetchDepthOf } from '../../outbound/fetch-loop.ts';
import type { HandlerFunction, HandlerOptions, LoadedScript } from '../loaded-script.ts';
import { currentRun, type LuaRun, type RunOwner } from '../run/lua-run.ts';
import { RunProgress } from '../run/run-progress.ts';
import { TaskGroup } from '../run/task-group.ts';
import { PreloadLinks } from './preload-links.ts';

/** Promises of one response, as pushes or links: browsers take no more than a hundred. */
const PROMISES_MAX = 100;

/** The call that runs now, itself or one of its tasks; raises where none does, as while a script is loaded. */
export function currentInvocation(scheduler: CoroutineScheduler): Invocation {
  const run = currentRun(scheduler);
  if (run instanceof Invocation) return run;
  throw new LuaError(run?.hasNoClient ?? 'called outside of a request');
}

export class Invocation implements LuaRun, RunOwner {
  readonly exchange: Exchange;
  readonly route: Route;
  readonly #script: LoadedScript;
  readonly number: number = nextRequestNumber();
  #coroutine: Coroutine | undefined;
  /** Its turn to begin, or to end, has not come yet. */
  #cancelTurn: (() => void) | undefined;
  #hasBegun = false;
  #scope: Scope | undefined;
  #promises = 0;
  #links: PreloadLinks | undefined;
  #operationOwner: OperationOwner | undefined;
  #tasks: TaskGroup | undefined;
  #progress: RunProgress | undefined;
  /** The handler has returned, and its tasks go on. */
  #returned = false;
  #ended = false;
  #requestId: string | undefined;

  readonly #limits: HandlerOptions;
  cpuUsedMs = 0;
  /** When the handler was first seen silent, and how much it had moved then. */
  #silentSince = 0;
  #silentBytes = -1;

  constructor(script: LoadedScript, exchange: Exchange, route: Route, limits: HandlerOptions) {
    this.#script = script;
    this.#limits = limits;
    this.exchange = exchange;
    exchange.answeredBy = this;
    this.route = route;
  }

  get run(): LuaRun {
    return this;
  }

  get fetchDepth(): number {
    return fetchDepthOf(this.exchange.fields);
  }

  get turnOwner(): object {
    return this.exchange.connection;
  }

  get cpuLimitMs(): number {
    return this.#limits.cpuLimitMs;
  }

  /** Identifies the exchange in env, error pages and logs. */
  get requestId(): string {
    this.#requestId ??= requestIdOf(this.#script.workerId, this.number);
    return this.#requestId;
  }

  get scope(): Scope {
    this.#scope ??= new Scope();
    return this.#scope;
  }

  get operationOwner(): OperationOwner {
    this.#operationOwner ??= new OperationOwner(this.#script.share);
    return this.#operationOwner;
  }

  get progress(): RunProgress {
    this.#progress ??= new RunProgress();
    return this.#progress;
  }

  get tasks(): TaskGroup {
    this.#tasks ??= new TaskGroup(() => this.tasksEnded());
    return this.#tasks;
  }

  /** Promises that could not be pushed, to be sent as one 103 before anything else. */
  get links(): PreloadLinks {
    this.#links ??= new PreloadLinks(this.exchange);
    return this.#links;
  }

  /** True as often as this response may promise something. */
  admitPromise(): boolean {
    this.#promises += 1;
    if (this.#promises === PROMISES_MAX + 1) {
      const message = `Push promises dropped: a response may make ${PROMISES_MAX}`;
      this.#script.logger.warn(message, this.logFields());
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
      const { exchange } = this;
      exchange.onAbort ??= (reason) => this.#abort(reason);
      this.#cancelTurn = takeTurn(exchange.connection, () => {
        this.#cancelTurn = undefined;
        this.#begin(handler);
      });
    }
  }

  #begin(handler: HandlerFunction): void {
    this.#hasBegun = true;
    const script = this.#script;
    const coroutine = script.scheduler.start(
      this,
      (L) => {
        script.state.pushReference(L, handler.reference);
        return handler.pushArguments?.(L, this) ?? 0;
      },
      this,
    );
    if (!this.#ended && !this.#returned) this.#coroutine = coroutine;
  }

  suspended(): void {
    const { exchange } = this;
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
    this.#kill();
  }

  finished(L: LuaThread): void {
    if (this.#tasks === undefined || this.#tasks.size === 0) {
      this.#complete(L);
      return;
    }
    // the response ends with the last of them
    this.#returned = true;
    this.#coroutine = undefined;
    this.suspended();
  }

  tasksEnded(): void {
    if (this.#returned && !this.#ended) this.#complete();
  }

  /** `L`: has the results of the handler. */
  #complete(L?: LuaThread): void {
    this.#endResponse(L);
    this.#end();
  }

  /** Ends the response as if the handler had returned here, and whatever runs for it; the caller at its next wait. */
  leave(): void {
    if (!this.#ended) this.#endResponse();
    this.#kill();
  }

  #endResponse(L?: LuaThread): void {
    const { exchange } = this;
    this.#links?.send();
    if (exchange.headGiven) exchange.end();
    else if (!exchange.finished) {
      this.#script.logger.error(`Handler sent nothing${this.#hint(L)}`, this.logFields());
      exchange.reset(500);
    }
  }

  /** In scripts for other servers, what a function returns is the answer. */
  #hint(L: LuaThread | undefined): string {
    if (L === undefined || this.#script.state.exports.lua_type(L, 1) !== LUA_TYPE.string) return '';
    return ': it returned a string, and what it returns is not sent; httpd.write(nil, s) sends one';
  }

  failed(message: string, limit: LimitReached | undefined): void {
    if (this.#ended) return;
    const used =
      limit === undefined
        ? {}
        : { limit: limit.name, limitMs: limit.limitMs, usedMs: Math.round(limit.usedMs) };
    // the page names the request, as the log does
    this.#script.reportError(message, { ...this.logFields(), ...used });
    this.exchange.reset(500);
    this.#kill();
  }

  /** Ends the handler from outside; the client gets `status` if it has got nothing yet. */
  cancel(status: number): void {
    if (this.#ended) return;
    this.exchange.onAbort = undefined;
    this.exchange.reset(status);
    this.#kill();
  }

  /** Ends the handler when it has moved nothing for as long as it may: no response bytes, and none of what it reads or stores. */
  checkTime(now: number): void {
    const { timeLimitMs } = this.#limits;
    const bytes = this.exchange.bytesWritten + (this.#progress?.mark ?? 0);
    if (bytes !== this.#silentBytes) {
      this.#silentBytes = bytes;
      this.#silentSince = now;
    } else if (now - this.#silentSince >= timeLimitMs) {
      const usedMs = Math.round(now - this.#silentSince);
      const message = 'Time limit reached: the handler has moved no bytes';
      this.#script.reportError(this.#coroutine?.traceback(message) ?? message, {
        ...this.logFields(),
        limit: 'time',
        limitMs: timeLimitMs,
        usedMs,
      });
      this.cancel(500);
    }
  }

  withdraw(): Exchange | undefined {
    if (this.#hasBegun || this.#ended) return undefined;
    this.exchange.onAbort = undefined;
    this.#end();
    return this.exchange;
  }

  /** The client is gone. */
  #abort(reason: GatewayError): void {
    this.#script.logger.debug(reason.message, this.logFields());
    if (!this.#hasBegun || !isRoundFull()) {
      this.#kill();
      return;
    }
    // what many close at the same time, because their connection has gone, may take its time
    this.#cancelTurn?.();
    this.#cancelTurn = takeTurn(this.turnOwner, () => this.#kill());
  }

  #kill(): void {
    const coroutine = this.#coroutine ?? this.#script.scheduler.current;
    if (coroutine?.owner === this) coroutine.kill();
    this.#end();
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#cancelTurn?.();
    this.#coroutine = undefined;
    try {
      this.#tasks?.close();
    } finally {
      this.#scope?.close();
      this.#script.runEnded(this);
    }
  }

  logFields(): Record<string, string> {
    return {
      request: this.requestId,
      mapping: this.route.prefix,
      handler: this.route.handlerName,
      method: this.exchange.method,
      target: this.exchange.target,
    };
  }
}
