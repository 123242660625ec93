import assert from 'node:assert/strict';
import type { ExchangeConnection, ExchangeSeries } from '../../src/http/exchange/exchange.ts';
import { calmTest as test } from '../support/calm.ts';
import { connectRaw } from '../support/raw-connection.ts';
import { eventually, type HarnessOptions, ScriptHarness, turn } from '../support/script-harness.ts';

/** Answers with the request as lines, and its body in brackets. */
const ECHO = `return function(read, write)
  for req in read do
    local out = { req.method .. ' ' .. req.path .. ' ' .. req.version .. ' ' .. tostring(req.keepAlive) }
    for i = 1, #req do out[#out + 1] = req[i][1] .. '=' .. req[i][2] end
    local parts = {}
    for part in read do
      if part == '' then break end
      parts[#parts + 1] = part
    end
    out[#out + 1] = '[' .. table.concat(parts) .. ']'
    local text = table.concat(out, '\\n')
    write({ code = 200, { 'Content-Length', #text }, { 'X-Lines', 'a\\r\\n\\r\\nb' } })
    write(text)
  end
  write()
end`;

async function withScript<T>(
  source: string,
  use: (harness: ScriptHarness) => Promise<T>,
  options: HarnessOptions = {},
): Promise<T> {
  const harness = await ScriptHarness.load(source, options);
  try {
    return await use(harness);
  } finally {
    await harness.close();
  }
}

/** Makes an app for one request; `req` and its body have been read. */
function app(body: string): string {
  return `return function(read, write)
    local req = read()
    for part in read do if part == '' then break end end
    ${body}
  end`;
}

test('V1: an app reads a request table, the body in pieces, "" and, on a stream, nil', () =>
  withScript(ECHO, async (harness) => {
    assert.equal(harness.script.mode, 'luvit');
    const exchange = await harness.request('/a%20b?c', {
      method: 'PUT',
      body: 'bytes \0\xff',
      fields: ['x-a', 'one', 'x-a', ''],
    });
    assert.equal(exchange.status, 200);
    assert.equal(exchange.text, 'PUT /a%20b?c 2.0 true\nhost=example.test\nx-a=one\nx-a=\n[bytes \0\xff]');
    await harness.expectNothingOpen();
  }));

test('V1: the request has url as well as path, and the remote address', () =>
  withScript(
    app(`write({ code = 200 }) write(req.url .. '|' .. req.remoteAddress .. '|' .. req.remotePort) write()`),
    async (harness) => {
      assert.equal((await harness.request('/x?y')).text, '/x?y|192.0.2.7|50123');
    },
  ));

test('V1: a request table is the app’s own: what it changes in one is not in the next', () =>
  withScript(
    app(`local text = tostring(req.mark) .. #req req.mark, req[2] = 1, { 'a', 'b' }
      write({ code = 200 }) write(text) write()`),
    async (harness) => {
      for (let i = 0; i < 3; i++) assert.equal((await harness.request('/')).text, 'nil1');
    },
  ));

test('V1: a request table cannot be told from an ordinary one, however it is looked at first', () =>
  withScript(
    `local json = require('httpd').json
    local function sorted(made)
      local names = {}
      for key in made do names[#names + 1] = tostring(key) end
      table.sort(names)
      return table.concat(names, ' ')
    end
    local looks = {
      next = function(req) return sorted(coroutine.wrap(function()
        local key = next(req)
        while key ~= nil do coroutine.yield(key) key = next(req, key) end
      end)) end,
      pairs = function(req) return sorted(coroutine.wrap(function() for key in pairs(req) do coroutine.yield(key) end end)) end,
      ipairs = function(req) local n = 0 for _, pair in ipairs(req) do n = n + #pair end return n end,
      length = function(req) return #req end,
      rawlen = function(req) return rawlen(req) end,
      rawget = function(req) return rawget(req, 'method') end,
      rawset = function(req) return rawset(req, 'method', 'X').path end,
      unpack = function(req) return (select('#', table.unpack(req))) end,
      metatable = function(req) return tostring(getmetatable(req)) end,
      own = function(req) return setmetatable(req, { __index = { extra = 'mine' } }).extra .. req.method end,
      debug = function(req) return tostring(debug.getmetatable(req)) end,
      field = function(req) return req[1][1] .. req[2][2] end,
      absent = function(req) return tostring(req.absent) .. tostring(req[99]) .. tostring(req[1.5]) end,
      set = function(req) req.absent = 1 req.method = nil return req.absent .. tostring(req.method) .. req.url end,
      insert = function(req) table.insert(req, { 'x-b', 'two' }) return req[3][1] .. #req end,
      json = function(req) return json.encode(req) ~= nil end,
    }
    return function(req)
      local ok, seen = pcall(looks[req.path:sub(2)], req)
      return { code = 200 }, tostring(seen)
    end`,
    async (harness) => {
      const keys = '1 2 keepAlive method path remoteAddress remotePort url version';
      const expected = {
        next: keys,
        pairs: keys,
        ipairs: '4',
        length: '2',
        rawlen: '2',
        rawget: 'GET',
        rawset: '/rawset',
        unpack: '2',
        metatable: 'nil',
        own: 'mineGET',
        debug: 'nil',
        field: 'hostone',
        absent: 'nilnilnil',
        set: '1nil/set',
        insert: 'x-b3',
      };
      for (const [name, seen] of Object.entries(expected)) {
        // the first request with this head and the second one
        for (let i = 0; i < 2; i++)
          assert.equal((await harness.request(`/${name}`, { fields: ['x-a', 'one'] })).text, seen, name);
      }
      // a table with both list items and names is neither a JSON array nor an object, in either order
      assert.match((await harness.request('/json')).text, /as key beside a list of 1 values/);
    },
  ));

