import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ScriptHarness } from '../support/script-harness.ts';
import { runBody } from '../support/shared-state.ts';

/** Resolves with the error that a call raises, caught by pcall in the script. */
async function errorOf(call: string): Promise<string> {
  const { text } = await runBody(`local ok, m = pcall(function() ${call} end) say(m)`);
  return text.trimEnd();
}

// ---- register_handler ----

test('httpd.register_handler() refuses wrong arguments with the place of the call', async () => {
  for (const [call, message] of [
    ["'/x'", "wrong number of arguments to 'register_handler' (2 or 3 expected, got 1)"],
    ["'/x', print, {}, 1", "wrong number of arguments to 'register_handler' (2 or 3 expected, got 4)"],
    ['{}, print', "bad argument #1 to 'register_handler' (string expected, got table)"],
    ["'/x', 'y'", "bad argument #2 to 'register_handler' (function expected, got string)"],
    ["'/x', nil", "bad argument #2 to 'register_handler' (function expected, got nil)"],
  ] as const) {
    await assert.rejects(
      ScriptHarness.load(`local httpd = require 'httpd'\nhttpd.register_handler(${call})`),
      (error: Error) => error.message.startsWith(`script.lua:2: ${message}\n`),
      call,
    );
  }
});

test('httpd.register_handler() keeps the first of a name, adds a missing slash and takes numbers', async () => {
  const harness = await ScriptHarness.load(`
    local httpd = require 'httpd'
    httpd.register_handler('/a', function() httpd.write(nil, 'first') end)
    httpd.register_handler('/a', function() httpd.write(nil, 'second') end)
    httpd.register_handler('b', function(env) httpd.write(nil, env.HANDLER_NAME) end)
    httpd.register_handler(5, function(env) httpd.write(nil, env.HANDLER_NAME) end)`);
  assert.equal((await harness.request('/a')).text, 'first');
  assert.equal((await harness.request('/b')).text, '/b');
  assert.equal((await harness.request('/5')).text, '/5');
  assert.equal((await harness.request('/c')).status, 404);
  assert(harness.log.some((line) => line.startsWith('warn Handler registered twice')));
  await harness.close();
});

test('Handlers can be registered while requests are served', async () => {
  const harness = await ScriptHarness.run(
    `httpd.register_handler('/late', function() say('late') end) say('registered')`,
  );
  assert.equal((await harness.request('/late')).status, 404);
  await harness.output();
  assert.equal((await harness.request('/late')).text, 'late\n');
  await harness.close();
});

test('The module is what lhttpd gives: a table with a version, not a global', async () => {
  const harness = await ScriptHarness.load(`
    assert(httpd == nil)
    local h = require 'httpd'
    assert(h == require 'httpd' and h == package.loaded.httpd)
    h.register_handler('/v', function() h.write(nil, h._VERSION) end)`);
  assert.equal((await harness.request('/v')).text, 'httpd 1.0.0');
  await harness.close();
});

test('Calls that need a request raise an error while the script is loaded', async () => {
  for (const call of [
    'httpd.header{status = 200}',
    "httpd.write(nil, 'x')",
    'httpd.read(nil, 1)',
    'httpd.read(nil)',
  ]) {
    await assert.rejects(
      ScriptHarness.load(`local httpd = require 'httpd'\n${call}`),
      /^ScriptError: script\.lua:2: called outside of a request\n/,
      call,
    );
  }
});

// ---- header ----

for (const status of ['200', "'200'", "'200 OK'", "'200 Whatever You Like'", '200.0']) {
  for (const key of ["[':status']", 'status']) {
    for (const protocol of ['HTTP/1.1', 'HTTP/2'] as const) {
      test(`httpd.header() takes ${key} = ${status} on ${protocol}`, async () => {
        const exchange = await runBody(`httpd.header{${key} = ${status}, ['x-a'] = 'b'}`, { protocol });
        assert.deepEqual([exchange.status, exchange.responseFields], [200, ['x-a', 'b']]);
      });
    }
  }
}

