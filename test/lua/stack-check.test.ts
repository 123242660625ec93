/** The checks of what host functions do to Lua's stack, which all tests run with. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { HostFunction } from '../../src/lua/host-functions.ts';
import { NULL } from '../../src/lua/lua-exports.ts';
import { State } from '../../src/lua/state.ts';
import { luaModule } from '../support/script-harness.ts';

/** Slots that Lua gives a function in C (`LUA_MINSTACK`). */
const SLOTS = 20;

let state: State;
before(async () => {
  state = await State.create(await luaModule());
});
after(() => state.abandon());

/** Calls a host function that is given no arguments; the results it has left. */
function call(run: HostFunction): number {
  const { exports: x, mainThread: L } = state;
  x.lua_settop(L, 0);
  x.lua_pushcclosure(L, state.addFunctions({ tried: run }).tried, 0);
  x.lua_callk(L, 0, -1, 0, NULL);
  return x.lua_gettop(L);
}

test('A host function may use all its slots, and return all that it has pushed', () => {
  const { exports: x } = state;
  const fill: HostFunction = (L) => {
    for (let i = 0; i < SLOTS; i++) x.lua_pushnil(L);
    return SLOTS;
  };
  assert.equal(call(fill), SLOTS);
});

test('A host function that pushes more than its slots is found at the push', () => {
  const { exports: x } = state;
  const overflow: HostFunction = (L) => {
    for (let i = 0; i <= SLOTS; i++) x.lua_pushnil(L);
    return 0;
  };
  assert.throws(() => call(overflow), /"lua_pushnil" leaves the stack \d+ bytes longer .*lua_checkstack/);
});

test('It may push more once it has asked for more', () => {
  const { exports: x } = state;
  const grown: HostFunction = (L) => {
    assert.notEqual(x.lua_checkstack(L, 2 * SLOTS), 0);
    for (let i = 0; i < 2 * SLOTS; i++) x.lua_pushnil(L);
    return 1;
  };
  assert.equal(call(grown), 1);
});

test('A host function that returns more results than it has pushed is found', () => {
  assert.throws(() => call(() => 1), /Host function "tried" returns 1 results, and its stack holds 0 values/);
  assert.throws(() => call(() => -2), /returns -2 results/);
  assert.throws(() => call(() => 0.5), /returns 0.5 results/);
});
