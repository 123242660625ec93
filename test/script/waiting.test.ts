/** Where a call may wait and where it cannot: modules, metamethods, comparisons, closing variables. */
import assert from 'node:assert/strict';
import { calmTest as test } from '../support/calm.ts';
import { type HarnessOptions, ScriptHarness } from '../support/script-harness.ts';

async function outputOf(body: string, options: HarnessOptions = {}): Promise<string> {
  const harness = await ScriptHarness.run(body, options);
  try {
    const output = await harness.output();
    await harness.expectNothingOpen();
    return output;
  } finally {
    await harness.close();
  }
}

test('The body of a module waits when a handler requires it, and gives its values once', async () => {
  const output = await outputOf(
    `local m, from = require 'slow' say(m.name, from) say(require 'slow' == m, select('#', require 'slow'))`,
    { files: { 'slow.lua': `local httpd = require 'httpd' httpd.sleep(0.01) return { name = (...) }` } },
  );
  assert.match(output, /^slow \S*slow\.lua\ntrue 1\n$/);
});

test('A searcher of a script waits, and one behind it is asked afterwards', async () => {
  assert.equal(
    await outputOf(`
      table.insert(package.searchers, 1, function(name) httpd.sleep(0.01) return '\\n\\tnothing for ' .. name end)
      table.insert(package.searchers, 2, function(name) httpd.sleep(0.01) return function(...) httpd.sleep(0.01) return {...} end, 'extra' end)
      local module, extra = require 'made' say(module[1], module[2], extra)`),
    'made extra extra\n',
  );
});

test('A module that fails after a wait fails for whoever required it, and can be required again', async () => {
  assert.equal(
    await outputOf(`say(pcall(require, 'late')) say(package.loaded.late) ready = true say(require 'late')`, {
      files: {
        'late.lua': `require 'httpd'.sleep(0.01) if not ready then error('too early', 0) end return 'late'`,
      },
    }).then((text) => text.replace(/ \S*late\.lua/, '')),
    'false too early\nnil\nlate\n',
  );
});

test('Where a yield cannot cross, a wait is refused with a message that says so', async () => {
  const output = await outputOf(`
    local function refused(f, ...) local ok, message = pcall(f, ...) say(ok, (tostring(message):gsub('^.-: ', ''))) end
    local nap = function() httpd.sleep(0.01) return true end
    refused(table.sort, {2, 1}, nap)
    refused(string.gsub, 'x', 'x', nap)
    refused(tostring, setmetatable({}, {__tostring = nap}))
    refused(function() local a = setmetatable({}, {__lt = nap}) return a <= a end)
    refused(function() local a = setmetatable({}, {__lt = nap}) return a <= 1 end)
    local f, message = load(function() httpd.sleep(0.01) return nil end) say(f, (message:gsub('^.-: ', '')))
    local co = coroutine.create(function() local x <close> = setmetatable({}, {__close = nap}) coroutine.yield() end)
    coroutine.resume(co) local ok, why = coroutine.close(co) say(ok, (why:gsub('^.-: ', '')))`);
  for (const line of output.trimEnd().split('\n'))
    assert.match(line, /^(false|nil) cannot sleep here: a yield cannot cross this call$/);
  assert.equal(output.trimEnd().split('\n').length, 7);
});

test('__lt waits where it stands for itself', async () => {
  assert.equal(
    await outputOf(
      `local a = setmetatable({}, {__lt = function() httpd.sleep(0.01) return true end}) say(a < a, pcall(function() return a < 1 end))`,
    ),
    'true true true\n',
  );
});

test('A wrapped function that fails keeps its error when a __close may not wait', async () => {
  const output = await outputOf(`
    local nap = setmetatable({}, {__close = function() httpd.sleep(0.01) end})
    local bad = setmetatable({}, {__close = function() error('second', 0) end})
    say(select(2, pcall(coroutine.wrap(function() local x <close> = nap error('first', 0) end))))
    say(select(2, pcall(coroutine.wrap(function() local x <close> = bad error('first', 0) end))))
    local t = {} say(select(2, pcall(coroutine.wrap(function() local x <close> = nap error(t) end))) == t)
    local dead = coroutine.wrap(function() error('once', 0) end) pcall(dead) say(select(2, pcall(dead)))`);
  assert.match(output, /^\S* ?first\n\(and then in __close: .*cannot sleep here.*\)\n/);
  assert.match(output, /\n\S* ?second\n/);
  assert.match(output, /cannot resume dead coroutine\n$/);
});

for (const [what, wait] of Object.entries({
  'computes for many slices': `local t = os.clock() while os.clock() - t < 0.4 do end`,
  'sleeps many times': `for i = 1, 60 do httpd.sleep(0) end`,
})) {
  test(`A coroutine inside forty others that ${what} leaves nothing on their stacks`, async () => {
    const harness = await ScriptHarness.run(
      `local httpd = require 'httpd'
      local function nest(n, ...)
        if n == 0 then ${wait} return 'end', ... end
        return coroutine.wrap(function(...) return nest(n - 1, ...) end)(...)
      end
      -- two tasks at once: each is interrupted for the other
      local other = httpd.spawn(nest, 40)
      say(nest(40, 1, nil, 3))
      say(select(2, httpd.wait(other)))`,
      { limits: { cpuLimitMs: 5000 } },
    );
    assert.equal(await harness.output(), 'end 1 nil 3\ntrue end\n');
    assert.ok(!harness.log.includes('error abandoned'), harness.log.join('\n'));
    await harness.close();
  });
}
