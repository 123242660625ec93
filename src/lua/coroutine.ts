/**
 * Runs Lua functions in pooled coroutines that host functions can suspend, and passes suspensions outward through
 * coroutines of the script's own (coroutine-library.ts).
 */
import { assert } from '../base/assert.ts';
import { Guard, VmAbandoned } from './guard.ts';
import { LIGHT_USERDATA } from './light-userdata.ts';
import { LuaError } from './lua-error.ts';
import { type KFunction, LUA_STATUS, type LuaThread, NULL, REGISTRY_INDEX } from './lua-exports.ts';
import { ScriptError, type State } from './state.ts';
import { isRoundFull, takeSlice, takeTurn } from './turns.ts';

/** Threads kept for the next function; more are left to the garbage collector. */
const POOL_MAX = 256;
/** Stack slots above which a thread is not kept: it has grown and would hold that memory. */
const POOLED_STACK_SLOTS_MAX = 200;

/** CPU time of `__close` metamethods that run because their coroutine is ended from outside. */
export const CLOSE_LIMIT_MS = 100;
/** The same when it has used up its CPU limit already. */
const CLOSE_AFTER_LIMIT_MS = 50;
/** CPU time of code that runs to describe an error: `__tostring`. */
const DESCRIBE_LIMIT_MS = 50;
/**
 * CPU time that C functions have beyond such limits, before the VM is given up for what the host asked of it: a
 * collection of all its memory may happen to fall there, and the traceback of a deep stack. The second number is for each
 * MiB of memory; ten times what a collection takes.
 */
const HOST_GRACE_MS = 500;
const HOST_GRACE_MS_PER_MIB = 20;
const MIB = 1024 * 1024;

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

/** Told when the VM can be used no more. */
export type Abandoned = (reason: Error) => void;

/** Continues a host function after a wait, inside Lua's protection; pushes results and returns their number. */
export type Continuation = (L: LuaThread) => number;

export class CoroutineScheduler {
  readonly state: State;
  /** The coroutine that runs now: the one whose host call is being answered. */
  current: Coroutine | undefined;
  /** False while a script's coroutine runs below a call that no yield can cross (`table.sort`, `string.gsub`, …). */
  chainYieldable = true;
  /** Script coroutines that are suspended on behalf of the host; nobody else may resume them meanwhile. */
  readonly hostSuspended: Set<LuaThread> = new Set();
  readonly afterWait: KFunction;
  readonly guard: Guard;
  readonly #abandoned: Abandoned;
  readonly #idle: Coroutine[] = [];
  /** The scheduler's own threads, idle or not. */
  readonly #threads = new Map<LuaThread, Coroutine>();
  #active = 0;

  /** `abandoned` is told, at most once, when the VM had to be given up. */
  constructor(state: State, abandoned: Abandoned) {
    this.state = state;
    this.#abandoned = abandoned;
    this.guard = new Guard(state.exports, {
      canYield: (L) => this.canYield(L),
      raise: (L) => {
        // a script's may not end, or fail for ever; the main thread has one of ours, which finds the place
        if (L !== state.mainThread) state.threadFields.forgetMessageHandler(L);
        state.pushString(L, LIMIT_MESSAGE);
        // the guard looks again at once
        state.exports.fuel.value = 0;
        return state.exports.lua_error(L);
      },
      isRunning: (L) => state.threadFields.isInside(L, state.mainThread),
      allowHooks: (L) => state.threadFields.allowHooks(L),
      traceback: (L) => state.lastTraceback(L),
    });
    state.setFuelWatch(this.guard.outOfFuel);
    this.afterWait = state.addContinuation((L) => this.running.continue(L));
  }

  /** Coroutines that run or wait. */
  get active(): number {
    return this.#active;
  }

  /**
   * Runs a function: `begin` pushes it and its arguments on the thread and returns the number of arguments. The owner
   * may be told of the end before this returns; when there was no memory for a thread, undefined is returned.
   */
  start(owner: CoroutineOwner, begin: (L: LuaThread) => number, budget: CpuBudget): Coroutine | undefined {
    const coroutine = this.#idle.pop() ?? this.#create();
    if (coroutine === undefined) {
      // whoever hears of a lost VM tells all owners
      if (this.state.abandoned) return undefined;
      owner.failed('not enough memory', undefined);
      return undefined;
    }
    this.#active += 1;
    coroutine.start(owner, begin, budget);
    return coroutine;
  }

  /**
   * Takes a function and its arguments, `count` values, from the top of `from`, to be run when `begin` of the result is
   * called; undefined, and they stay, when there is no memory for it.
   */
  prepare(owner: CoroutineOwner, from: LuaThread, count: number, budget: CpuBudget): Coroutine | undefined {
    const coroutine = this.#idle.pop() ?? this.#create();
    if (coroutine === undefined) return undefined;
    this.#active += 1;
    if (coroutine.prepare(owner, from, count, budget)) return coroutine;
    this.giveBack(coroutine, false);
    return undefined;
  }

  /** The coroutine that runs now, where there has to be one: after `canWait`. */
  get running(): Coroutine {
    assert(this.current !== undefined, 'a host function that waits runs in a coroutine');
    return this.current;
  }

  /** True when `thread` is the scheduler's own: what a script in it takes for the main program. */
  isOwn(thread: LuaThread): boolean {
    return this.#threads.has(thread);
  }

  /** True when `thread` waits for the host; scripts can then neither resume nor close it. */
  isWaiting(thread: LuaThread): boolean {
    return this.hostSuspended.has(thread) || this.#threads.get(thread)?.waiting === true;
  }

  /** A script holds the thread as a value: it must not come back as another request's. */
  expose(thread: LuaThread): void {
    this.#threads.get(thread)?.expose();
  }