test('httpd.header() sends numbers as text and lists as repeated fields', async () => {
  const exchange = await runBody(
    `httpd.header{status = 201, ['content-length'] = 12, ratio = 1.5, ['set-cookie'] = {'a=1', 'b=2', 3}, none = {}}`,
  );
  assert.equal(exchange.status, 201);
  assert.deepEqual(
    ['content-length', 'ratio', 'set-cookie', 'none'].map((name) => exchange.field(name)),
    ['12', '1.5', 'a=1, b=2, 3', undefined],
  );
  assert.equal(exchange.responseFields.filter((name) => name === 'set-cookie').length, 3);
});

test('httpd.header() drops pseudo fields from a response and keeps fields that begin with status', async () => {
  const exchange = await runBody(`httpd.header{status = 200, [':path'] = '/x', ['status-text'] = 'kept'}`);
  assert.deepEqual(exchange.responseFields, ['status-text', 'kept']);
});

test('httpd.header() with both statuses takes the one of the protocol', async () => {
  assert.equal(
    (await runBody(`httpd.header{status = 201, [':status'] = 202}`, { protocol: 'HTTP/1.1' })).status,
    201,
  );
  assert.equal(
    (await runBody(`httpd.header{status = 201, [':status'] = 202}`, { protocol: 'HTTP/2' })).status,
    202,
  );
});

test('httpd.header() sends informational heads any number of times before the final one', async () => {
  const exchange = await runBody(
    `httpd.header{status = 103, link = '</a>; rel=preload'} httpd.header{status = '100 Continue'} httpd.header{status = 200}`,
  );
  assert.deepEqual(exchange.informed, [
    { status: 103, fields: ['link', '</a>; rel=preload'] },
    { status: 100, fields: [] },
  ]);
  assert.equal(exchange.status, 200);
});

test('httpd.header() raises on what is no head, and names the field', async () => {
  const cases: Readonly<Record<string, string>> = {
    'httpd.header()': "wrong number of arguments to 'header' (1 expected, got 0)",
    'httpd.header({}, 1)': "wrong number of arguments to 'header' (1 expected, got 2)",
    "httpd.header('x')": "bad argument #1 to 'header' (table expected, got string)",
    'httpd.header{}': 'header needs a ":status", or a ":path" for a push promise',
    'httpd.header{status = 99}': 'header "status" is "99" (a status from 100 to 599 was expected)',
    'httpd.header{status = 600}': 'header "status" is "600" (a status from 100 to 599 was expected)',
    "httpd.header{status = 'OK'}": 'header "status" is "OK" (a status from 100 to 599 was expected)',
    'httpd.header{status = true}':
      'header field "status" is a boolean (a string, number or list was expected)',
    'httpd.header{status = 101}': 'header cannot send status 101: the connection belongs to the gateway',
    'httpd.header{status = 200, x = true}':
      'header field "x" is a boolean (a string, number or list was expected)',
    'httpd.header{status = 200, x = {1, {}}}':
      'header field "x" is a table (a string, number or list was expected)',
    "httpd.header{status = 200, 'x'}": 'header has a number as field name (a string was expected)',
    "httpd.header{status = 200, ['a b'] = 'x'}": 'Field name "a b" is not a token',
    "httpd.header{status = 200, [''] = 'x'}": 'Field name "" is not a token',
    "httpd.header{status = 200, ['x\\r\\ny'] = 'x'}": 'Field name "x\\r\\ny" is not a token',
    "httpd.header{status = 200, ['content-length'] = 'abc'}":
      'Value "abc" of field "content-length" is not a length',
  };
  for (const [call, message] of Object.entries(cases)) {
    const raised = await errorOf(call);
    assert.equal(raised, `script.lua:7: ${message}`, call);
  }
});

