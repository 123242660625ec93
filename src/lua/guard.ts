/**
 * Bounds the time of Lua code in one state: slices it, ends it at its CPU limit, and as a last resort breaks out of it.
 *
 * The rewritten module (wasm-rewriter.ts) calls the host whenever `fuel` loop rounds are used up. Then the clock is
 * looked at: time left, refill; a slice used up, a count hook makes the Lua thread yield, so that others get their
 * turn; the CPU limit reached, the same hook yields for good, or raises where no yield is possible; loops of
 * Lua's libraries in C, calls of C functions, message handlers and finalisers end by the same error. When the code still
 * runs some time later (a collection of very much, finalisers without number), a JavaScript exception is thrown through the
 * VM, which is unusable from then on.
 *
 * Slices are about fairness and go by the wall clock. Limits, and the time until the VM is given up, go by the processor
 * time of the thread; the wall clock, which never runs slower, says when to ask for it.
 *
 * Long because slices, limits and the end of a VM are steps of one path, and each call of the module decides between them.
 */
import { ownHeartbeat } from '../base/heartbeat.ts';
import { threadCpuMs } from '../base/thread-clock.ts';
import { addHostHook } from './host-functions.ts';
import { type CFunction, type LuaExports, type LuaThread, NULL } from './lua-exports.ts';
import { hasComputed } from './turns.ts';

/** Loop rounds between two looks at the clock, and about what they take, ms. */
const FUEL_ROUNDS = 200_000;
const FUEL_MS = 1;
/** Loops that an error may end call the host at their next round, whatever fuel there is. */
const RAISE_NOW = 0x7fff_ffff;
/** The module calls in a loop that an error may end. Less: in another one. More: the thread whose frame goes on. */
const MAY_RAISE = 1;
/** What is paid at once at most, as fuel is a number of 32 bits: more would not be looked at more often. */
const PAID_ROUNDS_MAX = 0x3fff_ffff;
/** Code runs this long before others get their turn. */
const SLICE_MS = 5;
/** The same after the limit, when code has to end soon: a tenth of a millisecond. */
const LAST_ROUNDS = 20_000;
/**
 * So many rounds after the error of the limit are looked at one by one: what catches it in a finaliser turns hooks off again,
 * a few rounds later.
 */
const LOOKS_AFTER_ERROR = 16;
/**
 * After its limit the code has so much processor time to end before the VM is given up. The second number is for each MiB
 * of memory: twice what a collection of it takes, which may fall there and can be ended by nothing.
 */
const GRACE_MS = 50;
const GRACE_MS_PER_MIB = 0.75;
const MIB = 1024 * 1024;
/** `LUA_MASKCOUNT`, `LUA_MASKCALL` */
const MASK_COUNT = 8;
const MASK_CALL = 1;
/** `LUA_HOOKCOUNT` */
const EVENT_COUNT = 3;

/** Thrown through the VM's frames: whoever called into the VM gives it up. */
export class VmAbandoned extends Error {
  override readonly name = 'VmAbandoned';
  /** Where the code was, as far as the VM could still tell. */
  readonly traceback: string;

  constructor(traceback: string) {
    super('Lua code did not end at its limit');
    this.traceback = traceback;
  }
}

/** What a hook was set for. */
export type Interruption = 'slice' | 'limit';

export interface GuardHooks {
  /** True when a yield from `thread` reaches the host, through all coroutines between. */
  canYield(thread: LuaThread): boolean;
  /** Raises the error of a limit in `thread`, where it cannot be yielded. */
  raise(thread: LuaThread): number;
  /** True when an error that is raised in `thread` ends what runs now. */
  isRunning(thread: LuaThread): boolean;
  /** Hooks of `thread` run from now on wherever it stands. */
  allowHooks(thread: LuaThread): void;
  /** A traceback of `thread`, which has been stopped inside a C function. May throw anything. */
  traceback(thread: LuaThread): string;
}

/** A run that was left for one inside it. */
interface OuterRun {
  readonly run: number;
  readonly limitMs: number;
  readonly graceMs: number | undefined;
  readonly mayBeSliced: boolean;
  readonly isClocked: boolean;
  readonly startedCpuMs: number;
  readonly sliceStartedAt: number;
  readonly armed: Interruption | undefined;
  readonly boundMs: number;
  readonly askAt: number;
  readonly threads: readonly LuaThread[];
}

