/**
 * One call of an app, `function(read, write)`: a coroutine that answers all requests of an HTTP/1 connection, one after
 * another, or the one request of an HTTP/2 stream.
 */

import { nextRequestNumber } from '../base/request-id.ts';
import type { TraceContext } from '../base/trace-context.ts';
import type { Exchange, ExchangeSeries } from '../http/exchange/exchange.ts';
import type { Fields } from '../http/semantics/fields.ts';
import type { Coroutine } from '../lua/coroutine.ts';
import { LuaError } from '../lua/lua-error.ts';
import { LUA_TYPE, type LuaThread } from '../lua/lua-exports.ts';
import { pushFailure } from '../lua/push-failure.ts';
import { isRoundFull } from '../lua/turns.ts';
import { fetchDepthOf } from '../outbound/fetch-loop.ts';
import { AppAnswerer } from './app-answerer.ts';
import type { ScriptContext } from './context/script-context.ts';
import { ScriptRun } from './context/script-run.ts';
import type { Wanted } from './objects/byte-transfer.ts';

/** What a head table says. */
export interface AppHead {
  readonly status: number;
  readonly fields: Fields;
  /** Its Content-Length; undefined when it has none. */
  readonly length: number | undefined;
  /** It says `Transfer-Encoding: chunked`: an empty string ends the body. */
  readonly chunked: boolean;
}

/** What runs share, and who hears of their end. */
export interface AppRunner {
  readonly script: ScriptContext;
  /** Pushes the app and its two arguments. */
  pushApp(L: LuaThread): number;
  /** Pushes what `read` makes a request table of, and `true`. */
  pushRequest(L: LuaThread, exchange: Exchange): number;
  ended(run: AppRun): void;
  /** An app has returned without `write()`. */
  returnedOpen(run: AppRun): void;
}

/** What `read` gives next of the current request. */
type Phase = 'request' | 'body' | 'done';

/** An app whose client has gone may go on for this long. */
const ORPHAN_MS = 10_000;
const CHUNK: Wanted = { kind: 'chunk' };

export class AppRun extends ScriptRun {
  readonly hasNoClient = 'called in an app, which has its own read and write';
  readonly #runner: AppRunner;
  #series: ExchangeSeries | undefined;
  #exchange: Exchange;
  #phase: Phase = 'request';
  #head: AppHead | undefined;
  /** The request that follows the current one. */
  #next: Exchange | undefined;
  /** Waits in `read` for a request. */
  #reader: Coroutine | undefined;
  /** `read` has given nil, or the app has closed. */
  #over = false;
  /** The app has been told that its client has gone. */
  #toldGone = false;
  #wakesReader: (() => void) | undefined;
  #orphanedAt: number | undefined;
  /** Of the current request. */
  #answerer: AppAnswerer | undefined;

  constructor(runner: AppRunner, exchange: Exchange) {
    // the limit of CPU time is for each request: `cpuUsedMs` starts again with it
    super(runner.script, runner.script.limits);
    this.#runner = runner;
    this.#exchange = exchange;
    this.#series = exchange.connection.series;
    this.#identify();
  }

  get mappingName(): string {
    return this.script.mappingName;
  }

  get trace(): TraceContext | undefined {
    return this.#exchange.trace;
  }

