/** Replaces the basic functions that would reach a terminal or the VM's own, empty file system. */
import type { FileSystem } from '../file/file-system.ts';
import type { CoroutineScheduler } from '../lua/coroutine.ts';
import { LuaError } from '../lua/lua-error.ts';
import type { LuaThread } from '../lua/lua-exports.ts';
import { MULTIPLE_RESULTS, REGISTRY_INDEX } from '../lua/lua-exports.ts';
import { ScriptError } from '../lua/state.ts';
import { readScript } from './script-file.ts';

/** Bytes of a line that `print` hands to the log. */
const PRINT_BYTES_MAX = 64 * 1024;

/** `print` writes to `print`; `dofile`, `loadfile` and `require` read through the file system. */
export function installBasicLibrary(
  scheduler: CoroutineScheduler,
  fileSystem: FileSystem,
  print: (line: string) => void,
): void {
  const { state } = scheduler;
  const { exports: x, memory, mainThread: L } = state;

  /** Pushes the compiled file; throws ScriptError. */
  function loadFile(T: LuaThread, name: string): void {
    state.load(T, readScript(fileSystem, name), `@${name}`);
  }

  x.lua_getglobal(L, memory.constant('load'));
  const nativeLoad = state.nativeFunction(x.lua_tocfunction(L, -1));
  state.pop(L);

  const functions = state.addFunctions({
    print: (T) => {
      const count = x.lua_gettop(T);
      const parts: string[] = [];
      for (let i = 1; i <= count; i++) parts.push(state.toDisplayString(T, i));
      print(parts.join('\t').slice(0, PRINT_BYTES_MAX));
      return 0;
    },
    /** Text only: what no compiler has made can crash the VM. */
    load: (T) => {
      if (x.lua_gettop(T) < 3) x.lua_settop(T, 3);
      state.pushString(T, textMode(state.optionalString(T, 3)));
      x.lua_copy(T, -1, 3);
      state.pop(T);
      return nativeLoad(T);
    },
    loadfile: (T) => {
      const name = state.checkString(T, 1);
      const mode = state.optionalString(T, 2);
      const hasEnvironment = x.lua_gettop(T) >= 3;
      if (textMode(mode) === '') {
        x.lua_pushnil(T);
        state.pushString(T, `attempt to load a text chunk (mode is '${mode}')`);
        return 2;
      }
      try {
        loadFile(T, name);
      } catch (error) {
        x.lua_pushnil(T);
        state.pushString(T, messageForLua(error));
        return 2;
      }
      if (hasEnvironment) {
        x.lua_pushvalue(T, 3);
        x.lua_setupvalue(T, -2, 1);
      }
      return 1;
    },
    dofile: (T) => {
      const name = state.checkString(T, 1);
      x.lua_settop(T, 1);
      try {
        loadFile(T, name);
      } catch (error) {
        throw new LuaError(messageForLua(error), 0);
      }
      x.lua_callk(T, 0, MULTIPLE_RESULTS, 0, afterCall);
      return x.lua_gettop(T) - 1;
    },
    searchFile: (T) => {
      const name = state.checkString(T, 1);
      x.lua_getfield(T, REGISTRY_INDEX, memory.constant('_LOADED'));
      x.lua_getfield(T, -1, memory.constant('package'));
      x.lua_getfield(T, -1, memory.constant('path'));
      const path = state.toString(T, -1);
      if (path === undefined) throw new LuaError("'package.path' must be a string");
      const tried: string[] = [];
      for (const template of path.split(';')) {
        const file = template.replaceAll('?', name.replaceAll('.', '/'));
        if (isReadable(fileSystem, file)) {
          try {
            loadFile(T, file);
          } catch (error) {
            const reason = messageForLua(error);
            throw new LuaError(`error loading module '${name}' from file '${file}':\n\t${reason}`, 0);
          }
          state.pushString(T, file);
          return 2;
        }
        tried.push(`no file '${file}'`);
      }
      state.pushString(T, tried.join('\n\t'));
      return 1;
    },
  });
  const afterCall = state.addContinuation((T) => x.lua_gettop(T) - 1);
  for (const name of ['print', 'load', 'loadfile', 'dofile'] as const) {
    x.lua_pushcclosure(L, functions[name], 0);
    x.lua_setglobal(L, memory.constant(name));
  }
  // package.searchers = { preload, our file searcher }: there are no C libraries to load
  x.lua_getglobal(L, memory.constant('package'));
  x.lua_getfield(L, -1, memory.constant('searchers'));
  x.lua_pushcclosure(L, functions.searchFile, 0);
  x.lua_rawseti(L, -2, 2n);
  for (const n of [3n, 4n]) {
    x.lua_pushnil(L);
    x.lua_rawseti(L, -2, n);
  }
  state.pop(L);
  state.pushString(L, './?.lua;./?/init.lua');
  x.lua_setfield(L, -2, memory.constant('path'));
  state.pushString(L, '');
  x.lua_setfield(L, -2, memory.constant('cpath'));
  state.pop(L);
}

function isReadable(fileSystem: FileSystem, name: string): boolean {
  try {
    return !fileSystem.statSync(name).isDirectory;
  } catch {
    // what cannot be looked at is not there, as for C's searcher
    return false;
  }
}

/** The part of a mode of load that is allowed; empty: none. */
function textMode(mode: string | undefined): string {
  return mode === undefined || mode.includes('t') ? 't' : '';
}

function messageForLua(error: unknown): string {
  if (error instanceof ScriptError) return error.message;
  if (error instanceof Error) return error.message;
  throw error;
}