test('V1: a body that comes slowly is read as it comes', () =>
  withScript(ECHO, async (harness) => {
    const exchange = harness.begin('/', { body: 'open' });
    exchange.body.supply('one,');
    await turn();
    exchange.body.supply('two');
    await turn();
    exchange.body.finish();
    await exchange.closed;
    assert.match(exchange.text, /\[one,two\]$/);
    await harness.expectNothingOpen();
  }));

test('V2: CR and LF in a value become one space, and values need not be strings', () =>
  withScript(ECHO, async (harness) => {
    const exchange = await harness.request('/');
    assert.equal(exchange.field('x-lines'), 'a b');
    assert.equal(exchange.field('content-length'), String(exchange.text.length));
  }));

test('V2: "" ends a chunked body, at once', () =>
  withScript(
    app(`write({ code = 201, { 'Transfer-Encoding', 'chunked' } }) write('a') write('b') write('')
      require 'httpd'.sleep(60)`),
    async (harness) => {
      const exchange = await harness.request('/');
      assert.deepEqual([exchange.status, exchange.text], [201, 'ab']);
    },
  ));

test('V2: the last byte of the Content-Length ends the response, at once', () =>
  withScript(
    app(`write({ code = 200, { 'Content-Length', 2 } }) write('a') write('') write('b')
      require 'httpd'.sleep(60)`),
    async (harness) => {
      assert.equal((await harness.request('/')).text, 'ab');
    },
  ));

test('V2: numbers that are whole are sent as such, and heads that change are told apart', () =>
  withScript(
    `local counter = 0
    local moody = setmetatable({}, { __tostring = function() counter = counter + 1 return 'call ' .. counter end })
    return function(req)
      local n = tonumber(req.path:sub(2))
      local value = n == 3 and moody or n == 4 and 2.5 or n == 5 and true or n
      return { code = n == 6 and '201' or 200.0, { 'X-N', value }, { 'X-Float', 10 / 2 }, { 0, n } }, ''
    end`,
    async (harness) => {
      const answers: (string | undefined)[] = [];
      for (const path of ['/1', '/2', '/1', '/3', '/3', '/4', '/5', '/6', '/1.0'])
        answers.push(
          await harness
            .request(path)
            .then((exchange) => `${exchange.status} ${exchange.responseFields.join(' ')}`),
        );
      assert.deepEqual(answers, [
        '200 X-N 1 X-Float 5 0 1',
        '200 X-N 2 X-Float 5 0 2',
        '200 X-N 1 X-Float 5 0 1',
        '200 X-N call 1 X-Float 5 0 3',
        '200 X-N call 2 X-Float 5 0 3',
        '200 X-N 2.5 X-Float 5 0 4',
        '200 X-N true X-Float 5 0 5',
        '201 X-N 6 X-Float 5 0 6',
        '200 X-N 1 X-Float 5 0 1',
      ]);
    },
  ));

test('V2: an informational head comes before the final one', () =>
  withScript(
    app(`write({ code = 103, { 'Link', '</a>' } }) write({ code = 204 }) write()`),
    async (harness) => {
      const exchange = await harness.request('/');
      assert.deepEqual(exchange.informed, [{ status: 103, fields: ['Link', '</a>'] }]);
      assert.equal(exchange.status, 204);
    },
  ));

