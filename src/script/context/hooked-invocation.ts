/** A call of a handler in a mapping with hooks that see its head, or that run when it is over. */
import type { Exchange } from '../../http/exchange/exchange.ts';
import type { Route } from '../../http/exchange/handler.ts';
import type { LuaThread } from '../../lua/lua-exports.ts';
import type { Reference } from '../../lua/state.ts';
import type { RunLimits } from '../run/run-limits.ts';
import { HookRun } from './hook-run.ts';
import { Invocation } from './invocation.ts';
import type { ScriptContext } from './script-context.ts';

/** A call of a hook that waits until all is over. */
interface LateCall {
  readonly run: HookRun;
  readonly callback: Reference;
  readonly phase: 'abort' | 'log';
}

export class HookedInvocation extends Invocation {
  /** When it began, for the hooks of the end. */
  readonly #startedAt: number;
  #hasClosed = false;
  /** Calls of the hooks of the end, which wait for that of the exchange. */
  #late: readonly LateCall[] = NONE;

  constructor(script: ScriptContext, exchange: Exchange, route: Route, limits: RunLimits) {
    super(script, exchange, route, limits);
    const { hooks } = script;
    if (hooks.areOfHeads) exchange.reviseHead = hooks.ofHeads.createReviser(this);
    this.#startedAt = hooks.areAtEnd ? performance.now() : 0;
    if (hooks.areAtEnd) exchange.onClose = () => this.#exchangeClosed();
  }

  /** The hooks of the end count as runs before this one does no more: a state that ends waits for them. */
  protected override over(): void {
    const { hooks } = this.script;
    if (hooks.areAtEnd) this.#late = [...this.#createCalls('abort'), ...this.#createCalls('log')];
    super.over();
    if (this.#hasClosed) this.#startLate();
  }

  #createCalls(phase: 'abort' | 'log'): LateCall[] {
    const calls: LateCall[] = [];
    for (const callback of this.script.hooks.functions(phase)) {
      const run = this.#createRun(phase);
      if (run !== undefined) calls.push({ run, callback, phase });
    }
    return calls;
  }

  /** Nothing of the exchange is held any more. */
  #exchangeClosed(): void {
    this.#hasClosed = true;
    this.#startLate();
  }

  /** The exchange is over, and so is the run, or its end calls this again. */
  #startLate(): void {
    const calls = this.#late;
    this.#late = NONE;
    const ms = performance.now() - this.#startedAt;
    for (const { run, callback, phase } of calls) {
      if (phase === 'log') this.#start(run, callback, (L) => this.#pushRecord(L, ms));
      else if (this.exchange.error !== undefined) this.#start(run, callback, () => 0);
      else run.cancel();
    }
  }

  #start(run: HookRun, callback: Reference, pushMore: (L: LuaThread) => number): void {
    const { late } = this.script.hooks;
    const refusal = late.begin();
    if (refusal !== undefined) {
      if (refusal !== '') this.script.logger.warn(refusal, { mapping: this.script.mappingName });
      run.cancel();
      return;
    }
    const push = (L: LuaThread): number => {
      run.pushEnvironment(L);
      return 1 + pushMore(L);
    };
    run.start(callback, push, () => late.end());
  }

  /** A run of a hook, which holds the tables of the request, too; undefined where none can begin any more. */
  #createRun(phase: 'log' | 'abort'): HookRun | undefined {
    const { script } = this;
    if (script.closed) return undefined;
    return new HookRun(script, phase, this.limits, { answeredBy: this, tables: this.request.share() });
  }

  /** What became of the request. */
  #pushRecord(L: LuaThread, ms: number): number {
    const { state } = this.script;
    const { exports: x, memory } = state;
    const { status, bytesWritten, error } = this.exchange;
    x.lua_createtable(L, 0, 5);
    state.pushInteger(L, status);
    x.lua_setfield(L, -2, memory.constant('status'));
    state.pushInteger(L, bytesWritten);
    x.lua_setfield(L, -2, memory.constant('bytes'));
    x.lua_pushnumber(L, ms);
    x.lua_setfield(L, -2, memory.constant('ms'));
    x.lua_pushnumber(L, this.cpuTotalMs);
    x.lua_setfield(L, -2, memory.constant('cpu_ms'));
    x.lua_pushboolean(L, error === undefined ? 0 : 1);
    x.lua_setfield(L, -2, memory.constant('aborted'));
    return 1;
  }
}

const NONE: readonly LateCall[] = [];
