/** Part of the build: writes the Lua module whose loops can be ended. */
import { writeFileSync } from 'node:fs';
import { rewriteLuaModule } from '../src/lua/rewrite-lua-module.ts';
import { GUARDED_MODULE } from '../src/lua/wasm-module.ts';

writeFileSync(GUARDED_MODULE, await rewriteLuaModule(true));
