/** httpd.exit: its answers, the places where it may be called, and what it refuses. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ScriptHarness } from '../support/script-harness.ts';
import { PROTOCOLS, TestGateway } from '../support/test-gateway.ts';

async function request(body: string, use: (harness: ScriptHarness) => Promise<void>): Promise<void> {
  const harness = await ScriptHarness.run(body);
  try {
    await use(harness);
    await harness.expectNothingOpen();
  } finally {
    await harness.close();
  }
}

test('httpd.exit() sends status, body and headers, and nothing after it runs', async () => {
  await request(
    `local guard <close> = setmetatable({}, {__close = function() print('closed') end})
    pcall(httpd.exit, 418, 'short and stout', {['x-pot'] = 'tea', ['set-cookie'] = {'a=1', 'b=2'}})
    print('not reached')`,
    async (harness) => {
      const exchange = await harness.request('/run');
      assert.equal(exchange.status, 418);
      assert.equal(exchange.text, 'short and stout');
      assert.equal(exchange.field('x-pot'), 'tea');
      assert.equal(exchange.field('content-type'), 'text/plain; charset=utf-8');
      assert.equal(exchange.responseFields.filter((name) => name === 'set-cookie').length, 2);
      assert.equal(harness.log.filter((line) => line.startsWith('info')).length, 1);
    },
  );
});

test('httpd.exit() keeps the content type it is given', async () => {
  await request(`httpd.exit(200, '<p>', {['Content-Type'] = 'text/html'})`, async (harness) => {
    assert.deepEqual((await harness.request('/run')).responseFields, ['Content-Type', 'text/html']);
  });
});

test('httpd.exit() with a status alone sends an empty answer, or the page of an error', async () => {
  await request(`httpd.exit(tonumber(env.QUERY_INFO))`, async (harness) => {
    const empty = await harness.request('/run?204');
    assert.equal(empty.status, 204);
    assert.equal(empty.text, '');
    assert.equal((await harness.request('/run?404')).status, 404);
    assert.deepEqual(harness.log, []);
  });
});

test('httpd.exit() without a status ends the response where it stands', async () => {
  await request(
    `if env.QUERY_INFO then say('begun') end httpd.exit() say('not reached')`,
    async (harness) => {
      assert.equal((await harness.request('/run?x')).text, 'begun\n');
      assert.equal((await harness.request('/run')).status, 500);
      assert.match(harness.log.join('\n'), /Handler sent nothing/);
    },
  );
});

test('httpd.exit() in a task, in a coroutine of the script and below pcall ends the whole request', async () => {
  await request(
    `local function leave() httpd.exit(202, 'left') end
    if env.QUERY_INFO == 'task' then
      httpd.spawn(httpd.sleep, 1000)
      httpd.spawn(leave)
      httpd.sleep(1000)
    elseif env.QUERY_INFO == 'coroutine' then
      coroutine.wrap(function() coroutine.wrap(leave)() end)()
    else
      pcall(pcall, leave)
    end
    print('not reached')`,
    async (harness) => {
      for (const way of ['task', 'coroutine', 'pcall']) {
        const exchange = await harness.request(`/run?${way}`);
        assert.equal(exchange.status, 202);
        assert.equal(exchange.text, 'left');
      }
      assert.deepEqual(harness.log, []);
    },
  );
});

test('httpd.exit() waits for a slow client to take a long body', async () => {
  await request(`httpd.exit(200, ('x'):rep(1000000))`, async (harness) => {
    const exchange = await harness.request('/run', { roomBytes: 1000 });
    assert.equal(exchange.text.length, 1_000_000);
  });
});

test('httpd.exit() refuses what is misuse, and the handler goes on', async () => {
  const cases: readonly (readonly [string, RegExp])[] = [
    ['199', /status from 200 to 599 expected/],
    ['600', /status from 200 to 599 expected/],
    ['"no"', /number expected, got string/],
    ['200, true', /string expected, got boolean/],
    ['200, "", "x"', /table expected, got string/],
    ['200, "", {}, 1', /wrong number of arguments to 'exit' \(at most 3 expected, got 4\)/],
    ['200, "", {status = 200}', /the headers of 'exit' cannot hold ":status"/],
    ['200, "", {[":path"] = "/"}', /the headers of 'exit' cannot hold ":path"/],
    ['200, "", {x = "a\\r\\nb"}', /"x"/],
  ];
  for (const [given, message] of cases)
    await request(`say(pcall(function() httpd.exit(${given}) end))`, async (harness) => {
      assert.match(await harness.output(), message);
    });
  await request(`say(1) say(pcall(httpd.exit, 200, 'x'))`, async (harness) => {
    assert.match(await harness.output(), /headers already sent/);
  });
  await request(`say(pcall(table.sort, {2, 1}, function() httpd.exit(200) end))`, async (harness) => {
    assert.match(await harness.output(), /cannot end here: a yield cannot cross this call/);
  });
  await assert.rejects(ScriptHarness.load(`require 'httpd'.exit(200)`), /called outside of a request/);
});

for (const protocol of PROTOCOLS) {
  test(`httpd.exit() over ${protocol} answers whole, with a page of the gateway where it has no body`, async () => {
    const gateway = await TestGateway.start({
      '/': `local httpd = require 'httpd'
        httpd.register_handler('/page', function() httpd.exit(403) end)
        httpd.register_handler('/text', function() httpd.spawn(httpd.sleep, 100) httpd.exit(409, 'no', {['x-why'] = 'test'}) end)
        httpd.register_handler('/long', function() httpd.exit(200, ('x'):rep(3000000)) end)`,
    });
    try {
      const page = await gateway.ask(protocol, '/page', { method: 'POST', body: 'not read' });
      assert.equal(page.status, 403);
      assert.match(page.text, /Forbidden/);
      assert.equal(page.cut, false);
      const text = await gateway.ask(protocol, '/text');
      assert.deepEqual([text.status, text.text, text.cut], [409, 'no', false]);
      assert.equal(text.headers['x-why'], 'test');
      assert.equal(text.headers['content-length'], '2');
      const long = await gateway.ask(protocol, '/long');
      assert.deepEqual([long.status, long.body.length, long.cut], [200, 3_000_000, false]);
      await gateway.untilIdle();
    } finally {
      await gateway.stop();
    }
  });
}

test('httpd.exit() sends a table as JSON, with another type where the headers say so', async () => {
  await request(`httpd.exit(422, { errors = httpd.json.array({ 'no name' }) })`, async (harness) => {
    const exchange = await harness.request('/run');
    assert.equal(exchange.status, 422);
    assert.equal(exchange.field('content-type'), 'application/json');
    assert.equal(exchange.text, '{"errors":["no name"]}');
  });
  await request(`httpd.exit(200, {}, {['content-type'] = 'application/ld+json'})`, async (harness) => {
    const exchange = await harness.request('/run');
    assert.equal(exchange.field('content-type'), 'application/ld+json');
  });
  await request(`httpd.exit(200, { print })`, async (harness) => {
    assert.equal((await harness.request('/run')).status, 500);
  });
});
