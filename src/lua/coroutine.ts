/**
 * Runs Lua functions in pooled coroutines that host functions can suspend, and passes suspensions outward through
 * coroutines of the script's own (coroutine-library.ts).
 */
import { assert } from '../base/assert.ts';
import { LuaError } from './lua-error.ts';
import { type KFunction, LUA_STATUS, type LuaThread, NULL, REGISTRY_INDEX } from './lua-exports.ts';
import { ScriptError, type State } from './state.ts';

/** Threads kept for the next function; more are left to the garbage collector. */
const POOL_MAX = 256;
/** Stack slots above which a thread is not kept: it has grown and would hold that memory. */
const POOLED_STACK_SLOTS_MAX = 200;

/** Told what becomes of a coroutine. Exactly one of `finished` and `failed` is called, and neither after `kill`. */
export interface CoroutineOwner {
  /** The function returned. Its results are on the stack of `L` and are gone afterwards. */
  finished(L: LuaThread): void;
  /** It raised an error: message and traceback. */
  failed(message: string): void;
  /** It waits for the host. Called every time. */
  suspended(): void;
}

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
  readonly #idle: Coroutine[] = [];
  /** The scheduler's own threads, idle or not. */
  readonly #threads = new Map<LuaThread, Coroutine>();
  #active = 0;

  constructor(state: State) {
    this.state = state;
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
  start(owner: CoroutineOwner, begin: (L: LuaThread) => number): Coroutine | undefined {
    const coroutine = this.#idle.pop() ?? this.#create();
    if (coroutine === undefined) {
      owner.failed('not enough memory');
      return undefined;
    }
    this.#active += 1;
    coroutine.start(owner, begin);
    return coroutine;
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

  /** A script holds the thread as a value or has set a hook on it: it must not come back as another request's. */
  expose(thread: LuaThread): void {
    this.#threads.get(thread)?.expose();
  }

  /** True when a host function called from `L` may wait. */
  canWait(L: LuaThread): boolean {
    return (
      this.chainYieldable &&
      this.current !== undefined &&
      !this.current.closing &&
      this.state.exports.lua_isyieldable(L) !== 0
    );
  }

  /** Takes back a coroutine whose function has ended. */
  giveBack(coroutine: Coroutine, reusable: boolean): void {
    this.#active -= 1;
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
    const thread = this.state.attempt(() => {
      const created = x.lua_newthread(L);
      x.lua_rawsetp(L, REGISTRY_INDEX, created);
      return created;
    });
    if (thread instanceof ScriptError) {
      x.lua_settop(L, top);
      return undefined;
    }
    const coroutine = new Coroutine(this, thread);
    this.#threads.set(thread, coroutine);
    return coroutine;
  }
}

type CoroutineStatus = 'idle' | 'running' | 'suspended' | 'closing';

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
  /** Script coroutines this one is suspended through. */
  #passed: LuaThread[] | undefined;

  constructor(scheduler: CoroutineScheduler, thread: LuaThread) {
    this.#scheduler = scheduler;
    this.thread = thread;
  }

  /** The one that started it; undefined when idle. */
  get owner(): CoroutineOwner | undefined {
    return this.#owner;
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

  start(owner: CoroutineOwner, begin: (L: LuaThread) => number): void {
    assert(this.#status === 'idle', 'a coroutine runs one function at a time');
    this.#owner = owner;
    this.#killed = false;
    const argumentCount = this.#scheduler.state.attempt(() => begin(this.thread));
    if (argumentCount instanceof ScriptError) {
      this.#release(false);
      owner.failed(argumentCount.message);
      return;
    }
    this.#resume(argumentCount);
  }

  /**
   * Suspends the calling host function until `wake`, then calls `next` in its place. `cancel` undoes what would have
   * called `wake`. Does not return (it throws through Lua); written as `return coroutine.wait(…)`.
   */
  wait(L: LuaThread, next: Continuation, cancel: () => void): number {
    if (!this.#scheduler.canWait(L)) {
      cancel();
      throw new LuaError('cannot wait here: a yield cannot cross this call');
    }
    this.#next = next;
    this.#cancel = cancel;
    const x = this.#scheduler.state.exports;
    x.lua_pushlightuserdata(L, HOST_SUSPENSION);
    return x.lua_yieldk(L, 1, 0, this.#scheduler.afterWait);
  }

  /** Resumes a waiting coroutine. Bound, so that it can be handed out as a callback. */
  readonly wake = (): void => {
    if (this.#status !== 'suspended') return;
    this.#cancel = undefined;
    // what it yielded is still on its stack, which would grow with every wait
    this.#scheduler.state.exports.lua_settop(this.thread, -2);
    this.#resume(0);
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
   * closed. The owner is not told.
   */
  kill(): void {
    if (this.#status === 'idle') return;
    this.#killed = true;
    if (this.#status === 'suspended') this.#close();
  }

  #resume(argumentCount: number): void {
    const scheduler = this.#scheduler;
    const x = scheduler.state.exports;
    const outer = scheduler.current;
    const outerYieldable = scheduler.chainYieldable;
    scheduler.current = this;
    scheduler.chainYieldable = true;
    if (this.#passed !== undefined) this.#forgetPassed();
    this.#status = 'running';
    const status = x.lua_resume(
      this.thread,
      NULL as LuaThread,
      argumentCount,
      scheduler.state.memory.sizeOut,
    );
    scheduler.current = outer;
    scheduler.chainYieldable = outerYieldable;
    if (status === LUA_STATUS.ok) this.#finish();
    else if (status !== LUA_STATUS.yield) this.#fail(scheduler.state.describeError(this.thread, status));
    else this.#suspend();
  }

  #finish(): void {
    const owner = this.#owner as CoroutineOwner;
    if (!this.#killed) owner.finished(this.thread);
    this.#release(true);
  }

  #fail(message: string): void {
    const owner = this.#owner as CoroutineOwner;
    const killed = this.#killed;
    this.#closeVariables();
    this.#release(false);
    if (!killed) owner.failed(message);
  }

  #suspend(): void {
    this.#status = 'suspended';
    if (this.#killed) this.#close();
    else if (this.#next === undefined) this.#fail('attempt to yield from outside a coroutine');
    else (this.#owner as CoroutineOwner).suspended();
  }

  #close(): void {
    const cancel = this.#cancel;
    this.#cancel = undefined;
    this.#next = undefined;
    cancel?.();
    this.#closeVariables();
    this.#release(false);
  }

  /** Runs what `local x <close>` asks for; errors there have nobody to go to but the closed coroutine. */
  #closeVariables(): void {
    const scheduler = this.#scheduler;
    const outer = scheduler.current;
    const x = scheduler.state.exports;
    scheduler.current = this;
    this.#status = 'closing';
    // the script's coroutines it waited in come first: the innermost, then the ones around it
    for (const inner of this.#passed ?? []) x.lua_resetthread(inner);
    x.lua_resetthread(this.thread);
    scheduler.current = outer;
  }

  #forgetPassed(): void {
    for (const inner of this.#passed ?? []) this.#scheduler.hostSuspended.delete(inner);
    this.#passed = undefined;
  }

  #release(reusable: boolean): void {
    this.#forgetPassed();
    this.#status = 'idle';
    this.#owner = undefined;
    this.#scheduler.giveBack(this, reusable && !this.#exposed);
  }
}

/** The one value a host suspension yields; no script can make a light userdata. */
export const HOST_SUSPENSION = 0x6c67_7731;
