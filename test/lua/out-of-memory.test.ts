import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { testLuaModule } from '../support/lua-modules.ts';
import { LuaWorld } from '../support/lua-world.ts';
import { ScriptHarness } from '../support/script-harness.ts';

const CAP_BYTES = 24 * 1024 * 1024;
let module: WebAssembly.Module;

before(async () => {
  module = await testLuaModule(CAP_BYTES);
});

/** Fills the heap with small tables held by a global until nothing more fits, to the last bytes. */
const HOARD = `
  hoard = {}
  local size = 1 << 20
  while size > 8 do
    local ok = pcall(function() hoard[#hoard + 1] = string.rep(string.char(#hoard % 256), size) end)
    if not ok then size = size // 2 end
  end
  while pcall(function() hoard = {hoard} end) do end`;

test('A script that runs out of memory gets an error it can catch, and the VM lives on', async () => {
  const world = await LuaWorld.create(module);
  assert.deepEqual(await world.evaluateLong(`return pcall(string.rep, 'x', 1 << 30)`), [
    'false',
    'not enough memory',
  ]);
  assert.deepEqual(
    await world.evaluateLong(
      `local t = {} local ok, m = pcall(function() while true do t[#t + 1] = ('x'):rep(100000) .. #t end end) t = nil collectgarbage() return ok, m`,
    ),
    ['false', 'not enough memory'],
  );
  assert.deepEqual(await world.evaluateLong(`return #('y'):rep(1 << 20)`), ['1048576']);
  assert(world.state.memory.size <= CAP_BYTES);
});

test('A coroutine that dies of memory tells it without a traceback', async () => {
  const world = await LuaWorld.create(module);
  const run = await world.settle(
    world.run(`local t = {} while true do t[#t + 1] = ('x'):rep(100000) .. #t end`),
  );
  assert.deepEqual([run.outcome, run.message], ['failed', 'not enough memory']);
  assert.equal(world.scheduler.active, 0);
});

test('A string from the host that does not fit is a Lua error', async () => {
  const world = await LuaWorld.create(module);
  const { state } = world;
  const { big } = state.addFunctions({
    big: (L) => {
      state.pushString(L, 'x'.repeat(40 * 1024 * 1024));
      return 1;
    },
  });
  state.exports.lua_pushcclosure(state.mainThread, big, 0);
  state.exports.lua_setglobal(state.mainThread, state.memory.constant('big'));
  assert.deepEqual(world.evaluate('return pcall(big)'), ['false', 'not enough memory']);
  assert.deepEqual(world.evaluate('return pcall(big)'), ['false', 'not enough memory']);
  assert.deepEqual(world.evaluate('return 1'), ['1']);
});

test('A full heap fails the coroutine that is being prepared and nothing else', async () => {
  const world = await LuaWorld.create(module);
  const fill = await world.settle(world.run(HOARD));
  assert.equal(fill.outcome, 'finished', fill.message);
  const waiting = [];
  let failed = 0;
  for (let i = 0; i < 50; i++) {
    const run = world.run(`local t = {{}, {}, {}, {}, {}, {}, {}, {}} return wait('x')`);
    if (run.outcome === 'failed') failed += 1;
    else waiting.push(run);
  }
  assert(failed > 0, 'some did not fit');
  for (const run of waiting) run.coroutine?.kill();
  assert.equal(world.scheduler.active, 0);
  world.state.exports.lua_pushnil(world.state.mainThread);
  world.state.exports.lua_setglobal(world.state.mainThread, world.state.memory.constant('hoard'));
  world.run('collectgarbage()');
  world.run('collectgarbage()');
  assert.deepEqual(await world.evaluateLong(`return #('y'):rep(1 << 20)`), ['1048576']);
});

test('Requests that find no memory get 500, and the ones after the shortage are served', async () => {
  const harness = await ScriptHarness.load(
    `local httpd = require 'httpd'
    httpd.register_handler('/fill', function() ${HOARD} httpd.write(nil, 'full') end)
    httpd.register_handler('/free', function() hoard = nil collectgarbage() httpd.write(nil, 'free') end)
    httpd.register_handler('/work', function(env, header)
      local t = {} for k, v in pairs(env) do t[#t + 1] = k .. v end
      for k, v in pairs(header) do t[#t + 1] = k .. v end
      httpd.header{status = 200, ['x-count'] = #t} httpd.write(nil, table.concat(t))
    end)`,
    { module },
  );
  const fields = ['x-one', 'a'.repeat(2000), 'x-two', 'b'.repeat(2000)];
  assert.equal((await harness.request('/work', { fields })).status, 200);
  await harness.request('/fill');
  const during = new Set<number>();
  for (let i = 0; i < 200; i++) {
    const name = String.fromCharCode(97 + (i % 26)).repeat(1000 + i);
    during.add((await harness.request('/work', { fields: [...fields, name, name] })).status);
  }
  assert(during.has(500), [...during].join(' '));
  for (let i = 0; i < 3; i++) await harness.request('/free');
  const after = await harness.request('/work', { fields });
  assert.equal(after.status, 200, harness.log.slice(-2).join('\n'));
  await harness.expectNothingOpen();
  await harness.close();
});