test('V2: the same head again and again is the same list of fields', () =>
  withScript(ECHO, async (harness) => {
    const first = await harness.request('/');
    const second = await harness.request('/');
    assert.equal(first.responseFields, second.responseFields);
    for (let i = 0; i < 600; i++) await harness.request(`/${'x'.repeat(i)}`);
    assert.equal((await harness.request('/')).text, first.text);
  }));

for (const [what, body, message] of [
  ['a head without a code', `write({ { 'A', 'b' } })`, /the head has no code/],
  ['a code that is none', `write({ code = 'yes' })`, /has "yes" as code/],
  ['a code out of range', `write({ code = 99 })`, /has "99" as code/],
  ['code 101', `write({ code = 101 })`, /has "101" as code/],
  ['a field that is no pair', `write({ code = 200, 'x' })`, /field 1 of the head is a string/],
  ['a field name that is none', `write({ code = 200, { 'a b', 'c' } })`, /Field name "a b" is not a token/],
  ['a length that is none', `write({ code = 200, { 'Content-Length', 'x' } })`, /is not a length/],
  ['a body without a head', `write('x')`, /write needs a head first/],
  ['a value of no use', `write(true)`, /write was given a boolean/],
  ['an error', `error('on purpose')`, /on purpose/],
  ['no answer', `write()`, /App closed without an answer/],
  ['nothing at all', ``, /App returned without an answer/],
] as const) {
  test(`V2: ${what} is answered with 500 and logged`, () =>
    withScript(app(body), async (harness) => {
      assert.equal((await harness.request('/')).status, 500);
      assert.match(harness.log.join('\n'), /error Lua error: /);
      assert.match(harness.log.join('\n'), message);
      await harness.expectNothingOpen();
    }));
}

test('V2: an error behind the head breaks the response off', () =>
  withScript(
    app(`write({ code = 200 }) write('a') require 'httpd'.sleep(0) error('late')`),
    async (harness) => {
      assert.equal((await harness.request('/')).broken, true);
      assert.match(harness.log.join('\n'), /late/);
    },
  ));

test('V2: writes after the end are dropped, told to the app and logged', () =>
  withScript(
    app(`write({ code = 200, { 'Content-Length', '1' } }) write('a')
      local ok, message, code = write('b')
      print(tostring(ok) .. '|' .. message .. '|' .. code)
      ok, message, code = write({ code = 200 })
      print(tostring(ok) .. '|' .. message .. '|' .. code)
      write()`),
    async (harness) => {
      assert.equal((await harness.request('/')).text, 'a');
      const log = harness.log.join('\n');
      assert.match(log, /info nil\|App wrote after the end of its response\|closed/);
      assert.match(log, /info nil\|App wrote a head without a request\|closed/);
      assert.match(log, /error Lua error: App wrote after the end/);
    },
  ));

test('V1: read gives nil again after nil', () =>
  withScript(
    app(`local n = 0 for i = 1, 3 do if read() == nil then n = n + 1 end end
      write({ code = 200 }) write(tostring(n)) write()`),
    async (harness) => assert.equal((await harness.request('/')).text, '3'),
  ));

test('V1: an app that returns without write() has its response ended, and is told of once', () =>
  withScript(app(`write({ code = 200 }) write('a')`), async (harness) => {
    for (let i = 0; i < 2; i++) assert.equal((await harness.request('/')).text, 'a');
    assert.equal(harness.log.filter((line) => line.includes('App returned without write()')).length, 1);
    await harness.expectNothingOpen();
  }));

test('V1: a client that goes gives nil to read, and ends an app that goes on writing', () =>
  withScript(
    `return function(read, write)
      local req = read()
      if req.path == '/read' then
        read()
        print('read ' .. tostring(read()))
        return
      end
      write({ code = 200 })
      while true do write(('x'):rep(1000)) end
    end`,
    async (harness) => {
      const reader = harness.begin('/read', { body: 'open' });
      reader.body.supply('a');
      await turn();
      reader.abort();
      const writer = harness.begin('/write', { roomBytes: 100, drains: false });
      await turn();
      writer.abort();
      await harness.expectNothingOpen();
      assert.match(harness.log.join('\n'), /info read nil/);
    },
  ));

test('V1: the time limit ends an app that is silent while a request is open', () =>
  withScript(
    app(`require 'httpd'.sleep(60)`),
    async (harness) => {
      assert.equal((await harness.request('/')).status, 500);
      assert.match(harness.log.join('\n'), /Time limit reached: the app has moved no bytes/);
      await harness.expectNothingOpen();
    },
    { limits: { timeLimitMs: 100 } },
  ));

