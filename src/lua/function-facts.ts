/** What is known of a function of Lua: its parameters, and whether it is the gateway's own. */
import type { Address, CFunction, CString, LuaThread } from './lua-exports.ts';
import type { State } from './state.ts';

/** Names of chunks that are the gateway's own: functions of the first no script can reach, those of the others scripts call. */
const OWN_CHUNKS: ReadonlySet<string> = new Set(['=lgateway', '=gateway', '=luars', '=luvit']);

const OWN_CHUNK_LENGTH_MAX = 9;

/** Variables of a function of ours that are looked through. */
const OWN_LOCALS_MAX = 16;

/** `lua_Debug`: its size, rounded up, and where it has `source`, `srclen`, `nparams` and `isvararg`. */
const ACTIVATION_BYTES = 128;
const ACTIVATION_SOURCE = 16;
const ACTIVATION_SOURCE_LENGTH = 20;
const ACTIVATION_PARAMETERS = 37;
const ACTIVATION_VARARG = 38;

/** The number of parameters of the function on top of the stack, and whether it takes `...`. */
export function parametersOf(
  state: State,
  L: LuaThread,
): { readonly count: number; readonly isVariadic: boolean } {
  const { exports: x, memory } = state;
  const scratch = memory.scratch(ACTIVATION_BYTES) as unknown as Address;
  x.lua_pushvalue(L, -1);
  x.lua_getinfo(L, memory.constant('>u'), scratch);
  return {
    count: memory.heap[scratch + ACTIVATION_PARAMETERS] as number,
    isVariadic: memory.heap[scratch + ACTIVATION_VARARG] !== 0,
  };
}

/** True when the function at `index` is Lua code of the gateway's own. */
export function isOwnFunction(state: State, L: LuaThread, index: number): boolean {
  const { exports: x, memory } = state;
  const scratch = memory.scratch(ACTIVATION_BYTES) as unknown as Address;
  x.lua_pushvalue(L, index);
  x.lua_getinfo(L, memory.constant('>S'), scratch);
  return isOwnActivation(state, scratch);
}

/** True when the function that runs at `level` of the stack is Lua code of the gateway's own. */
export function isOwnLevel(state: State, L: LuaThread, level: number): boolean {
  const { exports: x, memory } = state;
  const scratch = memory.scratch(ACTIVATION_BYTES) as unknown as Address;
  if (x.lua_getstack(L, level, scratch) === 0) return false;
  x.lua_getinfo(L, memory.constant('S'), scratch);
  return isOwnActivation(state, scratch);
}

/** True when more than `levels` functions are on a stack. */
export function hasLevels({ exports: x, memory }: State, L: LuaThread, levels: number): boolean {
  return x.lua_getstack(L, levels, memory.scratch(ACTIVATION_BYTES) as unknown as Address) !== 0;
}

/** How many of the topmost `levels` of a stack run the C function `wanted`. */
export function countLevels(state: State, L: LuaThread, wanted: CFunction, levels: number): number {
  const { exports: x, memory } = state;
  const scratch = memory.scratch(ACTIVATION_BYTES) as unknown as Address;
  let count = 0;
  for (let level = 0; level < levels && x.lua_getstack(L, level, scratch) !== 0; level++) {
    x.lua_getinfo(L, memory.constant('f'), scratch);
    if (x.lua_tocfunction(L, -1) === wanted) count++;
    state.pop(L);
  }
  return count;
}

/**
 * Pushes the values of local variables, one for each name, of the lowest function on the stack of `thread`, if it is Lua
 * code of the gateway's own that has all of them. False: nothing was pushed.
 */
export function pushLowestLocals(
  state: State,
  L: LuaThread,
  thread: LuaThread,
  names: readonly string[],
): boolean {
  const { exports: x } = state;
  const level = lowestLevel(state, thread);
  if (level === undefined || !isOwnLevel(state, thread, level)) return false;
  if (x.lua_checkstack(thread, 1) === 0) return false;
  const top = x.lua_gettop(L);
  for (const name of names) {
    if (pushLocal(state, L, thread, level, name)) continue;
    x.lua_settop(L, top);
    return false;
  }
  return true;
}

function pushLocal(state: State, L: LuaThread, thread: LuaThread, level: number, name: string): boolean {
  const { exports: x, memory } = state;
  const scratch = memory.scratch(ACTIVATION_BYTES) as unknown as Address;
  x.lua_getstack(thread, level, scratch);
  for (let n = 1; n <= OWN_LOCALS_MAX; n++) {
    const at = x.lua_getlocal(thread, scratch, n);
    if (at === 0) return false;
    if (memory.readString(at, name.length + 1) === `${name}\0`) {
      if (thread !== L) x.lua_xmove(thread, L, 1);
      return true;
    }
    state.pop(thread);
  }
  return false;
}

/** The level of the function that was called first; undefined when none runs. */
function lowestLevel(state: State, thread: LuaThread): number | undefined {
  const { exports: x, memory } = state;
  const scratch = memory.scratch(ACTIVATION_BYTES) as unknown as Address;
  const exists = (level: number): boolean => x.lua_getstack(thread, level, scratch) !== 0;
  if (!exists(0)) return undefined;
  let low = 0;
  let high = 1;
  while (exists(high)) {
    low = high;
    high *= 2;
  }
  while (high - low > 1) {
    const middle = (low + high) >>> 1;
    if (exists(middle)) low = middle;
    else high = middle;
  }
  // each question walks down the stack
  x.pay(low);
  return low;
}

function isOwnActivation(state: State, activation: Address): boolean {
  const { memory } = state;
  const source = memory.word((activation + ACTIVATION_SOURCE) as Address) as unknown as CString;
  const length = memory.word((activation + ACTIVATION_SOURCE_LENGTH) as Address);
  return length <= OWN_CHUNK_LENGTH_MAX && OWN_CHUNKS.has(memory.readString(source, length));
}
