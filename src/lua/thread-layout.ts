/** Where `lua_State` has the fields that the C API does not give (lstate.h), in the one build of Lua that this gateway runs. */

/** Bytes from the start of the thread; a byte, and words of 32 bits. */
export const THREAD_FIELD = {
  allowHook: 7,
  top: 12,
  /** The call that runs (`CallInfo`). */
  call: 20,
  /** Frame on the C stack of the innermost protected call; the stack grows down. */
  errorJump: 48,
  hook: 88,
  messageHandler: 92,
  /** Calls of C functions below each other; in the upper half, those that no yield can cross. */
  calls: 96,
  baseHookCount: 104,
  hookMask: 112,
} as const;

/** Where `CallInfo` has its fields. */
export const CALL_FIELD = {
  /** The end of the slots that the called function may use. */
  top: 4,
  /** Of a function in Lua: not 0 when it has to look for hooks. */
  trap: 20,
} as const;

/** What one call that no yield can cross adds to `calls`. */
export const UNYIELDABLE_CALL = 0x1_0000;