  get fetchDepth(): number {
    return fetchDepthOf(this.#exchange.fields);
  }

  get turnOwner(): object {
    return this.#exchange.connection;
  }

  /** The connection it belongs to. */
  get connection(): Exchange['connection'] {
    return this.#exchange.connection;
  }

  /** Calls the app, now or when it is its turn. It may have ended when this returns. */
  start(): void {
    if (this.#series !== undefined) {
      this.#wakesReader = () => this.#wakeReader();
      this.#series.whenEnded(this.#wakesReader);
    }
    this.script.runs.started(this);
    if (!isRoundFull()) this.#begin();
    else this.goOnInTurn(() => this.#begin());
    this.script.runs.watch();
  }

  #begin(): void {
    const { error } = this.#exchange;
    if (error !== undefined) {
      // its client has gone before it began
      this.cancel(500);
      return;
    }
    this.begin((L) => this.#runner.pushApp(L));
  }

  /** The connection brings its next request. */
  offer(exchange: Exchange): void {
    this.#next = exchange;
    this.#wakeReader();
  }

  // ---- called by the app ----

  /** `read()`: a request, a piece of its body, "" at the end of it; nil when the client has gone. */
  read(L: LuaThread): number {
    if (this.#phase === 'request' && !this.#over) {
      this.#phase = 'body';
      return this.#runner.pushRequest(L, this.#exchange);
    }
    if (this.#phase === 'body') return this.#readBody(L);
    return this.#readNext(L);
  }

  #readBody(L: LuaThread): number {
    const exchange = this.#exchange;
    const { state, transfer } = this.script;
    const { body } = exchange;
    // what was not read of it when the response ended is gone
    if (exchange.finished && exchange.error === undefined) return this.#pushBodyEnd(L);
    if (body.ended && body.queue.length === 0 && body.error === undefined) return this.#pushBodyEnd(L);
    return transfer.read(L, body, CHUNK, (T) => {
      if (state.exports.lua_type(T, -1) !== LUA_TYPE.nil) return 1;
      if (body.error === undefined || (exchange.finished && exchange.error === undefined))
        return this.#pushBodyEnd(T);
      this.#phase = 'done';
      return this.#pushOver(T);
    });
  }

  #pushBodyEnd(L: LuaThread): number {
    this.#phase = 'done';
    this.script.state.pushInterned(L, '');
    return 1;
  }

  #pushOver(L: LuaThread): number {
    this.#over = true;
    this.script.state.exports.lua_pushnil(L);
    return 1;
  }

