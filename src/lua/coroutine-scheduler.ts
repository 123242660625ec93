/**
 * Runs Lua functions in pooled coroutines that host functions can suspend, and passes suspensions outward through
 * coroutines of the script's own (coroutine-library.ts).
 */
import { assert } from '../base/assert.ts';
import {
  CLOSE_LIMIT_MS,
  Coroutine,
  type CoroutineHost,
  type CoroutineOwner,
  type CpuBudget,
  type CpuMeter,
} from './coroutine.ts';
import { Guard } from './guard.ts';
import { type KFunction, type LuaThread, REGISTRY_INDEX } from './lua-exports.ts';
import { ScriptError, type State } from './state.ts';
import { asError, describeLoss, LIMIT_MESSAGE } from './vm-loss.ts';

/** Threads kept for later functions; the garbage collector takes the others. */
const POOL_MAX = 256;
/** A thread with more stack slots than this is not kept: its stack has grown, and keeping the thread would hold that memory. */
const POOLED_STACK_SLOTS_MAX = 200;

/**
 * CPU time that C functions have beyond such limits, before the VM is given up for what the host asked of it: a
 * collection of all its memory may happen to fall there, and the traceback of a deep stack. The second number is for each
 * MiB of memory; ten times what a collection takes.
 */
const HOST_GRACE_MS = 500;
const HOST_GRACE_MS_PER_MIB = 20;
const MIB = 1024 * 1024;

/** Told when the VM can be used no more. */
export type Abandoned = (reason: Error) => void;

export class CoroutineScheduler implements CoroutineHost {
  readonly state: State;
  /** The coroutine that runs now: the one whose host call is being answered. */
  current: Coroutine | undefined;
  /** The owner of what runs in place of a coroutine's (`actFor`). */
  standIn: CoroutineOwner | undefined;
  /** False while a script's coroutine runs below a call that no yield can cross (`table.sort`, `string.gsub`, …). */
  chainYieldable = true;
  /** Script coroutines that are suspended on behalf of the host; nobody else may resume them meanwhile. */
  readonly hostSuspended: Set<LuaThread> = new Set();
  readonly afterWait: KFunction;
  readonly guard: Guard;
  /** Undefined: nobody counts. */
  meter: CpuMeter | undefined;
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
      traceback: (L) => state.errors.last(L),
    });
    state.setFuelWatch(this.guard.called);
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

  /**
   * The same on behalf of `owner`, where nothing can wait: `run` calls functions of the script on the main thread, perhaps
   * in the middle of a host function.
   */
  actFor<T>(owner: CoroutineOwner, run: () => T): T | ScriptError {
    const x = this.state.exports;
    const { mainThread } = this.state;
    const { current, standIn } = this;
    const top = x.lua_gettop(mainThread);
    this.standIn = owner;
    const outcome = this.attempt(run);
    this.standIn = standIn;
    if (!this.state.abandoned) x.lua_settop(mainThread, top);
    // whoever has called from inside the VM cannot go on
    else if (current !== undefined) throw outcome;
    return outcome;
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
