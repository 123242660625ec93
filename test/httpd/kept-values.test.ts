/** `httpd.cache(key, options, fn)`: values that are computed once for many. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually, ScriptHarness } from '../support/script-harness.ts';

/** Runs a script whose handlers count the calls of `compute`, and may hold it up by `gate`. */
async function withScript(source: string, use: (harness: ScriptHarness) => Promise<void>): Promise<void> {
  const harness = await ScriptHarness.load(`local httpd = require 'httpd'
local calls, gate = 0, true
local function compute(...)
    calls = calls + 1
    local mine = calls
    while not gate do httpd.sleep(0.001) end
    return 'value ' .. mine, ...
end
local function handle(name, fn)
    httpd.register_handler(name, function() httpd.write(nil, tostring(fn())) end)
end
handle('/calls', function() return calls end)
handle('/close', function() gate = false return 'closed' end)
handle('/open', function() gate = true return 'open' end)
${source}`);
  try {
    await use(harness);
    await harness.expectNothingOpen();
  } finally {
    await harness.close();
  }
}

const textOf = async (harness: ScriptHarness, target: string): Promise<string> =>
  (await harness.request(target)).text;

const KEPT = "handle('/kept', function() return httpd.cache('key', {ttl = 60}, compute) end)";

test('A value is computed once and kept, each key on its own', () =>
  withScript(
    `${KEPT} handle('/other', function() return httpd.cache('other', {ttl = 60}, compute) end)`,
    async (harness) => {
      for (let i = 0; i < 3; i++) assert.equal(await textOf(harness, '/kept'), 'value 1');
      for (let i = 0; i < 3; i++) assert.equal(await textOf(harness, '/other'), 'value 2');
    },
  ));

test('Any value is kept as it is, and further results go to the caller only', () =>
  withScript(
    `local t = {}
handle('/table', function()
    local first, second = httpd.cache('t', {ttl = 60}, function() return t, 'second' end)
    local again, none = httpd.cache('t', {ttl = 60}, error)
    return tostring(first == t and again == t) .. ' ' .. tostring(second) .. ' ' .. tostring(none)
end)
handle('/false', function()
    local first = httpd.cache('f', {ttl = 60}, function() return false end)
    return tostring(first) .. ' ' .. tostring(httpd.cache('f', {ttl = 60}, error))
end)`,
    async (harness) => {
      assert.equal(await textOf(harness, '/table'), 'true second nil');
      assert.equal(await textOf(harness, '/false'), 'false false');
    },
  ));

test('A hundred requests that wait are one computation', () =>
  withScript(KEPT, async (harness) => {
    await harness.request('/close');
    const answers = Array.from({ length: 100 }, () => textOf(harness, '/kept'));
    await eventually(async () => assert.equal(await textOf(harness, '/calls'), '1'));
    await harness.request('/open');
    assert.deepEqual(new Set(await Promise.all(answers)), new Set(['value 1']));
    assert.equal(await textOf(harness, '/calls'), '1');
  }));

test('nil is not kept, and an error goes to its caller: those who wait compute it themselves', () =>
  withScript(
    `handle('/nil', function() return httpd.cache('n', {ttl = 60}, function() calls = calls + 1 return nil end) end)
local failed = false
handle('/error', function()
    return httpd.cache('e', {ttl = 60}, function()
        local value = compute()
        if not failed then failed = true error('broken') end
        return value
    end)
end)`,
    async (harness) => {
      for (let i = 0; i < 2; i++) assert.equal(await textOf(harness, '/nil'), 'nil');
      assert.equal(await textOf(harness, '/calls'), '2');
      await harness.request('/close');
      const answers = [harness.request('/error'), harness.request('/error')];
      await eventually(async () => assert.equal(await textOf(harness, '/calls'), '3'));
      await harness.request('/open');
      const [first, second] = await Promise.all(answers);
      assert.deepEqual([first?.status, second?.text], [500, 'value 4']);
    },
  ));

test('A client that goes while its request computes leaves the value to those who wait', () =>
  withScript(KEPT, async (harness) => {
    await harness.request('/close');
    const first = harness.begin('/kept');
    await eventually(async () => assert.equal(await textOf(harness, '/calls'), '1'));
    const second = harness.request('/kept');
    first.abort();
    await harness.request('/open');
    assert.match((await second).text, /^value [12]$/);
  }));

