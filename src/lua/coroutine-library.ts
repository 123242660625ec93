/**
 * Stands before Lua's coroutine library, so that a host function called inside a script's coroutine suspends the whole
 * exchange and not only that coroutine, that nobody else resumes or closes it meanwhile, and that a handler finds itself
 * where a main program would be: it cannot yield.
 */
import { WAIT_REFUSED } from './coroutine.ts';
import type { CoroutineScheduler } from './coroutine-scheduler.ts';
import type { HostFunction } from './host-functions.ts';
import { LIGHT_USERDATA } from './light-userdata.ts';
import { LuaError } from './lua-error.ts';
import {
  type CFunction,
  type KFunction,
  LUA_STATUS,
  LUA_TYPE,
  type LuaThread,
  NULL,
  REGISTRY_INDEX,
} from './lua-exports.ts';

/** Longer than any message of a refusal with its position. */
const REFUSAL_LENGTH_MAX = 1000;

/** Pseudo-index of a C closure's first upvalue. */
const FIRST_UPVALUE = REGISTRY_INDEX - 1;

export function installCoroutineLibrary(scheduler: CoroutineScheduler): void {
  const { state } = scheduler;
  const { exports: x, memory } = state;
  const L = state.mainThread;
  x.lua_getglobal(L, memory.constant('coroutine'));
  const nativeResume = nativeField(L, 'resume');
  const nativeWrap = nativeField(L, 'wrap');
  const nativeStatus = nativeField(L, 'status');
  const nativeClose = nativeField(L, 'close');
  const nativeRunning = nativeField(L, 'running');
  const nativeIsYieldable = nativeField(L, 'isyieldable');
  // What is on the stack beside the coroutine came with the resume: each of many inside each other would add to it.
  const resumeAgain = state.addContinuation((thread) => {
    x.lua_settop(thread, 1);
    return resume(thread);
  });
  const callWrappedAgain = state.addContinuation((thread) => {
    x.lua_settop(thread, 0);
    return callWrapped(thread);
  });
  const functions = state.addFunctions({
    resume: (thread) => {
      if (scheduler.isWaiting(x.lua_tothread(thread, 1))) {
        x.lua_pushboolean(thread, 0);
        state.pushString(thread, 'cannot resume non-suspended coroutine');
        return 2;
      }
      return resume(thread);
    },
    wrap: (thread) => {
      nativeWrap(thread);
      x.lua_getupvalue(thread, -1, 1);
      x.lua_pushcclosure(thread, callWrappedFunction, 1);
      return 1;
    },
    status: (thread) => {
      if (!scheduler.isWaiting(x.lua_tothread(thread, 1))) return nativeStatus(thread);
      state.pushString(thread, 'normal');
      return 1;
    },
    close: (thread) => {
      if (scheduler.isWaiting(x.lua_tothread(thread, 1)))
        throw new LuaError('cannot close a normal coroutine');
      const inner = x.lua_tothread(thread, 1);
      // the coroutine that calls cannot be closed, which the library says
      return inner === 0 || inner === thread ? nativeClose(thread) : closeInner(thread, inner);
    },
    yield: (thread) => {
      if (scheduler.isOwn(thread)) throw new LuaError('attempt to yield from outside a coroutine', 0);
      return state.yield(x.lua_gettop(thread), NULL);
    },
    isyieldable: (thread) => {
      const of = x.lua_type(thread, 1) === LUA_TYPE.none ? thread : x.lua_tothread(thread, 1);
      if (!scheduler.isOwn(of)) return nativeIsYieldable(thread);
      x.lua_pushboolean(thread, 0);
      return 1;
    },
    running: (thread) => {
      if (!scheduler.isOwn(thread)) return nativeRunning(thread);
      scheduler.expose(thread);
      x.lua_pushthread(thread);
      x.lua_pushboolean(thread, 1);
      return 2;
    },
  });
  const { callWrappedFunction } = state.addFunctions({
    callWrappedFunction: (thread) => {
      if (scheduler.isWaiting(x.lua_tothread(thread, FIRST_UPVALUE)))
        throw new LuaError('cannot resume non-suspended coroutine');
      return callWrapped(thread);
    },
  });
  state.setFunctions(L, -1, functions);
  state.pop(L);

  function nativeField(thread: LuaThread, name: string): HostFunction {
    x.lua_getfield(thread, -1, memory.constant(name));
    const native = state.nativeFunction(x.lua_tocfunction(thread, -1) as CFunction);
    state.pop(thread);
    return native;
  }

  /** The library's resume; stack on entry: coroutine, arguments. */
  function resume(thread: LuaThread): number {
    const inner = x.lua_tothread(thread, 1);
    const count = runInner(thread, inner, nativeResume);
    // true, suspension
    if (count === 2 && isHostSuspension(thread)) return passOutward(thread, inner, 1, resumeAgain);
    if (scheduler.guard.takeYield(inner)) return passInterruption(thread, inner, count, resumeAgain);
    return count;
  }

  /** A wrapped function, by way of resume; stack on entry: arguments. */
  function callWrapped(thread: LuaThread): number {
    x.lua_pushvalue(thread, FIRST_UPVALUE);
    x.lua_rotate(thread, 1, 1);
    const inner = x.lua_tothread(thread, 1);
    const count = runInner(thread, inner, nativeResume);
    // true, suspension
    if (count === 2 && isHostSuspension(thread)) return passOutward(thread, inner, 0, callWrappedAgain);
    if (scheduler.guard.takeYield(inner)) return passInterruption(thread, inner, count, callWrappedAgain);
    if (count === 2 && x.lua_toboolean(thread, -2) === 0) return raiseWrapped(thread, inner);
    return count - 1;
  }

  /** A wrapped function has failed, with the error on top: its variables are closed, and the error goes on to the caller. */
  function raiseWrapped(thread: LuaThread, inner: LuaThread): number {
    const status = x.lua_status(inner);
    if (status !== LUA_STATUS.ok && status !== LUA_STATUS.yield) {
      runInner(thread, inner, () => x.lua_resetthread(inner));
      takeLastError(thread, inner);
    }
    if (status !== LUA_STATUS.memoryError && x.lua_type(thread, -1) === LUA_TYPE.string) {
      x.luaL_where(thread, 1);
      x.lua_rotate(thread, -2, 1);
      x.lua_concat(thread, 2);
    }
    return x.lua_error(thread);
  }

  /**
   * Puts what `inner` ended with in place of the error on top of `thread`: an error of a `__close` hides the one before, as
   * Lua has it. But where the host refused to wait there, the script is not to blame: then both are told.
   */
  function takeLastError(thread: LuaThread, inner: LuaThread): void {
    const last = x.lua_type(inner, -1) === LUA_TYPE.string ? state.toString(inner, -1) : undefined;
    const isRefusal = last !== undefined && last.length < REFUSAL_LENGTH_MAX && last.includes(WAIT_REFUSED);
    if (isRefusal && x.lua_type(thread, -1) === LUA_TYPE.string && state.toString(thread, -1) !== last) {
      state.pushString(thread, `\n(and then in __close: ${last})`);
      x.lua_concat(thread, 2);
      return;
    }
    state.pop(thread);
    x.lua_xmove(inner, thread, 1);
  }

  function runInner(thread: LuaThread, inner: LuaThread, native: HostFunction): number {
    const outer = scheduler.chainYieldable;
    scheduler.chainYieldable = outer && x.lua_isyieldable(thread) !== 0;
    scheduler.guard.enterInner(inner);
    try {
      return native(thread);
    } finally {
      scheduler.guard.leaveInner();
      scheduler.chainYieldable = outer;
    }
  }

  /** `__close` runs in the coroutine that is closed, below a call that no yield can cross. */
  function closeInner(thread: LuaThread, inner: LuaThread): number {
    const outer = scheduler.chainYieldable;
    scheduler.chainYieldable = false;
    scheduler.guard.enterInner(inner);
    try {
      return nativeClose(thread);
    } finally {
      scheduler.guard.leaveInner();
      scheduler.chainYieldable = outer;
    }
  }

  function isHostSuspension(thread: LuaThread): boolean {
    return (
      x.lua_type(thread, -1) === LUA_TYPE.lightUserdata &&
      x.lua_touserdata(thread, -1) === LIGHT_USERDATA.suspension
    );
  }

  /** Suspends `thread` too; `kept` values at the bottom of its stack are there when `again` resumes the inner one. */
  function passOutward(thread: LuaThread, inner: LuaThread, kept: number, again: KFunction): number {
    scheduler.running.passThrough(inner);
    x.lua_settop(thread, kept);
    x.lua_pushlightuserdata(thread, LIGHT_USERDATA.suspension);
    return state.yield(1, again);
  }

  /** A hook made the inner coroutine yield without values: this coroutine yields, too, and so on outward to the host. */
  function passInterruption(thread: LuaThread, inner: LuaThread, count: number, again: KFunction): number {
    scheduler.running.passThrough(inner);
    state.pop(thread, count);
    scheduler.guard.passYield(thread);
    return state.yield(0, again);
  }
}
