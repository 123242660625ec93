/** httpd.publish and httpd.subscribe from the side of scripts: messages, waits, ends, limits and misuse. */
import assert from 'node:assert/strict';
import { calmTest as test } from '../support/calm.ts';
import { eventually, type HarnessOptions, outputOf, ScriptHarness } from '../support/script-harness.ts';

const GONE = /\.lua:\d+: /g;

/** The answer of a handler, after which nothing may be held. */
function say(body: string, options: HarnessOptions = {}): Promise<string> {
  return outputOf(body, options, async (harness) => {
    await harness.expectNothingOpen();
    const { share } = harness;
    assert.deepEqual([share.used('subscriptions'), share.used('messageBytes')], [0, 0]);
  });
}

test('recv() gives message, channel and how many were lost, for strings of any bytes', async () => {
  assert.equal(
    await say(`
      local sub = assert(httpd.subscribe('a', 'b\\0\\255'))
      say(httpd.publish('a', 'one'), httpd.publish('b\\0\\255', '\\0\\255\\n'), httpd.publish('c', 'x'), httpd.publish('a', 3))
      say(sub:recv())
      local message, channel, lost = sub:recv()
      say(message == '\\0\\255\\n', channel == 'b\\0\\255', lost)
      say(sub:recv(1)) say(sub:recv(0)) say(sub:recv(0.01))`),
    '1 1 0 1\none a 0\ntrue true 0\n3 a 0\nnil No message has come in time timeout 0\nnil No message has come in time timeout 0\n',
  );
});

test('messages() waits for each message and ends when another task closes the subscription', async () => {
  assert.equal(
    await say(`
      local sub = httpd.subscribe('a')
      local task = httpd.spawn(function()
        for i = 1, 3 do httpd.publish('a', i) httpd.sleep(0.001) end
        sub:close()
      end)
      for message, channel, lost in sub:messages() do say(message, channel, lost) end
      httpd.wait(task)
      say(pcall(sub.recv, sub))`).then((text) => text.replace(GONE, '')),
    '1 a 0\n2 a 0\n3 a 0\nfalse attempt to use a closed stream\n',
  );
});

test('A subscriber that does not keep up loses its oldest messages, and hears how many', async () => {
  assert.equal(
    await say(`
      local sub = httpd.subscribe('a', {queue = 2})
      for i = 1, 10 do httpd.publish('a', i) end
      httpd.sleep(0.01)
      say(sub:recv()) say(sub:recv()) say(sub:recv(0))
      httpd.publish('a', 11) say(sub:recv())`),
    '9 a 8\n10 a 0\nnil No message has come in time timeout 0\n11 a 0\n',
  );
});

test('A subscription is a stream: read, copy and close work on it, and what is written is refused', async () => {
  assert.equal(
    await say(`
      local sub <close> = httpd.subscribe('a')
      for _, s in ipairs{'one', 'two\\n', 'three'} do httpd.publish('a', s) end
      say(sub:read()) say(sub:read('l')) say(httpd.read(sub, 2))
      say(httpd.copy(nil, sub, 3))
      say(pcall(sub.write, sub, 'x'))
      local task = httpd.spawn(function() return sub:read() end)
      httpd.sleep(0)
      say(pcall(sub.recv, sub))
      say(pcall(sub.read, sub))
      sub:close()
      say(select(2, httpd.wait(task)))
      say(tostring(sub))`).then((text) => text.replace(/0x[0-9a-f]+|script\.lua:\d+: /g, '')),
    'one\ntwo\nth\nree3\nfalse cannot write to a subscription\n' +
      'false another task waits for the next message\nfalse another task waits for the next message\n' +
      'true nil\nstream (closed)\n',
  );
});

test('A subscription ends with its request, with the collector and with its state', async () => {
  const harness = await ScriptHarness.run(`
    if env.QUERY_INFO == 'collect' then
      for i = 1, 50 do httpd.subscribe('b') end
      collectgarbage() collectgarbage()
      say(httpd.publish('b', 'x'))
    else
      kept = kept or {}
      kept[#kept + 1] = httpd.subscribe('a')
      say(#kept, httpd.publish('a', 'x'))
      say(pcall(kept[1].recv, kept[1], 0))
    end`);
  try {
    assert.equal(
      await harness.output(),
      '1 1\ntrue x a 0\n'.replace('x a 0', 'nil No message has come in time timeout 0'),
    );
    assert.match(await harness.output(), /^2 1\nfalse .*the request of the subscription has ended\n$/);
    assert.equal((await harness.request('/run?collect')).text, '0\n');
    assert.equal(harness.share.used('subscriptions'), 0);
  } finally {
    await harness.close();
  }
});

test('At the top level of a script a subscription lives as long as the state', async () => {
  const harness = await ScriptHarness.load(`
    local httpd = require 'httpd'
    local sub = httpd.subscribe('news')
    httpd.register_handler('/run', function()
      httpd.publish('news', 'hello')
      httpd.write(nil, (sub:recv(5)))
    end)`);
  assert.deepEqual([await harness.output(), await harness.output()], ['hello', 'hello']);
  assert.equal(harness.share.used('subscriptions'), 1);
  await harness.close();
  assert.equal(harness.share.used('subscriptions'), 0);
});

