/** Takes from a state's globals what reaches beyond the language: files, processes, other chunks, the VM itself. */
import { LuaError } from '../lua/lua-error.ts';
import type { State } from '../lua/state.ts';

const REMOVED = ['io', 'package', 'debug', 'load', 'loadfile', 'dofile', 'require', 'collectgarbage'];
const KEPT_OF_OS = ['time', 'date', 'clock'];
/** The one module that opens files by name. */
const REMOVED_OF_HTTPD = 'sendfile';

/** Called when all libraries have been installed, and before the script is loaded. */
export function enterSandbox(state: State): void {
  const { exports: x, memory, mainThread: L } = state;
  x.lua_getglobal(L, memory.constant('require'));
  state.pushString(L, 'httpd');
  state.call(L, 1, 1);
  x.lua_pushnil(L);
  x.lua_setfield(L, -2, memory.constant(REMOVED_OF_HTTPD));
  const module = state.keep(L);
  x.lua_getglobal(L, memory.constant('os'));
  x.lua_createtable(L, 0, KEPT_OF_OS.length);
  for (const name of KEPT_OF_OS) {
    x.lua_getfield(L, -2, memory.constant(name));
    x.lua_setfield(L, -2, memory.constant(name));
  }
  x.lua_setglobal(L, memory.constant('os'));
  state.pop(L);
  for (const name of REMOVED) {
    x.lua_pushnil(L);
    x.lua_setglobal(L, memory.constant(name));
  }
  const { require } = state.addFunctions({
    require: (T) => {
      const name = state.checkString(T, 1);
      if (name !== 'httpd') throw new LuaError(`module '${name}' cannot be loaded in the sandbox`);
      state.pushReference(T, module);
      return 1;
    },
  });
  x.lua_pushcclosure(L, require, 0);
  x.lua_setglobal(L, memory.constant('require'));
}
