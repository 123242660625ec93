/**
 * One pooled Lua thread and the function it runs, which host functions can suspend, and its end.
 *
 * Long because each of its steps may be where a limit, a kill or the loss of the VM ends it.
 */
import { assert } from '../base/assert.ts';
import { type Guard, VmAbandoned } from './guard.ts';
import { LIGHT_USERDATA } from './light-userdata.ts';
import { LuaError } from './lua-error.ts';
import { type KFunction, LUA_STATUS, type LuaThread, NULL } from './lua-exports.ts';
import { ScriptError, type State } from './state.ts';
import { isRoundFull, takeSlice, takeTurn } from './turns.ts';
import { asError, describeLoss, LIMIT_MESSAGE } from './vm-loss.ts';

/** CPU time of `__close` metamethods that run because their coroutine is ended from outside. */
export const CLOSE_LIMIT_MS = 100;
/** The same when it has used up its CPU limit already. */
const CLOSE_AFTER_LIMIT_MS = 50;
/** CPU time of code that runs to describe an error: `__tostring`. */
const DESCRIBE_LIMIT_MS = 50;
/** Told what becomes of a coroutine. Exactly one of `finished` and `failed` is called, and neither after `kill`. */
export interface CoroutineOwner {
  /** Whose turn it takes; undefined: its own. */
  readonly turnOwner?: object;
  /** The function returned. Its results are on the stack of `L` and are gone afterwards. */
  finished(L: LuaThread): void;
  /** It raised an error, or was ended at a limit: message and traceback. */
  failed(message: string, limit: LimitReached | undefined): void;
  /** It waits for the host. Called every time. */
  suspended(): void;
}

/** The limit a coroutine was ended at, and how much it had used. */
export interface LimitReached {
  readonly name: 'cpu';
  readonly limitMs: number;
  readonly usedMs: number;
}

/** CPU time that one coroutine, or several of one owner together, may use; waits are not counted. */
export interface CpuBudget {
  /** Infinity = no limit. */
  readonly cpuLimitMs: number;
  /** The coroutines add here what they use. */
  cpuUsedMs: number;
}

/** A budget of its own for one coroutine. */
export function cpuBudget(cpuLimitMs: number): CpuBudget {
  return { cpuLimitMs, cpuUsedMs: 0 };
}

/** Continues a host function after a wait, inside Lua's protection; pushes results and returns their number. */
export type Continuation = (L: LuaThread) => number;

/** Hears what the code of a state takes. */
export interface CpuMeter {
  /** Processor time of a call that was long enough to be looked at, ms. */
  spent(ms: number): void;
  /** A slice was used up. */
  sliced(): void;
}

/** What a coroutine needs of the scheduler that it belongs to. */
export interface CoroutineHost {
  readonly state: State;
  readonly guard: Guard;
  /** The coroutine that runs now. */
  current: Coroutine | undefined;
  readonly meter: CpuMeter | undefined;
  /** False while a script's coroutine runs below a call that no yield can cross. */
  chainYieldable: boolean;
  /** Script coroutines that are suspended on behalf of the host. */
  readonly hostSuspended: Set<LuaThread>;
  /** Calls `continue` of the coroutine that is resumed. */
  readonly afterWait: KFunction;
  canWait(L: LuaThread): boolean;
  bounded<T>(thread: LuaThread, limitMs: number, run: () => T): T;
  abandon(reason: Error, first?: () => void): void;
  giveBack(coroutine: Coroutine, reusable: boolean): void;
}

type CoroutineStatus = 'idle' | 'ready' | 'running' | 'suspended' | 'closing';

export class Coroutine {
  readonly thread: LuaThread;
  readonly #scheduler: CoroutineHost;
  #status: CoroutineStatus = 'idle';
  #owner: CoroutineOwner | undefined;
  /** Set by `kill` while the coroutine runs: it ends at its next wait or return. */
  #killed = false;
  /** A script may still know the thread. */
  #exposed = false;
  #next: Continuation | undefined;
  #cancel: (() => void) | undefined;
  /** What it waited for has come, and it waits for its turn. */
  #isWoken = false;
  /** Script coroutines this one is suspended through. */
  #passed: LuaThread[] | undefined;
  #budget: CpuBudget | undefined;

