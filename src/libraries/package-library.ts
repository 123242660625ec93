/** Lets `require` and `package.searchpath` look for Lua files through the file system; there are no C libraries. */
import type { FileSystem } from '../file/file-system.ts';
import type { Guard } from '../lua/guard.ts';
import { LuaError } from '../lua/lua-error.ts';
import { ScriptError, type State } from '../lua/state.ts';
import type { ChunkLoader } from './chunk-loader.ts';
import { aboutNativeLibrary } from './native-libraries.ts';
import { searchPath } from './search-path.ts';

/** Bytes of the name of a module, and of a path of templates. */
const NAME_BYTES_MAX = 1024;
const PATH_BYTES_MAX = 32 * 1024;

/** Searchers of C libraries, and of C libraries that hold many modules. */
const NATIVE_SEARCHERS = [3n, 4n] as const;

export function installPackageLibrary(
  state: State,
  chunks: ChunkLoader,
  fileSystem: FileSystem,
  path: string,
  guard: Guard,
): void {
  const { exports: x, memory, mainThread: L } = state;
  x.lua_getglobal(L, memory.constant('package'));
  x.lua_pushvalue(L, -1);
  const library = state.keep(L);

  const functions = state.addFunctions({
    searchpath: (T) => {
      const name = state.checkString(T, 1, NAME_BYTES_MAX);
      const templates = state.checkString(T, 2, PATH_BYTES_MAX);
      const separator = state.optionalString(T, 3, NAME_BYTES_MAX) ?? '.';
      const replacement = state.optionalString(T, 4, NAME_BYTES_MAX) ?? '/';
      const found = searchPath(fileSystem, guard, name, templates, separator, replacement);
      if (found.file === undefined) x.lua_pushnil(T);
      state.pushString(T, found.file ?? found.tried);
      return found.file === undefined ? 2 : 1;
    },
    searchFile: (T) => {
      const name = state.checkString(T, 1, NAME_BYTES_MAX);
      state.pushReference(T, library);
      x.lua_getfield(T, -1, memory.constant('path'));
      const templates = state.toString(T, -1, PATH_BYTES_MAX + 1);
      if (templates === undefined) throw new LuaError("'package.path' must be a string");
      if (templates.length > PATH_BYTES_MAX)
        throw new LuaError(`'package.path' is longer than the limit of ${PATH_BYTES_MAX} bytes`);
      const { file, tried } = searchPath(fileSystem, guard, name, templates, '.', '/');
      if (file === undefined) {
        state.pushString(T, tried + aboutNativeLibrary(fileSystem, guard, name, templates));
        return 1;
      }
      try {
        chunks.loadFile(T, file);
      } catch (error) {
        if (!(error instanceof ScriptError)) throw error;
        throw new LuaError(`error loading module '${name}' from file '${file}':\n\t${error.message}`);
      }
      state.pushString(T, file);
      return 2;
    },
  });
  state.setFunctions(L, -1, { searchpath: functions.searchpath });
  x.lua_getfield(L, -1, memory.constant('searchers'));
  x.lua_pushcclosure(L, functions.searchFile, 0);
  x.lua_rawseti(L, -2, 2n);
  for (const n of NATIVE_SEARCHERS) {
    x.lua_pushnil(L);
    x.lua_rawseti(L, -2, n);
  }
  state.pop(L);
  state.pushString(L, path);
  x.lua_setfield(L, -2, memory.constant('path'));
  state.pushString(L, '');
  x.lua_setfield(L, -2, memory.constant('cpath'));
  state.pop(L);
}

/** The script's directory, `lua` in it, then what the command line names. */
export function packagePath(script: string, luaPath: string): string {
  const slash = script.lastIndexOf('/');
  const directory = slash === -1 ? '.' : script.slice(0, slash);
  const own = [directory, `${directory}/lua`].flatMap((place) => [`${place}/?.lua`, `${place}/?/init.lua`]);
  return [...own, ...(luaPath === '' ? [] : [luaPath])].join(';');
}
