/** Replaces the basic functions that would reach a terminal or the VM's own, empty file system. */
import type { CoroutineScheduler } from '../lua/coroutine.ts';
import { LuaError } from '../lua/lua-error.ts';
import type { LuaThread } from '../lua/lua-exports.ts';
import { MULTIPLE_RESULTS } from '../lua/lua-exports.ts';
import { ScriptError } from '../lua/state.ts';
import type { ChunkLoader } from './chunk-loader.ts';

/** Bytes of a line that `print` hands to the log. */
const PRINT_BYTES_MAX = 64 * 1024;

/** What Lua says of a text chunk when no kind of chunk is allowed. */
const TEXT_REFUSED = "attempt to load a text chunk (mode is '')";

/** `print` writes to `print`; `dofile` and `loadfile` read through the file system. */
export function installBasicLibrary(
  scheduler: CoroutineScheduler,
  chunks: ChunkLoader,
  print: (line: string) => void,
): void {
  const { state } = scheduler;
  const { exports: x, memory, mainThread: L } = state;

  x.lua_getglobal(L, memory.constant('load'));
  const nativeLoad = state.nativeFunction(x.lua_tocfunction(L, -1));
  state.pop(L);

  function fileName(T: LuaThread): string {
    const name = state.optionalString(T, 1);
    if (name === undefined)
      throw new LuaError('a chunk cannot be read from standard input: a file name is needed');
    return name;
  }

  const functions = state.addFunctions({
    print: (T) => {
      print(state.toDisplayStrings(T, 1, '\t', PRINT_BYTES_MAX));
      return 0;
    },
    /** Text only, unless bytecode is allowed: what no compiler has made can crash the VM. */
    load: (T) => {
      if (x.lua_gettop(T) === 0) return nativeLoad(T);
      if (x.lua_gettop(T) < 3) x.lua_settop(T, 3);
      const mode = state.optionalString(T, 3) ?? 'bt';
      state.pushString(T, chunks.allowed(mode));
      x.lua_copy(T, -1, 3);
      state.pop(T);
      const count = nativeLoad(T);
      // the message tells the mode that was asked for
      if (count === 2 && state.toString(T, -1, TEXT_REFUSED.length + 1) === TEXT_REFUSED) {
        x.lua_pushnil(T);
        state.pushString(
          T,
          TEXT_REFUSED.replace("''", () => `'${mode}'`),
        );
      }
      return count;
    },
    loadfile: (T) => {
      const name = fileName(T);
      const mode = state.optionalString(T, 2) ?? 'bt';
      const hasEnvironment = x.lua_gettop(T) >= 3;
      try {
        chunks.loadFile(T, name, mode);
      } catch (error) {
        x.lua_pushnil(T);
        state.pushString(T, messageForLua(error));
        return 2;
      }
      if (hasEnvironment) {
        x.lua_pushvalue(T, 3);
        if (x.lua_setupvalue(T, -2, 1) === 0) state.pop(T);
      }
      return 1;
    },
    dofile: (T) => {
      const name = fileName(T);
      x.lua_settop(T, 1);
      try {
        chunks.loadFile(T, name);
      } catch (error) {
        throw new LuaError(messageForLua(error), 0);
      }
      x.lua_callk(T, 0, MULTIPLE_RESULTS, 0, afterCall);
      return x.lua_gettop(T) - 1;
    },
  });
  const afterCall = state.addContinuation((T) => x.lua_gettop(T) - 1);
  for (const name of ['print', 'load', 'loadfile', 'dofile'] as const) {
    x.lua_pushcclosure(L, functions[name], 0);
    x.lua_setglobal(L, memory.constant(name));
  }
}

function messageForLua(error: unknown): string {
  if (error instanceof ScriptError) return error.message;
  if (error instanceof Error) return error.message;
  throw error;
}