test('V1: the CPU limit ends an app that computes for ever', () =>
  withScript(
    app(`while true do end`),
    async (harness) => {
      assert.equal((await harness.request('/')).status, 500);
      assert.match(harness.log.join('\n'), /limit=cpu/);
      await harness.expectNothingOpen();
    },
    { limits: { cpuLimitMs: 100 } },
  ));

test('V1: tasks of an app may write for it, and the response ends with the last of them', () =>
  withScript(
    app(`local httpd = require 'httpd'
      write({ code = 200 })
      httpd.spawn(function() httpd.sleep(0.01) write('late') end)`),
    async (harness) => assert.equal((await harness.request('/')).text, 'late'),
  ));

test('V1: the functions of httpd that belong to handlers are refused in an app', () =>
  withScript(app(`require 'httpd'.write(nil, 'x')`), async (harness) => {
    assert.equal((await harness.request('/')).status, 500);
    assert.match(harness.log.join('\n'), /called in an app, which has its own read and write/);
  }));

test('V2: function(req) returns head and body', () =>
  withScript(
    `return function(req)
      if req.path == '/error' then error('on purpose') end
      if req.path == '/none' then return end
      if req.path == '/codeless' then return {} end
      if req.path == '/body' then return { code = 200 }, {} end
      if req.path == '/echo' then return { code = 200 }, require 'httpd'.read(nil, 'a') end
      local body = req.method .. ' ' .. req.path .. '\\n'
      return { code = 200, { 'Server', 'Luvit' }, { 'Content-Length', #body } }, body
    end`,
    async (harness) => {
      assert.equal(harness.script.mode, 'luvit');
      const hello = await harness.request('/x');
      assert.deepEqual(
        [hello.status, hello.text, hello.field('server'), hello.field('content-length')],
        [200, 'GET /x\n', 'Luvit', '7'],
      );
      assert.equal((await harness.request('/echo', { body: 'abc' })).text, 'abc');
      for (const path of ['/error', '/none', '/codeless', '/body'])
        assert.equal((await harness.request(path)).status, 500, path);
      await harness.expectNothingOpen();
    },
  ));

test('A script in mode luvit has to return a function', async () => {
  await assert.rejects(ScriptHarness.load('return 1', { mode: 'luvit' }), /returns no app/);
});

// ---- connections ----