for (const [name, character] of [
  ['CR', '\\r'],
  ['LF', '\\n'],
  ['NUL', '\\0'],
  ['DEL', '\\127'],
] as const) {
  test(`httpd.header() refuses ${name} in a value and names the field, in a final head, a 103 and a promise`, async () => {
    for (const table of [`status = 200`, `status = 103`, `[':path'] = '/run'`]) {
      assert.match(
        await errorOf(`httpd.header{${table}, ['x-name'] = 'a${character}b'}`),
        /^script\.lua:7: Value ".*" of field "x-name" holds a control character/,
      );
    }
    assert.match(
      await errorOf(`httpd.header{status = 200, ['x-name'] = {'ok', 'a${character}b'}}`),
      /field "x-name"/,
    );
  });
}

test('httpd.header() lets every legal byte of a value through', async () => {
  const exchange = await runBody(
    `local t = {'\\t'} for i = 32, 255 do if i ~= 127 then t[#t + 1] = string.char(i) end end httpd.header{status = 200, ['x-all'] = table.concat(t)}`,
  );
  const value = exchange.field('x-all') ?? '';
  assert.equal(value.length, 224);
  assert.equal(value.charCodeAt(223), 255);
});

test('httpd.header() after the head or the first write raises an error that can be caught', async () => {
  const twice = await runBody(
    `httpd.header{status = 200} local ok, m = pcall(httpd.header, {status = 500}) say(ok, m)`,
  );
  assert.deepEqual([twice.status, twice.text], [200, 'false headers already sent\n']);
  const afterWrite = await runBody(
    `say('body') local ok, m = pcall(httpd.header, {status = 103}) say(ok, m)`,
  );
  assert.equal(afterWrite.text, 'body\nfalse headers already sent\n');
});

test('httpd.header() reads the lazy tables of the request as ordinary ones', async () => {
  const exchange = await runBody(
    `header[':status'] = nil env.status = 200 for k in pairs(env) do if k ~= 'status' then env[k] = nil end end httpd.header(env)`,
  );
  assert.equal(exchange.status, 200);
  const promised = await runBody(`httpd.header(header) say('x')`, { fields: ['x-a', '1'], canPush: true });
  assert.deepEqual(promised.promises[0]?.fields, ['x-a', '1']);
});

test('The same head again and again stays the same, and its changes are seen', async () => {
  const harness = await ScriptHarness.load(`
    local httpd = require 'httpd'
    httpd.register_handler('/same', function() httpd.header{[':status'] = 200, ['content-type'] = 'text/plain'} httpd.write(nil, 'x') end)
    httpd.register_handler('/other', function(env)
      httpd.header{[':status'] = tonumber(env.QUERY_INFO), ['content-type'] = 'text/' .. env.QUERY_INFO, ['x-long'] = ('y'):rep(100)}
    end)`);
  for (let i = 0; i < 400; i++) {
    const same = await harness.request('/same');
    assert.deepEqual([same.status, same.responseFields], [200, ['content-type', 'text/plain']]);
    const status = 200 + (i % 300);
    const other = await harness.request(`/other?${status}`);
    assert.deepEqual([other.status, other.field('content-type')], [status, `text/${status}`]);
    if (i % 100 === 0) harness.luaHeapKiB();
  }
  const [a, b] = [await harness.request('/same'), await harness.request('/same')];
  assert.equal(a.responseFields, b.responseFields, 'one list, which others can recognise');
  await harness.close();
});

// ---- promises ----

test('A table without a status is a promise where the client can be pushed to', async () => {
  const exchange = await runBody(
    `httpd.header{[':method'] = 'GET', [':scheme'] = 'https', [':authority'] = 'example.test', [':path'] = '/run?x', accept = 'text/css'} httpd.header{status = 200}`,
    { canPush: true },
  );
  assert.deepEqual(exchange.promises, [
    {
      method: 'GET',
      scheme: 'https',
      authority: 'example.test',
      target: '/run?x',
      fields: ['accept', 'text/css'],
    },
  ]);
});

test('A promise takes what is missing from the request', async () => {
  const exchange = await runBody(`httpd.header{[':path'] = '/run'} say('x')`, { canPush: true });
  assert.deepEqual(exchange.promises, [
    { method: 'GET', scheme: 'https', authority: 'example.test', target: '/run', fields: [] },
  ]);
});

