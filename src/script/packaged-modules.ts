/** The Lua modules that come with the package, for `require`: behind the script's own, and outside any root. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { PACKAGE_ROOT } from '../base/package-info.ts';
import type { LuaThread } from '../lua/lua-exports.ts';
import type { State } from '../lua/state.ts';

/** Names as scripts require them, and files of the package. */
const MODULES: Readonly<Record<string, string>> = {
  codec: 'src/script/modules/codec.lua',
  'codecs/http': 'src/script/modules/codecs/http.lua',
  'codecs.http': 'src/script/modules/codecs/http.lua',
  'http-codec': 'src/script/modules/http-codec.lua',
  lfs: 'src/script/modules/lfs.lua',
  'resty.websocket.server': 'src/script/modules/resty-websocket-server.lua',
  'lgateway.auth': 'handlers/lib/auth.lua',
  'lgateway.cors': 'handlers/lib/cors.lua',
  'lgateway.csrf': 'handlers/lib/csrf.lua',
  'lgateway.headers': 'handlers/lib/headers.lua',
  'lgateway.options': 'handlers/lib/options.lua',
  'lgateway.ratelimit': 'handlers/lib/ratelimit.lua',
  'lgateway.session': 'handlers/lib/session.lua',
};

/** Behind `package.preload` and Lua files. */
const SEARCHER = 3n;

/** Their text, read once for all states of a thread. */
const sources = new Map<string, Buffer>();

/** Adds a searcher behind those that are there. `directory`: where relative names of files start, which lfs tells a script. */
export function installPackagedModules(state: State, directory: string): void {
  const { exports: x, memory, mainThread: L } = state;
  const { search } = state.addFunctions({
    search: (T) => {
      const name = state.checkString(T, 1);
      if (!pushPackagedModule(state, T, name)) {
        state.pushString(T, `no module '${name}' in the package`);
        return 1;
      }
      state.pushString(T, name === 'lfs' ? directory : ':package:');
      return 2;
    },
  });
  x.lua_getglobal(L, memory.constant('package'));
  x.lua_getfield(L, -1, memory.constant('searchers'));
  x.lua_pushcclosure(L, search, 0);
  x.lua_rawseti(L, -2, SEARCHER);
  state.pop(L, 2);
}

/** Pushes the compiled module; false where there is none of that name. */
function pushPackagedModule(state: State, L: LuaThread, name: string): boolean {
  const file = Object.hasOwn(MODULES, name) ? MODULES[name] : undefined;
  if (file === undefined) return false;
  let source = sources.get(file);
  if (source === undefined) {
    source = readFileSync(join(PACKAGE_ROOT, file));
    sources.set(file, source);
  }
  state.load(L, source, `=${name}`);
  return true;
}