test('A value is kept for its time; a stale one goes to the others while one request computes', () =>
  withScript(
    `handle('/short', function() return httpd.cache('s', {ttl = 0.001}, compute) end)
handle('/stale', function() return httpd.cache('old', {ttl = 0.001, stale = 60}, compute) end)`,
    async (harness) => {
      assert.equal(await textOf(harness, '/short'), 'value 1');
      await eventually(async () => assert.notEqual(await textOf(harness, '/short'), 'value 1'));
      const before = await textOf(harness, '/stale');
      await harness.request('/close');
      const calls = Number(await textOf(harness, '/calls'));
      await new Promise((resolve) => setTimeout(resolve, 5));
      const computing = harness.request('/stale');
      await eventually(async () => assert.equal(Number(await textOf(harness, '/calls')), calls + 1));
      for (let i = 0; i < 3; i++) assert.equal(await textOf(harness, '/stale'), before);
      await harness.request('/open');
      assert.equal((await computing).text, `value ${calls + 1}`);
    },
  ));

test('Values are purged by their tags', () =>
  withScript(
    `handle('/tagged', function() return httpd.cache('t', {ttl = 60, tags = {'a', 'b'}}, compute) end)
handle('/a', function() return httpd.cache.purge{tag = 'a'} end)
handle('/c', function() return httpd.cache.purge{tag = 'c'} end)
handle('/during', function()
    return httpd.cache('t', {ttl = 60, tags = {'a'}}, function() httpd.cache.purge{tag = 'a'} return compute() end)
end)`,
    async (harness) => {
      for (const [purge, expected] of [
        ['/c', 'value 1'],
        ['/a', 'value 2'],
      ] as const) {
        await textOf(harness, '/tagged');
        assert.equal(await textOf(harness, purge), 'true');
        assert.equal(await textOf(harness, '/tagged'), expected);
      }
      // what was purged while it was computed is not kept
      await harness.request('/a');
      assert.equal(await textOf(harness, '/during'), 'value 3');
      assert.equal(await textOf(harness, '/during'), 'value 4');
    },
  ));

test('The value that was not asked for longest goes first', () =>
  withScript(
    `handle('/fill', function()
    for i = 0, 10000 do httpd.cache('k' .. i, {ttl = 60}, compute) if i > 0 then httpd.cache('k1', {ttl = 60}, compute) end end
    local before = calls
    httpd.cache('k1', {ttl = 60}, compute)
    httpd.cache('k10000', {ttl = 60}, compute)
    local kept = calls == before
    httpd.cache('k0', {ttl = 60}, compute)
    return tostring(kept) .. ' ' .. calls - before
end)`,
    async (harness) => assert.equal(await textOf(harness, '/fill'), 'true 1'),
  ));

test('Misuse is an error that names the argument', () =>
  withScript(
    `handle('/errors', function()
    local lines = {}
    for _, call in ipairs{
        {('k'):rep(1025), {ttl = 1}, print}, {'k', {}, print}, {'k', {ttl = 0}, print}, {'k', {ttl = 1, x = 1}, print},
        {'k', {ttl = 1, tags = 'a'}, print}, {'k', {ttl = 1, tags = {'a b'}}, print}, {'k', {ttl = 1}, 1}, {'k', {ttl = 1}},
    } do
        lines[#lines + 1] = select(2, pcall(httpd.cache, table.unpack(call)))
    end
    return table.concat(lines, '\\n')
end)`,
    async (harness) => {
      const lines = (await textOf(harness, '/errors')).split('\n');
      for (const [i, expected] of [
        /the key of a value has 1025 bytes and the limit is 1024/,
        /cache wants an option "ttl"/,
        /option "ttl" is 0/,
        /cache has no option "x"/,
        /option "tags" is a string \(a list of tags was expected\)/,
        /one tag, without blanks and commas/,
        /cache wants a key, options and a function: argument #3 is number/,
        /argument #3 is nil/,
      ].entries())
        assert.match(lines[i] ?? '', expected);
    },
  ));