test('A promise of what has no handler, or of a POST, is dropped with a line in the log', async () => {
  const exchange = await runBody(
    `httpd.header{[':path'] = '/nowhere'} httpd.header{[':path'] = '/run', [':method'] = 'POST'} say('fine')`,
    { canPush: true },
  );
  assert.deepEqual([exchange.promises, exchange.text, exchange.informed], [[], 'fine\n', []]);
  assert.equal(exchange.log.filter((line) => line.startsWith('warn Push promise dropped')).length, 2);
});

test('Promises a client cannot take become one 103 with preload links before the head', async () => {
  const exchange = await runBody(
    `httpd.header{[':path'] = '/run?a'} httpd.header{[':path'] = '/run?b'} httpd.header{status = 200}`,
  );
  assert.deepEqual(exchange.informed, [
    { status: 103, fields: ['link', '</run?a>; rel=preload, </run?b>; rel=preload'] },
  ]);
  const old = await runBody(`httpd.header{[':path'] = '/run'} say('x')`, { protocol: 'HTTP/1.0' });
  assert.deepEqual(old.informed, []);
});

test('A promise with pseudo fields nobody can be promised raises an error', async () => {
  assert.match(await errorOf(`httpd.header{[':path'] = 'no-slash'}`), /header ":path" is "no-slash"/);
  assert.match(await errorOf(`httpd.header{[':path'] = '/a\\r\\nb'}`), /header ":path" is "\/a\\r\\nb"/);
  assert.match(
    await errorOf(`httpd.header{[':path'] = '/run', [':authority'] = 'a\\nb'}`),
    /header ":authority" is "a\\nb"/,
  );
  assert.match(
    await errorOf(`httpd.header{[':path'] = '/run', [':scheme'] = 'ftp'}`),
    /header ":scheme" is "ftp"/,
  );
});

// ---- write ----

test('httpd.write() returns the bytes it accepted, and takes numbers', async () => {
  const exchange = await runBody(
    `local a = httpd.write(nil, 'abc') local b = httpd.write(nil, 42) local c = httpd.write(nil, 1.5) say(a, b, c, math.type(a))`,
  );
  assert.equal(exchange.text, 'abc421.53 2 3 integer\n');
});

test('httpd.write() of nil and of nothing is silent, of "" is 0', async () => {
  const exchange = await runBody(
    `local n = select('#', httpd.write(nil, nil)) local m = select('#', httpd.write(nil)) say(n, m, httpd.write(nil, ''))`,
  );
  assert.equal(exchange.text, '0 0 0\n');
  assert(exchange.writes.every((bytes) => bytes.length > 0));
});

test('httpd.write() refuses other types and counts', async () => {
  assert.equal(
    await errorOf('httpd.write(nil, {})'),
    "script.lua:7: bad argument #2 to 'write' (string expected, got table)",
  );
  assert.equal(
    await errorOf('httpd.write(nil, true)'),
    "script.lua:7: bad argument #2 to 'write' (string expected, got boolean)",
  );
  assert.equal(
    await errorOf('httpd.write(nil, io.stdout)'),
    "script.lua:7: bad argument #2 to 'write' (string expected, got FILE*)",
  );
  assert.equal(
    await errorOf('httpd.write()'),
    "script.lua:7: wrong number of arguments to 'write' (1 or 2 expected, got 0)",
  );
  assert.equal(
    await errorOf("httpd.write(nil, 'a', 'b')"),
    "script.lua:7: wrong number of arguments to 'write' (1 or 2 expected, got 3)",
  );
  assert.equal(
    await errorOf("httpd.write('x')"),
    "script.lua:7: bad argument #1 to 'write' (a stream expected, or nil for the client, got string; httpd.write(nil, s) writes to the client)",
  );
  assert.equal(
    await errorOf("httpd.write('x', 'a')"),
    "script.lua:7: bad argument #1 to 'write' (a stream expected, or nil for the client, got string)",
  );
});

test('httpd.write() before header() is an implicit 200', async () => {
  const exchange = await runBody(`httpd.write(nil, 'body')`);
  assert.deepEqual([exchange.status, exchange.text], [200, 'body']);
});