test('V3: one call of an app answers all requests of a connection, pipelined or not', () =>
  withScript(
    `local calls = 0
    return function(read, write)
      calls = calls + 1
      local call, n = calls, 0
      for req in read do
        if type(req) == 'table' then
          n = n + 1
          local text = call .. '.' .. n .. ' ' .. req.method .. ' ' .. req.path .. ' ' .. req.version
          write({ code = 200, { 'Content-Length', #text } })
          write(text)
        end
      end
      print('closed ' .. n)
      write()
    end`,
    async (harness) => {
      const port = await harness.listen();
      const client = await connectRaw(port);
      const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`;
      assert.equal((await client.ask(get('/1'))).text, '1.1 GET /1 1.1');
      assert.equal((await client.ask(get('/2'))).text, '1.2 GET /2 1.1');
      const many = Array.from({ length: 50 }, (_, i) => get(`/p${i}`)).join('');
      client.send(many);
      for (let i = 0; i < 50; i++) assert.equal((await client.next()).text, `1.${i + 3} GET /p${i} 1.1`);
      const other = await connectRaw(port);
      assert.equal((await other.ask(get('/x'))).text, '2.1 GET /x 1.1');
      client.close();
      other.close();
      await harness.expectNothingOpen();
      await eventually(() => assert.match(harness.log.join('\n'), /info closed 52/));
    },
  ));

test('V3: bodies of pipelined requests are read one after another, keepAlive is told, and close is heeded', () =>
  withScript(ECHO, async (harness) => {
    const client = await connectRaw(await harness.listen());
    client.send(
      'POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc' +
        'POST /2 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nde\r\n1\r\nf\r\n0\r\n\r\n' +
        'GET /3 HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n' +
        'GET /4 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n',
    );
    assert.match((await client.next()).text, /^POST \/1 1\.1 true\n.*\[abc\]$/s);
    assert.match((await client.next()).text, /^POST \/2 1\.1 true\n.*\[def\]$/s);
    assert.match((await client.next()).text, /^GET \/3 1\.0 true\n.*\[\]$/s);
    assert.match((await client.next()).text, /^GET \/4 1\.1 false\n.*\[\]$/s);
    await client.closed;
    await harness.expectNothingOpen();
  }));

test('V2: the next read ends a response without length, a new head a chunked one', () =>
  withScript(
    `return function(read, write)
      for req in read do
        if req ~= '' then
          write({ code = 200, req.path == '/chunked' and { 'Transfer-Encoding', 'chunked' } or nil })
          write('one,')
          require 'httpd'.sleep(0)
          write('two')
        end
      end
    end`,
    async (harness) => {
      const client = await connectRaw(await harness.listen());
      for (const path of ['/', '/chunked', '/'])
        assert.equal((await client.ask(`GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`)).text, 'one,two');
      client.close();
      await harness.expectNothingOpen();
    },
  ));

test('V2: write() closes the connection behind the response', () =>
  withScript(
    `return function(read, write)
      read()
      write({ code = 200 })
      write('bye')
      write()
    end`,
    async (harness) => {
      const client = await connectRaw(await harness.listen());
      client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n');
      const answer = await client.next();
      assert.equal(answer.text, 'bye');
      assert.match(answer.head, /connection: close/i);
      await client.closed;
      await harness.expectNothingOpen();
    },
  ));

test('V2: a request that is passed over gets 500, and the next one its answer', () =>
  withScript(
    `return function(read, write)
      for req in read do
        if req ~= '' and req.path == '/good' then write({ code = 200 }) write('good') end
      end
      write()
    end`,
    async (harness) => {
      const client = await connectRaw(await harness.listen());
      client.send('GET /bad HTTP/1.1\r\nHost: a\r\n\r\nGET /good HTTP/1.1\r\nHost: a\r\n\r\n');
      assert.match((await client.next()).head, /^HTTP\/1.1 500 /);
      assert.equal((await client.next()).text, 'good');
      assert.match(harness.log.join('\n'), /App read on without an answer/);
      client.close();
      await harness.expectNothingOpen();
    },
  ));

test('V2: after an error the connection goes on with a new call', () =>
  withScript(
    `local calls = 0
    return function(read, write)
      calls = calls + 1
      local call = calls
      for req in read do
        if req ~= '' then
          if req.path == '/error' then error('on purpose') end
          local text = 'call ' .. call
          write({ code = 200, { 'Content-Length', #text } })
          write(text)
        end
      end
      write()
    end`,
    async (harness) => {
      const client = await connectRaw(await harness.listen());
      const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`;
      assert.match((await client.ask(get('/error'))).head, /^HTTP\/1.1 500 /);
      assert.equal((await client.ask(get('/'))).text, 'call 2');
      client.close();
      await harness.expectNothingOpen();
    },
  ));

test('V1: CPU time is limited for each request, not for the connection', () =>
  withScript(
    `return function(read, write)
      for req in read do
        if req ~= '' then
          local till = os.clock() + 0.12
          while os.clock() < till do end
          write({ code = 200, { 'Content-Length', '2' } })
          write('ok')
        end
      end
      write()
    end`,
    async (harness) => {
      const client = await connectRaw(await harness.listen());
      for (let i = 0; i < 6; i++)
        assert.equal((await client.ask('GET / HTTP/1.1\r\nHost: a\r\n\r\n')).text, 'ok');
      client.close();
      await harness.expectNothingOpen();
    },
    { limits: { cpuLimitMs: 400, timeLimitMs: 5000 } },
  ));

test('V1: an idle connection is nobody’s time limit, and a state that is retired gives it up', () =>
  withScript(
    ECHO,
    async (harness) => {
      const client = await connectRaw(await harness.listen());
      await client.ask('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
      // started after the timer of the limit itself, and due later
      await new Promise((resolve) => {
        setTimeout(resolve, 300);
      });
      await client.ask('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
      assert.doesNotMatch(harness.log.join('\n'), /Time limit/);
      await harness.script.retire(0);
      await harness.expectNothingOpen();
      await client.ask('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
      client.close();
    },
    { limits: { timeLimitMs: 100 } },
  ));

test('V1: a state that is closed leaves nothing at a connection that goes on', () =>
  withScript(ECHO, async (harness) => {
    const listeners = new Set<() => void>();
    const series: ExchangeSeries = {
      ended: false,
      whenEnded: (ended) => listeners.add(ended),
      cancelEnded: (ended) => listeners.delete(ended),
      finish: () => undefined,
      endWithClient: () => undefined,
    };
    const exchange = harness.begin('/', { connection: { series } satisfies Partial<ExchangeConnection> });
    await exchange.closed;
    assert.equal(listeners.size, 1);
    assert.equal(exchange.status, 200);
    harness.script.close();
    assert.equal(listeners.size, 0);
  }));
