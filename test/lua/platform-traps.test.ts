/** One test for each trap of wasmoon and its VM that we know of: they fail when an update brings it back, or brings another. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { testLuaModule } from '../support/lua-modules.ts';
import { LuaWorld } from '../support/lua-world.ts';
import { luaModule, ScriptHarness } from '../support/script-harness.ts';

test('Strings with NUL and bytes above 127 are not cut or converted', async () => {
  const harness = await ScriptHarness.run(`local s = httpd.read(nil, 'a') httpd.write(nil, #s .. ':' .. s)`);
  const bytes = Buffer.from([0, 1, 0, 127, 128, 255, 0]);
  assert.equal((await harness.request('/run', { body: bytes })).text, `7:${bytes.toString('latin1')}`);
  await harness.close();
});

test('Large numbers stay what they are', async () => {
  const harness = await ScriptHarness.run(
    `say(1e300, 2^53 + 1.0, math.maxinteger, 9007199254740993, env.SERVER_PORT // 1, math.type(env.SERVER_PORT))`,
  );
  assert.equal(
    await harness.output(),
    '1e+300 9.007199254741e+15 9223372036854775807 9007199254740993 8443 integer\n',
  );
  await harness.close();
});

test('No JavaScript object is in reach of a script', async () => {
  const harness = await ScriptHarness.run(`
    local seen, found = {}, {}
    local function walk(v, name)
      local ours = v == httpd.json.null or v == httpd.body
      if type(v) == 'userdata' and io.type(v) == nil and not ours then found[#found + 1] = name end
      if type(v) ~= 'table' or seen[v] then return end
      seen[v] = true
      for k, x in pairs(v) do walk(x, name .. '.' .. tostring(k)) end
      walk(getmetatable(v), name .. '<meta>')
    end
    walk(_G, '_G') walk(env, 'env') walk(header, 'header')
    say(#found, js, promise, setTimeout)`);
  assert.equal(await harness.output(), '0 nil nil nil\n');
  await harness.close();
});

test('Bytecode that was not dumped here, or is corrupted, is not loaded', async () => {
  const harness = await ScriptHarness.run(
    `local code = string.dump(function() return 1 end) code = code:sub(1, -2) .. string.char(code:byte(-1) ~ 1)
    say(load(code)) say(load(code, 'c', 'bt')) say(load(code, 'c', 'b'))
    local i = 0 say(load(function() i = i + 1 return i == 1 and code or nil end)) say(load('return 1', 'c', 'bt')())
    say(loadfile('code.luac'))`,
    { files: { 'code.luac': '\x1bLuaT\x00garbage' } },
  );
  const text = await harness.output();
  assert.equal(text.match(/attempt to load a binary chunk/g)?.length, 5, text);
  assert.match(text, /^1$/m);
  await harness.close();
});

test('os.exit, os.execute and io of the VM are replaced', async () => {
  const harness = await ScriptHarness.run(
    `say(pcall(os.exit, 3)) say(os.execute('exit 4')) local f = io.open('/etc/hostname') say(f ~= nil) f:close()`,
  );
  assert.match(await harness.output(), /^false os\.exit is not available.*\nnil exit 4\ntrue\n$/);
  assert.equal(process.exitCode, undefined);
  await harness.close();
});

test('A refused growth of memory prints nothing', async () => {
  const lines: unknown[][] = [];
  const original = console.error;
  console.error = (...values: unknown[]) => {
    lines.push(values);
  };
  try {
    const world = await LuaWorld.create(await testLuaModule(24 * 1024 * 1024));
    assert.deepEqual(await world.evaluateLong(`return pcall(string.rep, 'x', 1 << 28)`), [
      'false',
      'not enough memory',
    ]);
  } finally {
    console.error = original;
  }
  assert.deepEqual(lines, []);
});

test('States made at the same time get an instance of their own each', async () => {
  const module = await luaModule();
  const worlds = await Promise.all([
    LuaWorld.create(module),
    LuaWorld.create(module),
    LuaWorld.create(module),
  ]);
  worlds.forEach((world, i) => {
    world.evaluate(`MINE = ${i}`);
  });
  assert.deepEqual(
    worlds.map((world) => world.evaluate('return MINE')[0]),
    ['0', '1', '2'],
  );
  assert.equal(new Set(worlds.map((world) => world.state.exports.memory)).size, 3);
});

test('lua_rawlen gives a bigint', async () => {
  const { state } = await LuaWorld.create();
  state.exports.lua_createtable(state.mainThread, 0, 0);
  assert.equal(state.exports.lua_rawlen(state.mainThread, -1), 0n);
});

test('A script cannot set hooks: trying is an ordinary Lua error, and the hook is shown as none of Lua code', async () => {
  const harness = await ScriptHarness.run(`
    if env.QUERY_INFO == 'hook' then debug.sethook() end
    local n = 0 for i = 1, 1000 do n = n + i end say(n, debug.sethook, debug.getregistry, debug.debug, debug.setcstacklimit, debug.gethook())`);
  assert.equal((await harness.request('/run?hook')).status, 500);
  assert.match(harness.log.join('\n'), /attempt to call a nil value \(field 'sethook'\)/);
  for (let i = 0; i < 3; i++)
    assert.equal(await harness.output(), '500500 nil nil nil nil external hook  0\n');
  await harness.close();
});
