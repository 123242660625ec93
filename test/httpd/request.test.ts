/** httpd.request: what it gives in handlers, tasks, coroutines and modules, and that no request sees what is another's. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ScriptHarness, turn } from '../support/script-harness.ts';
import { PROTOCOLS, TestGateway } from '../support/test-gateway.ts';

async function output(body: string, parameters = 'env, header'): Promise<string> {
  const harness = await ScriptHarness.load(
    `local httpd = require 'httpd'
    local function say(...) httpd.write(nil, table.concat({...}, ' ') .. '\\n') end
    httpd.register_handler('/run', function(${parameters}) ${body} end)`,
    { files: { 'helper.lua': `local httpd = require 'httpd' return function() return httpd.request() end` } },
  );
  try {
    const text = await harness.output({ fields: ['x-a', 'one'] });
    await harness.expectNothingOpen();
    return text;
  } finally {
    await harness.close();
  }
}

test('httpd.request() gives the very tables of the handler, and the same table each time', async () => {
  assert.equal(
    await output(`local request = httpd.request()
      say(tostring(request.env == env), tostring(request.header == header), tostring(httpd.request() == request))
      say(request.id == env.REQUEST_ID and 'id' or 'other', request.env.PATH_INFO, request.header['x-a'], type(request.params))`),
    'true true true\nid /run one table\n',
  );
});

test('httpd.request() finds the tables after the handler has given its variables other values, and below many calls', async () => {
  assert.equal(
    await output(`local own = env
      env, header = 1, 2
      local function deep(n) if n > 0 then return (deep(n - 1)) end return httpd.request().env == own end
      say(tostring(deep(5000)))`),
    'true\n',
  );
});

test('httpd.request() gives fresh tables to a handler without parameters', async () => {
  assert.equal(
    await output(`local request = httpd.request() say(request.env.PATH_INFO, request.header['X-A'])`, ''),
    '/run one\n',
  );
});

test('httpd.request() works in tasks, coroutines, modules, and in tasks that outlive the handler', async () => {
  assert.equal(
    await output(`local function compare(name) say(name, tostring(httpd.request().env == env)) end
      local helper = require 'helper'
      say('module', tostring(helper().env == env))
      coroutine.wrap(function() coroutine.wrap(compare)('coroutine') end)()
      httpd.wait(httpd.spawn(compare, 'task'))
      pcall(compare, 'pcall')
      httpd.spawn(function() httpd.sleep(0.001) compare('after') end)`),
    'module true\ncoroutine true\ntask true\npcall true\nafter true\n',
  );
});

test('A task that is the first to ask when the handler has returned gets the tables of the handler', async () => {
  assert.equal(
    await output(`env.own = 'mine'
      httpd.spawn(function() httpd.sleep(0.001) say(httpd.request().env.own, httpd.request().header['x-a']) end)`),
    'mine one\n',
  );
});

test('httpd.request() is nil at the top level and in timers, and refuses arguments', async () => {
  const harness = await ScriptHarness.load(
    `local httpd = require 'httpd'
    print('top', httpd.request())
    httpd.timer(0, function() print('timer', httpd.request()) end)
    httpd.register_handler('/run', function() httpd.write(nil, tostring(pcall(httpd.request, 1))) end)`,
  );
  try {
    assert.equal(await harness.output(), 'false');
    while (harness.log.length < 2) await turn();
    assert.match(harness.log[0] ?? '', /^info top\tnil/);
    assert.match(harness.log[1] ?? '', /^info timer\tnil/);
  } finally {
    await harness.close();
  }
});

test('A request that a script keeps stays what it was, and the next one has its own', async () => {
  const harness = await ScriptHarness.load(
    `local httpd = require 'httpd'
    local kept
    httpd.register_handler('/run', function(env)
      local request = httpd.request()
      local before = kept and kept.env.QUERY_INFO .. ' ' .. kept.ctx.name or 'none'
      assert(kept ~= request and not request.ctx.name)
      request.ctx.name = 'ctx-' .. env.QUERY_INFO
      kept = request
      httpd.write(nil, before)
    end)`,
  );
  try {
    assert.equal((await harness.request('/run?1')).text, 'none');
    assert.equal((await harness.request('/run?2')).text, '1 ctx-1');
    assert.equal((await harness.request('/run?3')).text, '2 ctx-2');
    const { references } = harness.script.state;
    for (let i = 0; i < 20; i++) await harness.request(`/run?${i}`);
    assert.equal(harness.script.state.references, references);
  } finally {
    await harness.close();
  }
});

test('200 requests at once keep their ctx apart, over both protocols', async () => {
  const gateway = await TestGateway.start(
    {
      '/': `local httpd = require 'httpd'
      httpd.hook('request', function(env) httpd.request().ctx.number = env.QUERY_INFO httpd.sleep(0.001) end)
      httpd.register_handler('/run', function(env)
        for _ = 1, 5 do
          httpd.sleep(0.001)
          assert(httpd.request().ctx.number == env.QUERY_INFO and httpd.request().env == env)
        end
        local task = httpd.spawn(function() return httpd.request().ctx.number end)
        httpd.write(nil, select(3, httpd.wait(task)))
      end)`,
    },
    { keeps: true },
  );
  try {
    for (const protocol of PROTOCOLS) {
      const numbers = Array.from({ length: 100 }, (_, i) => String(i));
      const answers = await Promise.all(numbers.map((number) => gateway.ask(protocol, `/run?${number}`)));
      assert.deepEqual(
        answers.map(({ text }) => text),
        numbers,
      );
    }
  } finally {
    await gateway.stop();
  }
});
