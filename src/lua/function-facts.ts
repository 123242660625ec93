/** What is known of a function of Lua: its parameters, and whether it is the gateway's own. */
import type { Address, CString, LuaThread } from './lua-exports.ts';
import type { State } from './state.ts';

/** Names of chunks that are the gateway's own. */
const OWN_CHUNKS: ReadonlySet<string> = new Set(['=lgateway', '=luars', '=luvit']);

const OWN_CHUNK_LENGTH_MAX = 9;

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

function isOwnActivation(state: State, activation: Address): boolean {
  const { memory } = state;
  const source = memory.word((activation + ACTIVATION_SOURCE) as Address) as unknown as CString;
  const length = memory.word((activation + ACTIVATION_SOURCE_LENGTH) as Address);
  return length <= OWN_CHUNK_LENGTH_MAX && OWN_CHUNKS.has(memory.readString(source, length));
}