test('httpd.write() sends every byte value, and waits for a slow client as often as it has to', async () => {
  const exchange = await runBody(
    `local t = {} for i = 0, 255 do t[i + 1] = string.char(i) end local s = table.concat(t):rep(20000)
    assert(httpd.write(nil, s) == #s) for i = 1, 50 do httpd.write(nil, 'x') end`,
    { roomBytes: 1 },
  );
  const all = Buffer.concat(exchange.writes);
  assert.equal(all.length, 256 * 20_000 + 50);
  for (let i = 0; i < 256 * 20_000; i += 997) assert.equal(all[i], i % 256);
});

test('httpd.write() goes on while the body is read, in any method', async () => {
  for (const method of ['POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'BREW']) {
    const exchange = await runBody(
      `httpd.write(nil, 'before ') local d = httpd.read(nil, 3) httpd.write(nil, d) httpd.write(nil, httpd.read(nil, 'a'))`,
      { method, body: 'abcdef' },
    );
    assert.equal(exchange.text, 'before abcdef', method);
  }
});

test('A full client below table.sort raises an error, files there work at once', async () => {
  const exchange = await runBody(
    `local message table.sort({2, 1}, function(a, b)
      local ok, m = pcall(httpd.write, nil, string.rep('x', 100)) message = m
      return a < b end)
    say(message)`,
    { roomBytes: 50 },
  );
  assert.match(exchange.text, /cannot wait for the client here: a yield cannot cross this call\n$/);
});

test('httpd.read() of a body below string.gsub raises an error', async () => {
  const harness = await ScriptHarness.run(`
    local _, m = pcall(string.gsub, 'x', '.', function() return httpd.read(nil, 1) end) say(m)
    _, m = pcall(load, function() return httpd.read(nil, 1) end) say(m) say(httpd.read(nil, 1))`);
  const exchange = harness.begin('/run', { body: 'open' });
  exchange.body.supply('y');
  await exchange.closed;
  await harness.close();
  assert.match(exchange.text, /cannot wait for input here: a yield cannot cross this call\n.*\ny\n|^y/s);
});

// ---- read ----

const READS: readonly (readonly [code: string, body: string, expected: string])[] = [
  [
    'say(httpd.read(nil, 4), httpd.read(nil, 4), httpd.read(nil, 4), httpd.read(nil, 4))',
    'abcdefghij',
    'abcd efgh ij nil\n',
  ],
  ['say(httpd.read(nil, 10), httpd.read(nil, 1), httpd.read(nil, 1))', 'abcdefghij', 'abcdefghij nil nil\n'],
  ["say(httpd.read(nil, '3'), httpd.read(nil, 2.0))", 'abcdefghij', 'abc de\n'],
  [
    "say(httpd.read(nil, 'a'), '[' .. httpd.read(nil, 'a') .. ']', httpd.read(nil, 1))",
    'abc',
    'abc [] nil\n',
  ],
  ["say(httpd.read(nil, '*a'))", 'abc', 'abc\n'],
  [
    "say(httpd.read(nil, 'l'), httpd.read(nil, 'l'), httpd.read(nil, 'l'), httpd.read(nil, 'l'))",
    'one\n\nlast',
    'one  last nil\n',
  ],
  ["httpd.write(nil, httpd.read(nil, 'L') .. httpd.read(nil, 'L'))", 'one\ntwo', 'one\ntwo'],
  ['say(httpd.read(nil), httpd.read(nil))', 'whole', 'whole nil\n'],
  ['say(httpd.read(nil, nil))', 'whole', 'whole\n'],
  ['say(httpd.read(nil, 0), httpd.read(nil, 1))', 'x', 'nil x\n'],
  ['say(#httpd.read(nil, 1 << 60))', 'x'.repeat(300_000), '300000\n'],
];

for (const [code, body, expected] of READS) {
  test(`httpd.read(): ${code.slice(0, 70)} of ${body.length} bytes`, async () => {
    assert.equal((await runBody(code, { body })).text, expected);
  });
}

test('httpd.read() waits for exactly what is asked, however the bytes arrive', async () => {
  const harness = await ScriptHarness.run(
    `say(httpd.read(nil, 5)) say(httpd.read(nil, 'l')) say(httpd.read(nil, 2)) say(httpd.read(nil, 'a')) say(httpd.read(nil, 1))`,
  );
  const exchange = harness.begin('/run', { body: 'open' });
  for (const piece of ['ab', 'c', 'defg', 'hi', '\nX', 'Y', 'rest', ' of it']) {
    assert(exchange.body.awaited);
    exchange.body.supply(piece);
  }
  exchange.body.finish();
  await exchange.closed;
  assert.equal(exchange.text, 'abcde\nfghi\nXY\nrest of it\nnil\n');
  await harness.close();
});

test('httpd.read() of a GET is nil at once and for ever', async () => {
  assert.equal(
    (
      await runBody(
        `say(httpd.read(nil, 10), httpd.read(nil), httpd.read(nil, 10)) say('[' .. httpd.read(nil, 'a') .. ']')`,
      )
    ).text,
    'nil nil nil\n[]\n',
  );
});

test('httpd.read() refuses what is no count and no format', async () => {
  assert.equal(
    await errorOf('httpd.read(nil, -1)'),
    "script.lua:7: bad argument #2 to 'read' (count must not be negative)",
  );
  assert.equal(
    await errorOf('httpd.read(nil, 1.5)'),
    "script.lua:7: bad argument #2 to 'read' (number has no integer representation)",
  );
  assert.equal(
    await errorOf("httpd.read(nil, 'x')"),
    "script.lua:7: bad argument #2 to 'read' (invalid format)",
  );
  assert.equal(
    await errorOf('httpd.read(nil, {})'),
    "script.lua:7: bad argument #2 to 'read' (string expected, got table)",
  );
  assert.equal(
    await errorOf('httpd.read({}, 1)'),
    "script.lua:7: bad argument #1 to 'read' (a stream expected, or nil for the client, got table)",
  );
  assert.equal(
    await errorOf('httpd.read()'),
    "script.lua:7: wrong number of arguments to 'read' (1 or 2 expected, got 0)",
  );
});

test('A line of a body that arrives byte by byte is found without looking at it all again', async () => {
  const harness = await ScriptHarness.run(`say(#httpd.read(nil, 'l'))`);
  const exchange = harness.begin('/run', { body: 'open' });
  const started = performance.now();
  const piece = Buffer.alloc(16 * 1024, 'x');
  for (let i = 0; i < 2000; i++) exchange.body.supply(piece);
  exchange.body.supply('\n');
  await exchange.closed;
  assert.equal(exchange.text, `${2000 * 16 * 1024}\n`);
  assert(performance.now() - started < 20_000);
  await harness.close();
});

test("The example of lhttpd's README and its upload loop work", async () => {
  const harness = await ScriptHarness.load(`
    httpd = require 'httpd'
    function upload(env, head)
      local len = tonumber(head['content-length'] or 0)
      local f = io.open('file.txt', 'w')
      while len > 0 do
        local data = httpd.read(nil, math.min(4, len))
        httpd.write(f, data)
        if not data then break end
        len = len - #data
      end
      f:close()
      httpd.header{[':status'] = '200', ['content-type'] = 'text/plain'}
      httpd.write(nil, 'saved')
    end
    httpd.register_handler('/upload', upload)`);
  for (const size of [0, 1, 3, 4, 5, 4095, 4096, 4097, 70_000]) {
    const body = Buffer.from(Array.from({ length: size }, (_, i) => (i * 7) % 256));
    const exchange = await harness.request('/upload', {
      method: 'POST',
      body,
      fields: ['content-length', String(size)],
    });
    assert.deepEqual([exchange.status, exchange.text], [200, 'saved']);
    assert(Buffer.from(harness.readFile('file.txt'), 'latin1').equals(body), `${size} bytes`);
  }
  await harness.expectNothingOpen();
  await harness.close();
});