test('What is too long or too many is nil, message, "limit"; misuse is an error', async () => {
  assert.equal(
    await say(
      `say(httpd.publish(('c'):rep(255), ('m'):rep(262144)))
      say(httpd.publish(('c'):rep(256), 'x'))
      say(httpd.publish('c', ('m'):rep(262145)))
      local subs, message, code = {}
      for i = 1, 11 do subs[i], message, code = httpd.subscribe('a' .. i) end
      say(#subs, message, code)
      local names = {} for i = 1, 65 do names[i] = 'c' .. i end
      say(httpd.subscribe(table.unpack(names)))
      say(httpd.subscribe(('c'):rep(256)))
      for _, arguments in ipairs{{}, {''}, {1}, {{}}, {'a', {queue = 0}}, {'a', {queue = 16385}}, {'a', {other = 1}}} do
        local ok, text = pcall(httpd.subscribe, table.unpack(arguments))
        say(ok and 'subscribed' or text)
        if ok and text then text:close() end
      end
      say(pcall(httpd.publish, 'a')) say(pcall(httpd.publish, '', 'x')) say(pcall(httpd.publish, 'a', {}))
      say(pcall(subs[1].recv, io.stdout)) say(pcall(subs[1].recv, subs[1], -1))`,
      { subscriptionsMax: 10 },
    ).then((text) => text.replace(/script\.lua:\d+: /g, '')),
    [
      '0',
      'nil The name of a channel has 256 bytes and the limit is 255 limit',
      'nil Cannot publish a message of 262145 bytes: the limit is 262144 limit',
      '10 Cannot subscribe: 10 channels are subscribed to and the limit is 10 limit',
      'nil Cannot subscribe to 65 channels at once: the limit is 64 limit',
      'nil The name of a channel has 256 bytes and the limit is 255 limit',
      "bad argument #1 to 'httpd.subscribe' (string expected, got no value)",
      'The name of a channel is empty',
      'subscribed',
      'A subscription needs a channel',
      'option "queue" is 0 (a whole number from 1 to 16384 was expected)',
      'option "queue" is 16385 (a whole number from 1 to 16384 was expected)',
      'subscribe has no option "other"',
      "false wrong number of arguments to 'publish' (2 expected, got 1)",
      'false The name of a channel is empty',
      "false bad argument #2 to 'httpd.publish' (string expected, got table)",
      "false bad argument #1 to '?' (a subscription expected)",
      "false bad argument #2 to '?' (seconds must not be negative)",
      '',
    ].join('\n'),
  );
});

test('Of more than ten thousand subscriptions those beyond the limit are refused, and all are given back', async () => {
  assert.equal(
    await say(`
      local subs, refused = {}, 0
      for i = 1, 10100 do
        local sub, message, code = httpd.subscribe('a' .. i % 7)
        if sub then subs[#subs + 1] = sub else refused = refused + 1 assert(code == 'limit', message) end
      end
      say(#subs, refused, httpd.publish('a1', 'x'))`),
    '10000 100 1429\n',
  );
});

test('Whoever publishes pays for the queues that are filled, and ends at the limit of processor time', async () => {
  const harness = await ScriptHarness.load(
    `local httpd = require 'httpd'
    local subs, published = {}, 0
    for i = 1, 2000 do subs[i] = assert(httpd.subscribe('flood', {queue = 1})) end
    httpd.register_handler('/run', function()
      while true do httpd.publish('flood', 'x') published = published + 1 end
    end)
    httpd.register_handler('/count', function() httpd.write(nil, published) end)
    httpd.register_handler('/alone', function()
      for i = 1, 10000 do httpd.publish('nobody', 'x') end
      httpd.write(nil, 'done')
    end)`,
    { limits: { cpuLimitMs: 100 } },
  );
  try {
    assert.equal((await harness.request('/run')).status, 500);
    assert.match(harness.log.join('\n'), /CPU limit reached/);
    const count = Number((await harness.request('/count')).text);
    // 100 ms by 2000 queues of 0.125 µs are 400
    assert.ok(count >= 1 && count <= 450, `${count} messages`);
  } finally {
    await harness.close();
  }
});

test('A message gives whoever waits for it the processor time of a request, and keeps it from being silent', async () => {
  const harness = await ScriptHarness.run(
    `if env.QUERY_INFO == 'publish' then
      for i = 1, 6 do httpd.publish('a', i) httpd.write(nil, i) httpd.sleep(0.4) end
    else
      for message in httpd.subscribe('a'):messages() do
        local stop = os.clock() + 0.05
        while os.clock() < stop do end
        seen = message
        if message == '6' then return say('all') end
      end
    end`,
    { limits: { cpuLimitMs: 200, timeLimitMs: 2000 } },
  );
  // no socket keeps the process alive while the script waits
  const alive = setInterval(() => undefined, 1000);
  try {
    const answer = harness.request('/run');
    harness.begin('/run?publish');
    assert.equal((await answer).text, 'all\n', harness.log.join('\n'));
    const silent = await harness.request('/run');
    assert.equal(silent.status, 500);
    assert.match(harness.log.join('\n'), /Time limit reached/);
    await harness.expectNothingOpen();
  } finally {
    clearInterval(alive);
    await harness.close();
  }
});

test('A thousand subscribers that never read hold no more than their queues, and what they hold is given back', async () => {
  const harness = await ScriptHarness.run(
    `local subs = {}
    for i = 1, 1000 do subs[i] = assert(httpd.subscribe('a', {queue = 4})) end
    for i = 1, 100 do httpd.publish('a', ('x'):rep(1000)) end
    local got = 0
    repeat local _, _, lost = subs[1000]:recv() got = got + 1 + lost until got == 100
    say(select(3, subs[1]:recv()))`,
  );
  try {
    const exchange = harness.begin('/run');
    await eventually(() => assert.equal(exchange.text, '96\n'));
    await exchange.closed;
    await eventually(() => assert.equal(harness.share.used('messageBytes'), 0));
  } finally {
    await harness.close();
  }
});