  /** True when a host function called from `L` may wait. */
  canWait(L: LuaThread): boolean {
    return this.current !== undefined && this.canYield(L);
  }

  /** True when a yield from `L` reaches the host. */
  canYield(L: LuaThread): boolean {
    const { current } = this;
    return (
      this.chainYieldable &&
      current !== undefined &&
      !current.closing &&
      this.state.exports.lua_isyieldable(L) !== 0
    );
  }

  /** Gives the VM up; every coroutine of it is dead. `first` is told before everybody else hears of it. */
  abandon(reason: Error, first?: () => void): void {
    if (this.state.abandoned) return;
    this.state.abandon();
    this.current = undefined;
    first?.();
    this.#abandoned(reason);
  }

  /**
   * Calls the function below its arguments on the main thread, where nothing can wait. Throws ScriptError for an error,
   * for the limit, and when the VM had to be given up.
   */
  call(argumentCount: number, resultCount: number, cpuLimitMs: number): void {
    this.#runOnMainThread(cpuLimitMs, () =>
      this.state.call(this.state.mainThread, argumentCount, resultCount),
    );
  }

  /** Runs `run`, which may run finalisers and other metamethods of scripts, within `limitMs`; rethrows all. */
  bounded<T>(thread: LuaThread, limitMs: number, run: () => T): T {
    const mib = this.state.memory.size / MIB;
    this.guard.enter(thread, limitMs, false, false, HOST_GRACE_MS + mib * HOST_GRACE_MS_PER_MIB);
    try {
      return run();
    } finally {
      this.guard.leave();
    }
  }

  /**
   * Runs `run`, which may need memory, outside Lua's protection and at any time; ScriptError when there is none, or when
   * the VM had to be given up, because a collection had run finalisers that did not end.
   */
  attempt<T>(run: () => T): T | ScriptError {
    try {
      return this.bounded(this.state.mainThread, CLOSE_LIMIT_MS, () => this.state.attempt(run));
    } catch (thrown) {
      this.abandon(asError(thrown));
      return new ScriptError(describeLoss(thrown));
    }
  }

  /** Closes the state; finalisers run, but not for long. */
  close(): void {
    if (this.state.closed) return;
    try {
      this.#runOnMainThread(CLOSE_LIMIT_MS, () => this.state.close());
    } catch (error) {
      // what could not be closed in time has been given up
      if (!(error instanceof ScriptError)) throw error;
    }
  }

  #runOnMainThread(cpuLimitMs: number, run: () => void): void {
    try {
      this.bounded(this.state.mainThread, cpuLimitMs, run);
    } catch (thrown) {
      if (thrown instanceof ScriptError) throw thrown;
      this.abandon(asError(thrown));
      throw new ScriptError(describeLoss(thrown));
    }
  }

  /** Takes back a coroutine whose function has ended. */
  giveBack(coroutine: Coroutine, reusable: boolean): void {
    this.#active -= 1;
    if (this.state.abandoned) return;
    const x = this.state.exports;
    const pooled =
      reusable && this.#idle.length < POOL_MAX && x.lua_gettop(coroutine.thread) < POOLED_STACK_SLOTS_MAX;
    // results; a script that knows the thread would take what stands on it for a function to resume
    x.lua_settop(coroutine.thread, 0);
    if (pooled) {
      this.#idle.push(coroutine);
      return;
    }
    this.#threads.delete(coroutine.thread);
    const L = this.state.mainThread;
    x.lua_pushnil(L);
    x.lua_rawsetp(L, REGISTRY_INDEX, coroutine.thread);
  }

  /** A new thread, anchored in the registry under its own address; undefined when there is no memory for it. */
  #create(): Coroutine | undefined {
    const x = this.state.exports;
    const L = this.state.mainThread;
    const top = x.lua_gettop(L);
    // room for a thread may be made by a collection, which runs finalisers
    const thread = this.attempt(() => {
      const created = x.lua_newthread(L);
      x.lua_rawsetp(L, REGISTRY_INDEX, created);
      return created;
    });
    if (thread instanceof ScriptError) {
      if (!this.state.abandoned) x.lua_settop(L, top);
      return undefined;
    }
    const coroutine = new Coroutine(this, thread);
    this.#threads.set(thread, coroutine);
    return coroutine;
  }
}

type CoroutineStatus = 'idle' | 'ready' | 'running' | 'suspended' | 'closing';

/** One pooled Lua thread and the function it runs. */
export class Coroutine {
  readonly thread: LuaThread;
  readonly #scheduler: CoroutineScheduler;
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

  constructor(scheduler: CoroutineScheduler, thread: LuaThread) {
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
      budget.cpuUsedMs += guard.leave();
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
    budget.cpuUsedMs += guard.leave();
    if (unbegun !== undefined) this.#failToBegin(unbegun);
    else if (interruption === 'slice') this.#takeTurns();
    else if (interruption === 'limit')
      this.#fail(() => this.#describePlace(LIMIT_MESSAGE), this.#limitReached());
    else if (status === LUA_STATUS.ok) this.#finish();
    else if (status !== LUA_STATUS.yield)
      this.#fail(
        () => state.describeError(this.thread, status),
        armed === 'limit' ? this.#limitReached() : undefined,
      );
    else this.#suspend();
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
    for (const thread of [...(this.#passed ?? []), this.thread]) text = state.traceback(thread, text);
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

/** What a script's own pcall may see where a limit has to be raised as an error. */
const LIMIT_MESSAGE = 'CPU limit reached';

/** What becomes known of an exception that has passed through the VM. */
function describeLoss(thrown: unknown): string {
  if (thrown instanceof VmAbandoned) return [LIMIT_MESSAGE, thrown.traceback].join('\n').trimEnd();
  const error = asError(thrown);
  return error.stack ?? error.message;
}

function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}
