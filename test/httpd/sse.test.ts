/** httpd.sse: its head, its events, heartbeats, and what ends the stream. */
import assert from 'node:assert/strict';
import { connect as connectHttp2 } from 'node:http2';
import { request } from 'node:https';
import { createGunzip } from 'node:zlib';
import { calmTest as test } from '../support/calm.ts';
import { EventReader } from '../support/event-reader.ts';
import type { FakeExchange } from '../support/fake-exchange.ts';
import { eventually, ScriptHarness, turn } from '../support/script-harness.ts';

/** Runs `check` with the script whose handler `/run` has this body. */
async function withScript(
  body: string,
  check: (harness: ScriptHarness) => Promise<void>,
  options: Parameters<typeof ScriptHarness.run>[1] = {},
): Promise<void> {
  const harness = await ScriptHarness.run(body, options);
  try {
    await check(harness);
    await harness.expectNothingOpen();
  } finally {
    await harness.close();
  }
}

function read({ text }: FakeExchange): EventReader {
  const reader = new EventReader();
  reader.read(text);
  return reader;
}

test('httpd.sse() answers with an event stream, and send() writes events', async () => {
  await withScript(
    `local s = assert(httpd.sse{retry = 1.5})
    assert(s.last_id == nil)
    assert(s:send('one\\ntwo') == true)
    assert(s:send(3))
    assert(s:send{data = 'x', event = 'news', id = 7})
    assert(s:send{id = 'a b', retry = 0})`,
    async (harness) => {
      const exchange = await harness.request('/run');
      assert.equal(exchange.status, 200);
      assert.equal(exchange.field('content-type'), 'text/event-stream');
      assert.equal(exchange.field('cache-control'), 'no-store');
      assert.equal(
        exchange.text,
        'retry: 1500\n\ndata: one\ndata: two\n\ndata: 3\n\nevent: news\nid: 7\ndata: x\n\nid: a b\nretry: 0\n\n',
      );
    },
  );
});

test('last_id is what the client has seen last; headers may be added, but not those of the stream itself', async () => {
  await withScript(
    `for _, name in ipairs {'content-type', 'Content-Length', ':status'} do
      local ok, message = pcall(httpd.sse, {headers = {[name] = '200'}})
      assert(not ok and message:find("the headers of 'sse' cannot hold", 1, true), message)
    end
    local s = httpd.sse{headers = {['access-control-allow-origin'] = '*', ['cache-control'] = 'no-cache'}}
    s:send{id = s.last_id .. '!'}`,
    async (harness) => {
      const exchange = await harness.request('/run', { fields: ['Last-Event-ID', 'caf\xc3\xa9'] });
      assert.equal(exchange.text, 'id: caf\xc3\xa9!\n\n');
      assert.equal(exchange.field('access-control-allow-origin'), '*');
      assert.equal(exchange.field('cache-control'), 'no-cache');
    },
  );
});

test('Misuse is an error that says what is wrong, and leaves the stream usable', async () => {
  await withScript(
    `local s = httpd.sse()
    local said = {}
    local function try(...) said[#said + 1] = select(2, pcall(s.send, s, ...)):gsub('^.-:%d+: ', '') end
    try(nil) try{} try{data = {}} try{id = 'a\\nb'} try{event = 'a\\0'} try{other = 1} try{retry = -1}
    try{id = ('x'):rep(1025)} try('x', 'y')
    said[#said + 1] = select(2, pcall(s.write, s, 'x')):gsub('^.-:%d+: ', '')
    said[#said + 1] = select(2, pcall(s.send, io.stdout, 'x')):gsub('^.-:%d+: ', '')
    said[#said + 1] = select(2, pcall(httpd.sse)):gsub('^.-:%d+: ', '')
    for _, line in ipairs(said) do s:send(line) end`,
    async (harness) => {
      const { events } = read(await harness.request('/run'));
      assert.deepEqual(
        events.map(({ data }) => data),
        [
          "bad argument #2 to '?' (string or table expected, got nil)",
          'an event needs data, event, id or retry',
          'option "data" is a table (a string was expected)',
          '"id" of an event holds NUL, CR or LF, which no line of an event stream can',
          '"event" of an event holds NUL, CR or LF, which no line of an event stream can',
          'send has no option "other"',
          'option "retry" is -1 (0 to 86400 seconds were expected)',
          'option "id" has 1025 bytes and the limit is 1024',
          "wrong number of arguments to 'send' (2 expected, got 3)",
          'cannot write to a stream of events',
          "bad argument #1 to '?' (a stream of events expected)",
          'headers already sent',
        ],
      );
    },
  );
});