export class Guard {
  readonly #exports: LuaExports;
  readonly #hooks: GuardHooks;
  readonly #hook: CFunction;
  /** Processor time the run may take, ms; Infinity = no limit. */
  #limitMs = Number.POSITIVE_INFINITY;
  /** Processor time after the limit; undefined: what runs of scripts have. */
  #graceMs: number | undefined;
  #mayBeSliced = false;
  /** Runs are numbered; the clocks are read only in those long enough to use up their fuel. */
  #run = 0;
  #lastRun = 0;
  #clockedRun = 0;
  /** The run that has used up fuel once, and when: what others have left of it may have been little, and a look costs 10 µs. */
  #noticedRun = 0;
  #noticedAt = 0;
  /** Processor time of the thread when the run's clock was started. */
  #startedCpuMs = 0;
  /** Processor time the run may use until something happens: it is interrupted, or the VM is given up. */
  #boundMs = 0;
  /** Wall-clock time before which it cannot have used that; outside of runs nothing is bounded. */
  #askAt = Number.POSITIVE_INFINITY;
  /** Wall-clock time. */
  #sliceStartedAt = 0;
  #armed: Interruption | undefined;
  /** The limit counts from the next look at the clock; slices go on. */
  #isRenewed = false;
  #closeLooks = 0;
  /** The thread a hook has made yield, until the host has seen it. */
  #yielded: LuaThread | undefined;
  /** The threads that run now, outermost first: so many of the array, which keeps its length from run to run. */
  readonly #threads: LuaThread[] = [];
  #depth = 0;
  readonly #outer: OuterRun[] = [];
  #stopping = false;

  constructor(exports: LuaExports, hooks: GuardHooks) {
    this.#exports = exports;
    this.#hooks = hooks;
    this.#hook = addHostHook(exports, (L, event) => this.#interrupt(L, event));
    exports.fuel.value = FUEL_ROUNDS;
  }

  /** What runs now has its whole time again from here on: it has come to the next of many pieces of work. */
  renew(limitMs: number): void {
    this.#limitMs = limitMs;
    this.#isRenewed = true;
  }

  /** What the run is being interrupted for. */
  get armed(): Interruption | undefined {
    return this.#armed;
  }

