/** Part of the build: writes the Lua module whose loops can be ended, and fails when one of them pays nothing. */
import { strict as assert } from 'node:assert';
import { writeFileSync } from 'node:fs';
import { findUnpaidLoops } from '../src/lua/loop-check.ts';
import { rewriteLuaModule } from '../src/lua/rewrite-lua-module.ts';
import { State } from '../src/lua/state.ts';
import { compileLuaModule, GUARDED_MODULE } from '../src/lua/wasm-module.ts';
import { DEFAULT_LIMITS } from '../src/settings/limits.ts';

writeFileSync(GUARDED_MODULE, await rewriteLuaModule(true));
const state = await State.create(await compileLuaModule(DEFAULT_LIMITS));
assert.deepEqual(findUnpaidLoops(state), [], 'loops that use no fuel');
