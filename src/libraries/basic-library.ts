/** Replaces the basic functions that would reach a terminal or the VM's own, empty file system. */
import type { CoroutineScheduler } from '../lua/coroutine-scheduler.ts';
import { LuaError } from '../lua/lua-error.ts';
import { LUA_TYPE, type LuaThread, MULTIPLE_RESULTS } from '../lua/lua-exports.ts';
import { ScriptError } from '../lua/state.ts';
import { BYTECODE_REFUSED, type ChunkLoader, isBinaryChunk } from './chunk-loader.ts';
import { DumpedChunks } from './dumped-chunks.ts';

/** Bytes of a line that `print` hands to the log. */
const PRINT_BYTES_MAX = 64 * 1024;

/** What Lua says of a text chunk when no kind of chunk is allowed. */
const TEXT_REFUSED = "attempt to load a text chunk (mode is '')";
/** And of a binary one whose mode is not allowed, as far as it is the same for all modes. */
const BINARY_REFUSED = 'attempt to load a binary chunk (mode is ';
/** Bytes of a message that are looked at. */
const REFUSED_BYTES_MAX = 64;

/** `print` writes to `print`; `dofile` and `loadfile` read through the file system; `load` knows what `string.dump` returned. */
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

  x.lua_getglobal(L, memory.constant('string'));
  x.lua_getfield(L, -1, memory.constant('dump'));
  const nativeDump = state.nativeFunction(x.lua_tocfunction(L, -1));
  state.pop(L, 2);
  const dumped = new DumpedChunks((units) => scheduler.guard.pay(units));

  /** The bytes of the string at `index`, until the VM runs again. */
  function viewString(T: LuaThread, index: number): Uint8Array {
    const at = x.lua_tolstring(T, index, memory.sizeOut);
    return memory.view(at, memory.lastSize);
  }

  /** True when the first argument is a string that `string.dump` has returned here. */
  function isDumped(T: LuaThread): boolean {
    if (x.lua_type(T, 1) !== LUA_TYPE.string) return false;
    const chunk = viewString(T, 1);
    return isBinaryChunk(chunk) && dumped.has(chunk);
  }

  function pushRefused(T: LuaThread, message: string): number {
    x.lua_pushnil(T);
    state.pushString(T, message);
    return 2;
  }

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
    /** Text, and what this state has dumped, unless bytecode is allowed: what no compiler has made can crash the VM. */
    load: (T) => {
      if (x.lua_gettop(T) === 0) return nativeLoad(T);
      if (x.lua_gettop(T) < 3) x.lua_settop(T, 3);
      const mode = state.optionalString(T, 3) ?? 'bt';
      const allowed = !chunks.allowsBytecode && isDumped(T) ? mode : chunks.allowed(mode);
      state.pushString(T, allowed);
      x.lua_copy(T, -1, 3);
      state.pop(T);
      const count = nativeLoad(T);
      if (allowed === mode || count !== 2) return count;
      const message = state.toString(T, -1, REFUSED_BYTES_MAX);
      // the message tells the mode that was asked for
      if (message === TEXT_REFUSED)
        return pushRefused(
          T,
          TEXT_REFUSED.replace("''", () => `'${mode}'`),
        );
      return message?.startsWith(BINARY_REFUSED) ? pushRefused(T, BYTECODE_REFUSED) : count;
    },
    dump: (T) => {
      const count = nativeDump(T);
      if (!chunks.allowsBytecode) dumped.add(viewString(T, -1));
      return count;
    },
    loadfile: (T) => {
      const name = fileName(T);
      const mode = state.optionalString(T, 2) ?? 'bt';
      const hasEnvironment = x.lua_gettop(T) >= 3;
      try {
        chunks.loadFile(T, name, mode);
      } catch (error) {
        return pushRefused(T, messageForLua(error));
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
  x.lua_getglobal(L, memory.constant('string'));
  state.setFunctions(L, -1, { dump: functions.dump });
  state.pop(L);
}

function messageForLua(error: unknown): string {
  if (error instanceof ScriptError) return error.message;
  if (error instanceof Error) return error.message;
  throw error;
}