  #readNext(L: LuaThread): number {
    if (this.#over) return this.#pushOver(L);
    const exchange = this.#exchange;
    // a stream has no other request that would have to wait for the answer
    if (exchange.headGiven || this.#series !== undefined) this.#settle('App read on without an answer');
    if (this.#next !== undefined) {
      this.#open(this.#next);
      return this.read(L);
    }
    if (this.#series === undefined || this.#series.ended) return this.#pushOver(L);
    const { scheduler } = this.script;
    if (this.#reader !== undefined) throw new LuaError('another task waits for the next request already');
    if (!scheduler.canWait(L))
      throw new LuaError('cannot wait for a request here: a yield cannot cross this call');
    const reader = scheduler.running;
    this.#reader = reader;
    return reader.wait(
      L,
      (T) => {
        this.#reader = undefined;
        return this.#readNext(T);
      },
      () => {
        this.#reader = undefined;
      },
    );
  }

  #open(exchange: Exchange): void {
    this.#next = undefined;
    this.#exchange = exchange;
    this.#phase = 'request';
    this.#head = undefined;
    if (this.#answerer !== undefined) this.#answerer.finalCpuMs = this.cpuUsedMs;
    this.cpuUsedMs = 0;
    this.isExcused();
    this.number = nextRequestNumber();
    this.#identify();
  }

  /** The run goes on to other requests: the id is that of this one. */
  #identify(): void {
    this.#answerer = new AppAnswerer(this);
    this.#exchange.answeredBy = this.#answerer;
  }

  /** `write(head)`: ends the response before, if it is still open. */
  writeHead(L: LuaThread, head: AppHead): number {
    if (this.#exchange.headGiven && !this.#exchange.finished) this.#exchange.end();
    if (this.#exchange.error !== undefined) return this.#pushGone(L);
    if (this.#exchange.finished) {
      if (this.#next === undefined) return this.#pushMisuse(L, 'App wrote a head without a request');
      this.#open(this.#next);
    }
    const exchange = this.#exchange;
    if (head.status < 200) exchange.inform(head.status, head.fields);
    else {
      exchange.head(head.status, head.fields);
      this.#head = head;
      if (head.length === 0) exchange.end();
    }
    return this.#pushDone(L);
  }

  /** `write(string)`: the string is argument 1. */
  writeBody(L: LuaThread): number {
    const exchange = this.#exchange;
    const { state, transfer } = this.script;
    const isEmpty = state.exports.lua_rawlen(L, 1) === 0n;
    if (exchange.error !== undefined) return this.#pushGone(L);
    if (exchange.finished)
      return isEmpty ? this.#pushDone(L) : this.#pushMisuse(L, 'App wrote after the end of its response');
    if (!exchange.headGiven) throw new LuaError('write needs a head first: a table with a code');
    if (isEmpty) {
      if (this.#head?.chunked === true) exchange.end();
      return this.#pushDone(L);
    }
    return transfer.write(L, exchange, 1, (T, _written, room) => {
      if (exchange.error !== undefined) return this.#pushGone(T);
      if (!room && !this.script.scheduler.canWait(T))
        throw new LuaError('cannot wait for the client here: a yield cannot cross this call');
      const length = this.#head?.length;
      if (this.#exchange === exchange && length !== undefined && exchange.bytesWritten >= length)
        exchange.end();
      return this.#pushDone(T);
    });
  }

  /** `write()`: the connection ends behind this response. */
  close(): number {
    this.#finish('App closed without an answer');
    return 0;
  }

  #pushDone(L: LuaThread): number {
    this.script.state.exports.lua_pushboolean(L, 1);
    return 1;
  }

  #pushMisuse(L: LuaThread, message: string): number {
    this.script.log.reportError(message, this.logFields());
    return pushFailure(this.script.state, L, { message, luaCode: 'closed' });
  }

  /** An app that writes for ever must not outlive its client: told once, it ends where it can wait. */
  #pushGone(L: LuaThread): number {
    const { scheduler, state } = this.script;
    if (this.#toldGone && scheduler.canWait(L)) {
      const { running } = scheduler;
      this.kill();
      return running.wait(
        L,
        () => 0,
        () => undefined,
      );
    }
    this.#toldGone = true;
    return pushFailure(state, L, { message: this.#exchange.error?.message ?? '', luaCode: 'closed' });
  }

  /** Ends the current response if it is still open. */
  #settle(complaint: string): void {
    const exchange = this.#exchange;
    if (exchange.finished) return;
    if (exchange.headGiven) {
      exchange.end();
      return;
    }
    this.script.log.reportError(complaint, this.logFields());
    exchange.reset(500);
  }

  #finish(complaint: string): void {
    this.#over = true;
    this.#series?.finish();
    this.#settle(complaint);
    this.#phase = 'done';
    this.#next?.reset(503);
    this.#next = undefined;
  }

  // ---- LuaRun ----

  suspended(): void {
    this.#exchange.flush();
  }

  protected complete(): void {
    if (!this.#over) this.#runner.returnedOpen(this);
    this.#finish('App returned without an answer');
    this.end();
  }

  cancel(status: number): void {
    if (this.ended) return;
    this.#over = true;
    this.#exchange.reset(status);
    this.#next?.reset(status);
    this.#next = undefined;
    this.kill();
  }

  /** Gives nil to an app that waits for a request; one that answers gets it behind its answer. */
  retire(): void {
    this.#leaveSeries();
    this.#series = undefined;
    this.#wakeReader();
  }

  checkTime(now: number): void {
    const exchange = this.#exchange;
    if (exchange.error !== undefined || this.#series?.ended === true) {
      this.#orphanedAt ??= now;
      if (now - this.#orphanedAt >= ORPHAN_MS) this.cancel(500);
      return;
    }
    if (exchange.finished && this.#next === undefined) {
      this.isExcused();
      return;
    }
    this.checkSilence(now, exchange.bytesWritten, 'the app');
  }

  logFields(): Record<string, string> {
    return {
      request: this.requestId,
      mapping: this.script.mappingName,
      method: this.#exchange.method,
      target: this.#exchange.target,
    };
  }

  // ---- inside ----

  /** Later: this may be called from within the VM, or from a connection that is about to close. */
  #wakeReader(): void {
    const reader = this.#reader;
    if (reader === undefined) return;
    if (this.script.scheduler.current === undefined && this.#next !== undefined) {
      reader.wake();
      return;
    }
    setImmediate(() => {
      if (this.#reader === reader) reader.wake();
    });
  }

  #leaveSeries(): void {
    if (this.#wakesReader !== undefined) this.#series?.cancelEnded(this.#wakesReader);
  }

  protected override end(): void {
    if (!this.ended) this.#leaveSeries();
    super.end();
  }

  protected override over(): void {
    this.#runner.ended(this);
  }
}
