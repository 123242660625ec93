import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkLoops, findUnpaidLoops } from '../../src/lua/loop-check.ts';
import { State } from '../../src/lua/state.ts';
import { compileLuaModule } from '../../src/lua/wasm-module.ts';
import { DEFAULT_LIMITS } from '../../src/settings/limits.ts';
import { luaModule } from '../support/script-harness.ts';

test('Every loop of the guarded module uses fuel, and what was there before is left', async () => {
  const module = await luaModule();
  const state = await State.create(module);
  assert.deepEqual(findUnpaidLoops(state), []);
  state.exports.fuel.value = 1234;
  checkLoops(state, module);
  assert.equal(state.exports.fuel.value, 1234);
  assert.equal(state.exports.lua_gettop(state.mainThread), 0);
  state.close();
});

test('Loops that use no fuel are all found', async () => {
  const module = await compileLuaModule({ ...DEFAULT_LIMITS, guarded: false });
  const state = await State.create(module);
  assert.deepEqual(findUnpaidLoops(state), [
    ...['while', 'repeat', 'goto', 'numeric for', 'numeric for with floats', 'generic for'],
    ...['recursion', 'tail calls', 'metamethods'],
    ...['string.upper', 'string.rep', 'string.find', 'string.gsub', 'table.concat', 'table.sort', 'load'],
  ]);
  // it was made so, for comparisons
  checkLoops(state, module);
  state.close();
});

test('A module that takes payments and lets a loop go on for nothing is refused', async () => {
  const module = await compileLuaModule({ ...DEFAULT_LIMITS, guarded: false });
  const state = await State.create(module);
  const { exports } = state;
  const pay = (units: number): void => {
    exports.fuel.value -= units;
  };
  const paying = new Proxy(state, {
    get: (target, name) => {
      if (name === 'exports') return { ...exports, pay };
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
  assert.throws(
    () => checkLoops(paying, module),
    /does not count the rounds of these loops: while, repeat, goto/,
  );
  state.close();
});

test('Each instruction of a long line without jumps uses fuel', async () => {
  const state = await State.create(await luaModule());
  const { exports: x, mainThread: L } = state;
  const instructions = 20_000;
  const line = Buffer.from(`local x = 1 ${'x = x + x '.repeat(instructions)}`);
  state.load(L, line, '=line');
  const before = 1_000_000;
  x.fuel.value = before;
  state.call(L, 0, 0);
  assert(before - x.fuel.value >= instructions, `${before - x.fuel.value}`);
  state.close();
});
