/** `load` accepts what `string.dump` has returned in the same state, and no other bytecode. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DumpedChunks } from '../../src/libraries/dumped-chunks.ts';
import { outputOf, ScriptHarness } from '../support/script-harness.ts';

const REFUSED =
  'attempt to load a binary chunk: without --allow-bytecode only a string that string.dump has returned in this state can be loaded';

test('A function that was dumped is loaded again, stripped or not, with an environment of its own', async () => {
  const text = await outputOf(
    `local function f(a, ...) return a * 2, select('#', ...) end
     for _, strip in ipairs {false, true} do
       local chunk = string.dump(f, strip)
       say(load(chunk, '=copy', 'b', {select = select})(21, nil, nil))
       say(assert(load(chunk))(4))
     end
     say(load(string.dump(load('return x')), 'c', 'bt', {x = 'in env'})())
     local again = load(string.dump(f)) say(load(string.dump(again))(1))
     say(("x").dump == string.dump, pcall(string.dump, print)) say(pcall(string.dump))`,
  );
  assert.equal(
    text,
    '42 2\n8 0\n42 2\n8 0\nin env\n2 0\ntrue false unable to dump given function\n' +
      "false bad argument #1 to 'string.dump' (function expected, got no value)\n",
  );
});

test('Other bytes are refused, however much they are like a dumped chunk', async () => {
  const text = await outputOf(
    `local chunk = string.dump(function() return 'original' end)
     local at = chunk:find('original', 1, true)
     say(load(chunk:sub(1, at - 1) .. 'modified' .. chunk:sub(at + 8)))
     say(load(chunk .. ' ')) say(load(chunk:sub(1, -2))) say(load('\\27'))
     say(load(function() local c = chunk chunk = nil return c end))
     local copy = table.concat {string.dump(function() return 'same' end)}
     say(load(copy, 'c', 't')) say(load(copy)())`,
  );
  const lines = text.trimEnd().split('\n');
  assert.deepEqual(lines.slice(0, 5), Array(5).fill(`nil ${REFUSED}`));
  assert.deepEqual(lines.slice(5), ["nil attempt to load a binary chunk (mode is 't')", 'same']);
});

test('What another state has dumped is refused', async () => {
  const source = `local httpd = require 'httpd'
    httpd.register_handler('/dump', function() httpd.write(nil, string.dump(function() return 1 end)) end)
    httpd.register_handler('/load', function() local _, m = load(httpd.read(nil, 'a')) httpd.write(nil, tostring(m)) end)`;
  const [one, other] = [await ScriptHarness.load(source), await ScriptHarness.load(source)];
  try {
    const chunk = Buffer.from((await one.request('/dump')).text, 'latin1');
    assert.equal(chunk[0], 27);
    assert.equal((await other.request('/load', { body: chunk })).text, REFUSED);
    assert.equal((await one.request('/load', { body: chunk })).text, 'nil');
  } finally {
    await one.close();
    await other.close();
  }
});

test('A copy without its upvalues, names and lines harms nobody', async () => {
  const text = await outputOf(
    `local up, count = {deep = {}}, 0
     local function g(...)
       local t <close> = setmetatable({}, {__close = function() count = count + 1 end})
       for i = 1, #up.deep do count = count + i end
       return up.deep.x .. count
     end
     for _, strip in ipairs {false, true} do
       local copy = load(string.dump(g, strip))
       say((pcall(copy)))
       say(type(xpcall(copy, debug.traceback)))
       local info = debug.getinfo(copy, 'nSlutfL') say(info.nups, info.isvararg, info.what)
       say(pcall(debug.getlocal, copy, 1))
       debug.setupvalue(copy, 1, 7) debug.setupvalue(copy, 2, print) debug.upvaluejoin(copy, 3, g, 1)
       say((pcall(copy)), type(debug.upvalueid(copy, 1)))
       local thread = coroutine.create(copy) say((coroutine.resume(thread)), #debug.traceback(thread) > 0)
     end
     collectgarbage()`,
  );
  const lines = text.trimEnd().split('\n');
  assert.equal(lines.length, 12);
  assert.deepEqual(
    lines.filter((_, i) => i % 6 === 0),
    ['false', 'false'],
  );
});

test('A loop that dumps and loads ends at its CPU limit, and the state goes on', async () => {
  const harness = await ScriptHarness.load(
    `local httpd = require 'httpd'
     local big = load('return "' .. ('x'):rep(900000) .. '"')
     httpd.register_handler('/loop', function() while true do load(string.dump(big)) end end)
     httpd.register_handler('/alive', function() httpd.write(nil, 'alive') end)`,
    { limits: { cpuLimitMs: 100 } },
  );
  try {
    assert.equal((await harness.request('/loop')).status, 500);
    assert.match(harness.log.join('\n'), /CPU limit reached/);
    assert.equal((await harness.request('/alive')).text, 'alive');
  } finally {
    await harness.close();
  }
});

test('256 chunks of at most 1 MiB are remembered, and one more takes the place of the one dumped first', () => {
  let paid = 0;
  const dumped = new DumpedChunks((units) => {
    paid += units;
  });
  const chunk = (n: number): Uint8Array => Buffer.from(`chunk ${String(n).padStart(8)}`);
  for (let n = 0; n < 256; n++) dumped.add(chunk(n));
  dumped.add(chunk(0));
  assert.ok(dumped.has(chunk(0)) && dumped.has(chunk(1)) && dumped.has(chunk(255)));
  dumped.add(chunk(256));
  assert.ok(dumped.has(chunk(0)) && !dumped.has(chunk(1)) && dumped.has(chunk(2)) && dumped.has(chunk(256)));
  const whole = Buffer.alloc(1024 * 1024);
  dumped.add(whole);
  assert.ok(dumped.has(whole));
  dumped.add(Buffer.alloc(1024 * 1024 + 1));
  assert.ok(!dumped.has(Buffer.alloc(1024 * 1024 + 1)));
  // a size that no dumped chunk has is refused before the hash is computed
  const before = paid;
  assert.ok(!dumped.has(Buffer.alloc(3)));
  assert.equal(paid, before);
});