  /**
   * The host is about to call into the VM. `limitMs`: processor time this run has left. `isLong`: it is known to take its
   * time, so that the clock is read from the start. `graceMs`: processor time after the limit until the VM is given up.
   */
  enter(thread: LuaThread, limitMs: number, mayBeSliced: boolean, isLong = false, graceMs?: number): void {
    if (this.#depth > 0) this.#saveRun();
    this.#lastRun += 1;
    this.#run = this.#lastRun;
    this.#limitMs = limitMs;
    this.#graceMs = graceMs;
    this.#mayBeSliced = mayBeSliced;
    this.#armed = undefined;
    this.#isRenewed = false;
    this.#yielded = undefined;
    this.#threads[0] = thread;
    this.#depth = 1;
    if (isLong) this.#startClock(performance.now(), threadCpuMs());
  }

  /** The call is over. Processor time it took, ms; 0 when that was too little to be looked at. */
  leave(): number {
    const isClocked = this.#clockedRun === this.#run;
    if (this.#armed === 'limit') this.#exports.raiseBelow.value = 0;
    const usedMs = isClocked ? threadCpuMs() - this.#startedCpuMs : 0;
    this.#depth = 0;
    this.#armed = undefined;
    // what the host does between runs is its own affair
    this.#limitMs = Number.POSITIVE_INFINITY;
    this.#askAt = Number.POSITIVE_INFINITY;
    this.#mayBeSliced = false;
    if (this.#outer.length > 0) this.#restoreRun(isClocked);
    return usedMs;
  }

  /** A coroutine of the script is resumed by the thread that runs now. */
  enterInner(thread: LuaThread): void {
    this.#threads[this.#depth] = thread;
    this.#depth += 1;
    if (this.#armed !== undefined) this.#setHook(thread, this.#armed);
  }

  leaveInner(): void {
    this.#depth -= 1;
  }

  /** True, once, when `thread` has yielded because of a hook and not by itself. */
  takeYield(thread: LuaThread): boolean {
    if (this.#yielded !== thread) return false;
    this.#yielded = undefined;
    return true;
  }

  /** The hook's yield goes on outward through `thread`. */
  passYield(thread: LuaThread): void {
    this.#yielded = thread;
  }

  /** The module calls the host, and says why. */
  readonly called = (reason: number): void => {
    if (reason > MAY_RAISE) this.#tryYield(reason as LuaThread);
    else this.outOfFuel(reason === MAY_RAISE);
  };

  /** The fuel is used up. `mayRaise`: it stands in a loop that an error may end. */
  outOfFuel(mayRaise = false): void {
    const { fuel } = this.#exports;
    const isPaidAhead = fuel.value < -FUEL_ROUNDS;
    fuel.value = this.#armed === 'limit' ? this.#lastRounds() : FUEL_ROUNDS;
    if (this.#stopping) throw new VmAbandoned('');
    const now = performance.now();
    // what computes in Lua is this guard's to end, and no thread that is held up
    ownHeartbeat().beat();
    hasComputed(now);
    if (this.#clockedRun !== this.#run) {
      if (this.#noticedRun === this.#run) this.#startClock(this.#noticedAt, threadCpuMs() - FUEL_MS);
      else if (isPaidAhead) this.#startClock(now, threadCpuMs());
      else {
        this.#noticedRun = this.#run;
        this.#noticedAt = now;
      }
      return;
    }
    if (this.#isRenewed && this.#armed !== 'limit') this.#startLimit(now);
    if (now >= this.#askAt) this.#askThread(now);
    if (this.#armed === 'limit') this.#press(mayRaise);
    if (this.#mayBeSliced && this.#armed === undefined && now - this.#sliceStartedAt >= SLICE_MS) {
      this.#sliceStartedAt = now;
      this.#arm('slice');
    }
  }

  /**
   * Work of a host function is paid for: one unit is a loop round, 5 ns. Paid before the work, so that the clock of a
   * run that begins with it has started. Called inside Lua only: when the time is up it arms the hook, so that the caller
   * ends or waits at its next instruction, or, when that has not helped, throws VmAbandoned, which has to pass.
   */
  pay(units: number): void {
    this.#exports.pay(Math.min(units, PAID_ROUNDS_MAX));
  }

  /** What runs now has made work that the host does later: so much less processor time is left to it, ms. */
  charge(ms: number): void {
    this.#limitMs -= ms;
    if (this.#clockedRun !== this.#run || this.#armed === 'limit') return;
    this.#boundMs -= ms;
    this.#askAt -= ms;
  }

  /** A host function that takes its time looks at the clock as the module does: what the run is interrupted for. */
  hostWorked(): Interruption | undefined {
    this.outOfFuel();
    return this.#armed;
  }

  #startClock(now: number, cpuMs: number): void {
    this.#clockedRun = this.#run;
    this.#startedCpuMs = cpuMs;
    this.#boundMs = this.#limitMs;
    this.#askAt = now + this.#limitMs;
    this.#sliceStartedAt = now;
  }

  #startLimit(now: number): void {
    this.#isRenewed = false;
    this.#startedCpuMs = threadCpuMs();
    this.#boundMs = this.#limitMs;
    this.#askAt = now + this.#limitMs;
  }

  /** So much wall-clock time has passed that the run may have come to its bound: others may have had the processor. */
  #askThread(now: number): void {
    const usedMs = threadCpuMs() - this.#startedCpuMs;
    if (usedMs >= this.#boundMs) {
      if (this.#armed === 'limit') throw this.#stop();
      this.#boundMs = usedMs + (this.#graceMs ?? this.#ownGraceMs());
      this.#arm('limit');
    }
    this.#askAt = now + (this.#boundMs - usedMs);
  }

  #lastRounds(): number {
    if (this.#closeLooks === 0) return LAST_ROUNDS;
    this.#closeLooks -= 1;
    return 0;
  }

  #ownGraceMs(): number {
    return GRACE_MS + (this.#exports.memory.buffer.byteLength / MIB) * GRACE_MS_PER_MIB;
  }

  #arm(interruption: Interruption): void {
    this.#armed = interruption;
    if (interruption === 'limit') this.#exports.raiseBelow.value = RAISE_NOW;
    for (let i = 0; i < this.#depth; i++) this.#setHook(this.#threads[i] as LuaThread, interruption);
  }

  /** At the limit calls are seen, too: C functions call each other without an instruction between. */
  #setHook(thread: LuaThread, interruption: Interruption): void {
    const mask = interruption === 'limit' ? MASK_COUNT | MASK_CALL : MASK_COUNT;
    this.#exports.lua_sethook(thread, this.#hook, mask, 1);
  }

  /** The limit was reached, and no hook has ended the code yet: it stands in C, in a finaliser or a message handler. */
  #press(mayRaise: boolean): void {
    const innermost = this.#threads[this.#depth - 1];
    if (innermost === undefined) return;
    this.#hooks.allowHooks(innermost);
    if (mayRaise && this.#hooks.isRunning(innermost)) this.#raise(innermost);
  }

  #raise(thread: LuaThread): void {
    this.#closeLooks = LOOKS_AFTER_ERROR;
    this.#hooks.raise(thread);
  }

  /** Nothing is left of the VM but what it can still tell: that may fail too, and must not take long. */
  #stop(): VmAbandoned {
    const innermost = this.#threads[this.#depth - 1];
    this.#stopping = true;
    let traceback = '';
    try {
      if (innermost !== undefined) traceback = this.#hooks.traceback(innermost);
    } catch {
      // then it stays unknown
    }
    return new VmAbandoned(traceback);
  }

  #saveRun(): void {
    if (this.#armed === 'limit') this.#exports.raiseBelow.value = 0;
    this.#outer.push({
      run: this.#run,
      limitMs: this.#limitMs,
      graceMs: this.#graceMs,
      mayBeSliced: this.#mayBeSliced,
      isClocked: this.#clockedRun === this.#run,
      startedCpuMs: this.#startedCpuMs,
      sliceStartedAt: this.#sliceStartedAt,
      armed: this.#armed,
      boundMs: this.#boundMs,
      askAt: this.#askAt,
      threads: this.#threads.slice(0, this.#depth),
    });
  }

  /** `innerIsClocked`: the run inside was long enough to be looked at, and its time counts for this one too. */
  #restoreRun(innerIsClocked: boolean): void {
    const outer = this.#outer.pop() as OuterRun;
    this.#run = outer.run;
    this.#limitMs = outer.limitMs;
    this.#graceMs = outer.graceMs;
    this.#mayBeSliced = outer.mayBeSliced;
    this.#armed = outer.armed;
    if (outer.armed === 'limit') this.#exports.raiseBelow.value = RAISE_NOW;
    for (const [i, thread] of outer.threads.entries()) this.#threads[i] = thread;
    this.#depth = outer.threads.length;
    if (outer.isClocked) {
      this.#clockedRun = outer.run;
      this.#startedCpuMs = outer.startedCpuMs;
      this.#sliceStartedAt = outer.sliceStartedAt;
      this.#boundMs = outer.boundMs;
      this.#askAt = outer.askAt;
    } else if (innerIsClocked) {
      // the question comes too early rather than too late: the run inside began before now
      const now = performance.now();
      this.#clockedRun = outer.run;
      this.#boundMs = outer.limitMs;
      this.#askAt = now;
      this.#sliceStartedAt = now;
    } else this.#clockedRun = 0;
  }

  /** The hook: runs before the next instruction, or in the next call, of a thread it was set on. */
  #interrupt(L: LuaThread, event: number): void {
    if (this.#armed === 'limit') {
      if (!this.#hooks.canYield(L)) this.#raise(L);
      // no yield is possible while a function is called; the instruction after it comes soon
      else if (event === EVENT_COUNT) this.#yieldFrom(L);
      return;
    }
    if (this.#armed === undefined) this.#exports.lua_sethook(L, NULL, 0, 0);
    // left from an earlier run of this thread
    else if (event !== EVENT_COUNT) this.#setHook(L, this.#armed);
    // below a call that no yield can cross others get their turn when that has returned: a frame goes on then that the hook was set on,
    // which the VM tells (frame-notice.ts)
    else if (!this.#hooks.canYield(L)) this.#exports.lua_sethook(L, NULL, 0, 0);
    else {
      this.#exports.lua_sethook(L, NULL, 0, 0);
      this.#armed = undefined;
      this.#yieldFrom(L);
    }
  }

  /** A slice that was used up where `L` could not yield: the next instruction of `L` tries again. */
  #tryYield(L: LuaThread): void {
    if (this.#armed === 'slice' && this.#hooks.canYield(L)) this.#setHook(L, 'slice');
  }

  #yieldFrom(L: LuaThread): void {
    this.#yielded = L;
    this.#exports.lua_yieldk(L, 0, 0, NULL);
  }
}
