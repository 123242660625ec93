/**
 * Fields of `lua_State` that the C API does not give: the message handler of the innermost protected call, and whether
 * hooks may run. They lie where the one build of Lua has them that this gateway runs; where a thread looks otherwise at
 * the start, nothing is written, and code that only these fields could end costs the VM.
 */
import type { HostFunction } from './host-functions.ts';
import { type Address, type CFunction, type LuaExports, type LuaThread, NULL } from './lua-exports.ts';
import type { Memory } from './memory.ts';
import { THREAD_FIELD } from './thread-layout.ts';

/** `LUA_MASKCOUNT` */
const MASK_COUNT = 8;
/** Any count. */
const SAMPLE_COUNT = 54_321;
/** Handlers are told by their distance from the start of the stack: that of the first few slots of 12 or 16 bytes. */
const HANDLER_OFFSET_MAX = 1024;

export class ThreadFields {
  readonly #memory: Memory;
  readonly #fits: boolean;

  /** `addFunction`: makes a function that Lua can call; it is called once. */
  constructor(
    exports: LuaExports,
    memory: Memory,
    L: LuaThread,
    addFunction: (run: HostFunction) => CFunction,
  ) {
    this.#memory = memory;
    this.#fits = looksRight(exports, memory, L, addFunction);
  }

  /** An error that is raised now in `L` goes to whoever catches it without the message handler of `xpcall`. */
  forgetMessageHandler(L: LuaThread): void {
    if (this.#fits) this.#memory.setWord((L + THREAD_FIELD.messageHandler) as Address, 0);
  }

  /** True when `L` runs and not `other`, which may have been called from inside it: an error goes to the right place. */
  isInside(L: LuaThread, other: LuaThread): boolean {
    if (!this.#fits) return false;
    const jump = this.#memory.word((L + THREAD_FIELD.errorJump) as Address);
    const otherJump = this.#memory.word((other + THREAD_FIELD.errorJump) as Address);
    return jump !== 0 && (L === other || otherJump === 0 || jump < otherJump);
  }

  /** Hooks of `L` run from now on, though it stands in a finaliser or in what an error in a hook has called. */
  allowHooks(L: LuaThread): void {
    if (this.#fits) this.#memory.heap[L + THREAD_FIELD.allowHook] = 1;
  }
}

/** Looks at a thread that has a hook, and then at one that stands below a message handler. */
function looksRight(
  x: LuaExports,
  memory: Memory,
  L: LuaThread,
  addFunction: (run: HostFunction) => CFunction,
): boolean {
  const word = (offset: number): number => memory.word((L + offset) as Address);
  const hasHook = (hook: number, count: number, mask: number): boolean =>
    word(THREAD_FIELD.hook) === hook &&
    word(THREAD_FIELD.baseHookCount) === count &&
    memory.heap[L + THREAD_FIELD.hookMask] === mask;
  let handler = 0;
  let jump = 0;
  const look = addFunction(() => {
    handler = word(THREAD_FIELD.messageHandler);
    jump = word(THREAD_FIELD.errorJump);
    return 0;
  });
  x.lua_sethook(L, look, MASK_COUNT, SAMPLE_COUNT);
  const sawHook = hasHook(look, SAMPLE_COUNT, MASK_COUNT);
  x.lua_sethook(L, NULL, 0, 0);
  const sawNone = hasHook(0, SAMPLE_COUNT, 0) || hasHook(0, 0, 0);
  if (
    !(
      sawHook &&
      sawNone &&
      memory.heap[L + THREAD_FIELD.allowHook] === 1 &&
      word(THREAD_FIELD.messageHandler) === 0
    )
  )
    return false;
  const top = x.lua_gettop(L);
  x.lua_pushcclosure(L, look, 0);
  x.lua_pushcclosure(L, look, 0);
  x.lua_pcallk(L, 0, 0, top + 1, 0, NULL);
  x.lua_settop(L, top);
  if (jump === 0 || word(THREAD_FIELD.errorJump) !== 0) return false;
  return handler > 0 && handler < HANDLER_OFFSET_MAX && word(THREAD_FIELD.messageHandler) === 0;
}