test('An event has at most 256 KiB of data', async () => {
  await withScript(
    `local s = httpd.sse()
    assert(s:send(('x'):rep(262144)))
    local sent, message, code = s:send(('x'):rep(262145))
    assert(sent == nil and code == 'limit' and message == 'Cannot send an event of 262145 bytes: the limit is 262144')
    assert(select(3, s:send{data = ('x'):rep(262145)}) == 'limit')
    s:send('ok')`,
    async (harness) => {
      const { events } = read(await harness.request('/run'));
      assert.deepEqual(
        events.map(({ data }) => data.length),
        [262144, 2],
      );
    },
  );
});

test('HEAD gets the head, and its handler ends there', async () => {
  await withScript(`local s = httpd.sse() while true do s:send('x') end`, async (harness) => {
    const exchange = await harness.request('/run', { method: 'HEAD' });
    assert.deepEqual([exchange.status, exchange.field('content-type')], [200, 'text/event-stream']);
    assert.equal(exchange.text, '');
  });
});

test('close() ends the response, and so do <close> and the collector; httpd.sse() after the end says so', async () => {
  await withScript(
    `local s = httpd.sse()
    s:send('x')
    assert(s:close() == true)
    assert(not pcall(s.send, s, 'y'))
    assert(select(3, httpd.sse()) == 'closed')
    print('went on')`,
    async (harness) => {
      assert.equal((await harness.request('/run')).text, 'data: x\n\n');
      await eventually(() =>
        assert.ok(
          harness.log.includes('info went on request=1-1 mapping=/') ||
            harness.log.some((line) => line.startsWith('info went on')),
        ),
      );
    },
  );
  await withScript(
    `do local s <close> = httpd.sse() s:send('x') end httpd.write(nil, 'late')`,
    async (harness) => assert.equal((await harness.request('/run')).text, 'data: x\n\n'),
  );
  await withScript(
    `do httpd.sse():send('x') end collectgarbage() collectgarbage() httpd.write(nil, 'late')`,
    async (harness) => assert.equal((await harness.request('/run')).text, 'data: x\n\n'),
  );
});

test('A stream that another request uses after its own has ended says that it is closed', async () => {
  await withScript(
    `if env.QUERY_INFO == 'first' then stream = httpd.sse() return end
    say(stream:send('x'))`,
    async (harness) => {
      await harness.request('/run?first');
      assert.equal((await harness.request('/run')).text, 'nil The response has ended closed\n');
    },
  );
});

test('Heartbeats come when nothing else does, and keep a silent handler alive', async () => {
  await withScript(
    `local s = httpd.sse()
    httpd.sleep(1.2)
    s:send('still here')`,
    async (harness) => {
      const reader = read(await harness.request('/run'));
      assert.deepEqual(
        reader.events.map(({ data }) => data),
        ['still here'],
      );
      assert.ok(reader.comments >= 2, `${reader.comments} comments`);
    },
    // a heartbeat comes after half of the limit
    { limits: { timeLimitMs: 600 } },
  );
});

test('Without heartbeats the time limit ends a silent stream', async () => {
  await withScript(
    `local s = httpd.sse{heartbeat = false}
    s:send('x')
    httpd.sleep(86400)`,
    async (harness) => {
      const exchange = await harness.request('/run');
      assert.equal(exchange.broken, true);
      assert.match(harness.log.join('\n'), /Time limit reached: the handler has moved no bytes/);
    },
    { limits: { timeLimitMs: 150 } },
  );
});

test('Each event has the processor time of a request', async () => {
  await withScript(
    `local s = httpd.sse()
    local function burn(seconds) local stop = os.clock() + seconds while os.clock() < stop do end end
    for i = 1, 4 do burn(0.06) s:send(i) end
    burn(5)`,
    async (harness) => {
      const exchange = await harness.request('/run');
      assert.equal(read(exchange).events.length, 4);
      assert.match(harness.log.join('\n'), /CPU limit reached/);
    },
    { limits: { cpuLimitMs: 150 } },
  );
});