  constructor(scheduler: CoroutineHost, thread: LuaThread) {
    this.#scheduler = scheduler;
    this.thread = thread;
  }

  /** The one that started it; undefined when idle. */
  get owner(): CoroutineOwner | undefined {
    return this.#owner;
  }

  /** Whose turns it takes. */
  get turnOwner(): object {
    return this.#owner?.turnOwner ?? this;
  }

  /** True while `__close` metamethods of a killed coroutine run: nothing may wait then. */
  get closing(): boolean {
    return this.#status === 'closing';
  }

  get waiting(): boolean {
    return this.#status === 'suspended';
  }

  expose(): void {
    this.#exposed = true;
  }

  /** True after `kill`, until it has ended. */
  get killed(): boolean {
    return this.#killed;
  }

  start(owner: CoroutineOwner, begin: (L: LuaThread) => number, budget: CpuBudget): void {
    assert(this.#status === 'idle', 'a coroutine runs one function at a time');
    this.#owner = owner;
    this.#killed = false;
    this.#budget = budget;
    this.#resume(begin);
  }

  /** Moves a function and its arguments here, to be run by `begin`; false, and they stay, when there is no room. */
  prepare(owner: CoroutineOwner, from: LuaThread, count: number, budget: CpuBudget): boolean {
    assert(this.#status === 'idle', 'a coroutine runs one function at a time');
    const { exports: x } = this.#scheduler.state;
    if (x.lua_checkstack(this.thread, count) === 0) return false;
    x.lua_xmove(from, this.thread, count);
    this.#status = 'ready';
    this.#owner = owner;
    this.#killed = false;
    this.#budget = budget;
    return true;
  }

  /** Runs what `prepare` was given. Bound, so that it can be handed out as a callback. */
  readonly begin = (): void => {
    const { state } = this.#scheduler;
    if (this.#status !== 'ready' || state.abandoned) return;
    this.#resume((L) => state.exports.lua_gettop(L) - 1);
  };

  /** `message` with a traceback of where it waits. */
  traceback(message: string): string {
    const { state } = this.#scheduler;
    if (this.#status !== 'suspended' || state.abandoned) return message;
    try {
      return this.#bounded(() => this.#describePlace(message));
    } catch (thrown) {
      this.#scheduler.abandon(asError(thrown));
      return message;
    }
  }

  /**
   * Suspends the calling host function until `wake`, then calls `next` in its place. `cancel` undoes what would have
   * called `wake`. Written as `return coroutine.wait(…)`: the host function has to return the result.
   */
  wait(L: LuaThread, next: Continuation, cancel: () => void): number {
    if (!this.#scheduler.canWait(L)) {
      cancel();
      throw new LuaError(`cannot wait here: ${WAIT_REFUSED}`);
    }
    this.#next = next;
    this.#cancel = cancel;
    const { state } = this.#scheduler;
    state.exports.lua_pushlightuserdata(L, LIGHT_USERDATA.suspension);
    return state.yield(1, this.#scheduler.afterWait);
  }

  /**
   * Resumes a waiting coroutine, in its turn where many wake at the same time. Bound, so that it can be handed out as a
   * callback.
   */
  readonly wake = (): void => {
    if (this.#status !== 'suspended' || this.#isWoken || this.#scheduler.state.abandoned) return;
    if (!isRoundFull()) {
      this.goOn();
      return;
    }
    this.#isWoken = true;
    const leave = takeTurn(this.turnOwner, this.goOn);
    const cancel = this.#cancel;
    this.#cancel = () => {
      leave();
      cancel?.();
    };
  };

  /** The same at once: in a turn that has come. */
  readonly goOn = (): void => {
    if (this.#status !== 'suspended' || this.#scheduler.state.abandoned) return;
    this.#isWoken = false;
    this.#cancel = undefined;
    // what a wait yielded is still on its stack, which would grow with every one; the end of a slice yields nothing
    if (this.#next !== undefined) this.#scheduler.state.exports.lua_settop(this.thread, -2);
    const { cpuLimitMs, cpuUsedMs } = this.#budget as CpuBudget;
    // others may have used it up meanwhile
    if (cpuUsedMs >= cpuLimitMs) this.#fail(() => this.#describePlace(LIMIT_MESSAGE), this.#limitReached());
    else this.#resume(undefined);
  };

  /** Called inside Lua when the thread runs again after a wait. */
  continue(L: LuaThread): number {
    const next = this.#next;
    assert(next !== undefined, 'a woken coroutine knows how to go on');
    this.#next = undefined;
    return next(L);
  }

  /** Notes that the suspension under way passes through a script's coroutine. */
  passThrough(inner: LuaThread): void {
    this.#passed ??= [];
    this.#passed.push(inner);
    this.#scheduler.hostSuspended.add(inner);
  }

  /**
   * Ends the coroutine: at once when it waits, else at its next wait or return. Pending to-be-closed variables are
   * closed, within `closeLimitMs` of CPU time. The owner is not told.
   */
  kill(closeLimitMs: number = CLOSE_LIMIT_MS): void {
    if (this.#status === 'idle' || this.#scheduler.state.abandoned) return;
    this.#killed = true;
    if (this.#status === 'suspended') this.#close(closeLimitMs);
    else if (this.#status === 'ready') this.#release(true);
  }

  /** `begin`: pushes what is to be called; undefined when it goes on after a wait. */
  #resume(begin: ((L: LuaThread) => number) | undefined): void {
    const scheduler = this.#scheduler;
    const { state, guard } = scheduler;
    const budget = this.#budget as CpuBudget;
    const outer = scheduler.current;
    const outerYieldable = scheduler.chainYieldable;
    scheduler.current = this;
    scheduler.chainYieldable = true;
    if (this.#passed !== undefined) this.#forgetPassed();
    this.#status = 'running';
    guard.enter(this.thread, budget.cpuLimitMs - budget.cpuUsedMs, true, budget.cpuUsedMs > 0);
    let status: number;
    let unbegun: ScriptError | undefined;
    try {
      const count = begin === undefined ? 0 : state.attempt(begin, this.thread);
      if (count instanceof ScriptError) {
        unbegun = count;
        status = LUA_STATUS.ok;
      } else status = state.exports.lua_resume(this.thread, NULL as LuaThread, count, state.memory.sizeOut);
    } catch (thrown) {
      this.#spend(budget);
      scheduler.chainYieldable = outerYieldable;
      this.#abandon(thrown);
      // whoever called into the VM from inside it cannot go on either
      if (outer !== undefined) throw thrown;
      return;
    }
    scheduler.current = outer;
    scheduler.chainYieldable = outerYieldable;
    const { armed } = guard;
    const interruption =
      status === LUA_STATUS.yield && guard.takeYield(this.thread) ? (armed ?? 'slice') : undefined;
    this.#spend(budget);
    if (unbegun !== undefined) this.#failToBegin(unbegun);
    else if (interruption === 'slice') this.#takeTurns();
    else if (interruption === 'limit')
      this.#fail(() => this.#describePlace(LIMIT_MESSAGE), this.#limitReached());
    else if (status === LUA_STATUS.ok) this.#finish();
    else if (status !== LUA_STATUS.yield)
      this.#fail(
        () => state.errors.describe(this.thread, status),
        armed === 'limit' ? this.#limitReached() : undefined,
      );
    else this.#suspend();
  }

  #spend(budget: CpuBudget): void {
    const usedMs = this.#scheduler.guard.leave();
    if (usedMs === 0) return;
    budget.cpuUsedMs += usedMs;
    this.#scheduler.meter?.spent(usedMs);
  }

  #failToBegin(error: ScriptError): void {
    const owner = this.#owner as CoroutineOwner;
    this.#release(false);
    owner.failed(error.message, undefined);
  }

  /** Its slice is used up: it goes on after everybody else who is ready. */
  #takeTurns(): void {
    this.#status = 'suspended';
    if (this.#killed) {
      this.#close();
      return;
    }
    this.#scheduler.meter?.sliced();
    this.#cancel = takeSlice(this.turnOwner, this.goOn);
  }

  /** An exception has passed through the VM: this coroutine gets its error, all others of the state are lost. */
  #abandon(thrown: unknown, message?: string, limit?: LimitReached): void {
    const owner = this.#owner as CoroutineOwner;
    const killed = this.#killed;
    const reached = limit ?? (thrown instanceof VmAbandoned ? this.#limitReached() : undefined);
    this.#status = 'idle';
    this.#owner = undefined;
    this.#scheduler.abandon(asError(thrown), () => {
      if (!killed) owner.failed(message ?? describeLoss(thrown), reached);
    });
  }

  #limitReached(): LimitReached {
    const { cpuLimitMs, cpuUsedMs } = this.#budget as CpuBudget;
    return { name: 'cpu', limitMs: cpuLimitMs, usedMs: cpuUsedMs };
  }

  #finish(): void {
    const owner = this.#owner as CoroutineOwner;
    if (!this.#killed) owner.finished(this.thread);
    this.#release(true);
  }

  /** `describe` may run code of the script. */
  #fail(describe: () => string, limit?: LimitReached): void {
    const owner = this.#owner as CoroutineOwner;
    const killed = this.#killed;
    let message: string | undefined;
    try {
      message = this.#bounded(describe);
      this.#closeVariables(limit === undefined ? CLOSE_LIMIT_MS : CLOSE_AFTER_LIMIT_MS);
    } catch (thrown) {
      this.#abandon(thrown, message, limit);
      return;
    }
    this.#release(false);
    if (!killed) owner.failed(message, limit);
  }

  #suspend(): void {
    this.#status = 'suspended';
    if (this.#killed) this.#close();
    else if (this.#next === undefined) this.#fail(() => 'attempt to yield from outside a coroutine');
    else (this.#owner as CoroutineOwner).suspended();
  }

  #close(limitMs?: number): void {
    const cancel = this.#cancel;
    this.#cancel = undefined;
    this.#isWoken = false;
    this.#next = undefined;
    const outer = this.#scheduler.current;
    cancel?.();
    try {
      this.#closeVariables(limitMs);
    } catch (thrown) {
      this.#abandon(thrown);
      // Inside a run of somebody else, whose VM it was too.
      if (outer !== undefined) throw thrown;
      return;
    }
    this.#release(false);
  }

  /** Runs what `local x <close>` asks for; errors there have nobody to go to but the closed coroutine. */
  #closeVariables(limitMs: number = CLOSE_LIMIT_MS): void {
    const scheduler = this.#scheduler;
    const { guard, state } = scheduler;
    const outer = scheduler.current;
    scheduler.current = this;
    this.#status = 'closing';
    try {
      scheduler.bounded(this.thread, limitMs, () => {
        // the script's coroutines it waited in come first: the innermost, then the ones around it
        for (const inner of this.#passed ?? []) {
          guard.enterInner(inner);
          state.exports.lua_resetthread(inner);
          guard.leaveInner();
        }
        state.exports.lua_resetthread(this.thread);
      });
    } finally {
      scheduler.current = outer;
    }
  }

  /** The thread it stands in, the innermost of the script's, and its own. */
  #describePlace(message: string): string {
    const { state } = this.#scheduler;
    let text = message;
    for (const thread of [...(this.#passed ?? []), this.thread]) text = state.errors.traceback(thread, text);
    return text;
  }

  #bounded<T>(run: () => T): T {
    return this.#scheduler.bounded(this.#scheduler.state.mainThread, DESCRIBE_LIMIT_MS, run);
  }

  #forgetPassed(): void {
    for (const inner of this.#passed ?? []) this.#scheduler.hostSuspended.delete(inner);
    this.#passed = undefined;
  }

  #release(reusable: boolean): void {
    this.#forgetPassed();
    this.#status = 'idle';
    this.#owner = undefined;
    this.#budget = undefined;
    this.#scheduler.giveBack(this, reusable && !this.#exposed);
  }
}

/** How every message ends that says why a host function cannot wait. */
export const WAIT_REFUSED = 'a yield cannot cross this call';