test('A state that is replaced ends its streams, and those that begin while it retires', async () => {
  const harness = await ScriptHarness.run(
    `local closing <close> = setmetatable({}, {__close = function() print('closed') end})
    local s = httpd.sse()
    s:send('hello')
    httpd.sleep(86400)`,
  );
  try {
    const before = harness.begin('/run');
    await eventually(() => assert.equal(before.text, 'data: hello\n\n'));
    const retired = harness.script.retire(1000);
    const meanwhile = await harness.request('/run');
    await before.closed;
    assert.deepEqual([before.broken, before.text], [false, 'data: hello\n\n']);
    assert.deepEqual([meanwhile.broken, meanwhile.text], [false, 'data: hello\n\n']);
    await retired;
    assert.equal(harness.log.filter((line) => line.startsWith('info closed')).length, 2);
  } finally {
    await harness.close();
  }
});

test('A client that has gone ends its handler, and a client that does not read makes send() wait', async () => {
  await withScript(
    `local s = httpd.sse()
    for i = 1, 1000 do sent = i s:send(('x'):rep(16384)) end`,
    async (harness) => {
      const port = await harness.listen();
      await new Promise<void>((resolve, reject) => {
        const call = request({
          port,
          host: '127.0.0.1',
          path: '/run',
          rejectUnauthorized: false,
          agent: false,
        });
        call.on('response', (response) => {
          response.pause();
          const sent = (): number => {
            const { state } = harness.script;
            state.exports.lua_getglobal(state.mainThread, state.memory.constant('sent'));
            const count = state.exports.lua_tonumberx(state.mainThread, -1, 0 as never);
            state.pop(state.mainThread);
            return count;
          };
          let last = -1;
          // until nothing moves any more: the sockets of both sides are full
          const look = async (): Promise<void> => {
            for (let still = 0; still < 20; still++) {
              if (sent() !== last) still = 0;
              last = sent();
              await new Promise((next) => setTimeout(next, 5));
            }
            assert.ok(last < 1000, 'the script waits');
            response.destroy();
          };
          look().then(resolve, reject);
        });
        call.on('error', () => undefined);
        call.end();
      });
    },
  );
});

test('Events leave one by one, compressed or not, over both protocols', async () => {
  await withScript(
    `httpd.compress(env.QUERY_INFO == 'gzip')
    local s = httpd.sse()
    for i = 1, 3 do s:send{id = i, data = 'event ' .. i} httpd.read(nil, 1) end`,
    async (harness) => {
      const port = await harness.listen();
      for (const query of ['', '?gzip']) {
        const path = `/run${query}`;
        const headers = { 'accept-encoding': query === '' ? 'identity' : 'gzip' };
        const client = connectHttp2(`https://127.0.0.1:${port}`, { rejectUnauthorized: false });
        const stream = client.request({ ':method': 'POST', ':path': path, ...headers });
        await followOneByOne(stream, stream, query !== '');
        client.close();
        const call = request({
          port,
          host: '127.0.0.1',
          path,
          method: 'POST',
          headers: { ...headers, 'transfer-encoding': 'chunked' },
          rejectUnauthorized: false,
          agent: false,
        });
        call.flushHeaders();
        const response = await new Promise<NodeJS.ReadableStream>((resolve) => call.on('response', resolve));
        await followOneByOne(response, call, query !== '');
      }
    },
  );
});

/** Reads three events; asks for each but the first when the one before has come. */
async function followOneByOne(
  answer: NodeJS.ReadableStream,
  requestBody: NodeJS.WritableStream,
  isCompressed: boolean,
): Promise<void> {
  const reader = new EventReader();
  const plain = isCompressed ? answer.pipe(createGunzip()) : answer;
  plain.on('data', (bytes: Buffer) => reader.read(bytes.toString('latin1')));
  const ended = new Promise((resolve) => plain.on('end', resolve));
  for (let i = 1; i <= 3; i++) {
    await eventually(() => assert.equal(reader.lastId, String(i)));
    await turn();
    assert.equal(reader.events.length, i);
    requestBody.write('x');
  }
  requestBody.end();
  await ended;
}
