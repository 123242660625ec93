import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type HarnessOptions, ScriptHarness } from '../support/script-harness.ts';
import { deadPort, plainUpstream } from '../support/upstream.ts';

const SHORT = `function handle_request(method, path, body)
  if path == '/' then return 200, 'text/plain', 'Hello from luars!' end
  if path == '/echo' and method == 'POST' then return 200, 'application/octet-stream', body end
  if path == '/sleep' then sleep(0.5) return 200, 'text/plain', 'Slept for half a second' end
  if path == '/teapot' then return 418, nil, nil, { ['x-pot'] = 'tea', ['set-cookie'] = { 'a=1', 'b=2' } } end
  if path == '/nothing' then return end
  if path == '/error' then error('on purpose') end
  if path == '/loop' then while true do end end
  return 404, 'text/plain', 'Not Found'
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

test('R1: the global handle_request(method, path, body) answers every path', () =>
  withScript(SHORT, async (harness) => {
    assert.equal(harness.script.mode, 'luars');
    assert.equal((await harness.request('/')).text, 'Hello from luars!');
    const echo = await harness.request('/echo?x=1', { method: 'post', body: 'bytes \0\xff' });
    assert.equal(echo.text, 'bytes \0\xff');
    assert.equal((await harness.request('/a/b/c')).status, 404);
    await harness.expectNothingOpen();
  }));

test('R1: a returned function gets method, path, query, fields as JSON, and body', () =>
  withScript(
    `return function(method, path, query, headers, body)
      return 200, 'text/plain', table.concat({ method, path, query, headers, body }, '|')
    end`,
    async (harness) => {
      assert.equal(harness.script.mode, 'luars');
      const exchange = await harness.request('/a%20b?c=d&e', { fields: ['X-A', 'one', 'x-a', 'two "2"'] });
      assert.equal(exchange.text, 'GET|/a%20b|c=d&e|{"host":"example.test","x-a":"two \\"2\\""}|');
    },
  ));

test('R1: a global handle_request of five parameters gets the same as a returned function', () =>
  withScript(
    `function handle_request(method, path, query, headers, body) return 200, 'text/plain', query .. body end`,
    async (harness) => {
      assert.equal((await harness.request('/x?q', { body: 'b' })).text, 'qb');
    },
  ));

test('R2: any status, missing values and a table of fields are taken as they are', () =>
  withScript(SHORT, async (harness) => {
    const teapot = await harness.request('/teapot');
    assert.equal(teapot.status, 418);
    assert.equal(teapot.field('content-type'), 'text/plain');
    assert.equal(teapot.field('x-pot'), 'tea');
    assert.deepEqual(
      teapot.responseFields.filter((_, i, all) => all[i - 1] === 'set-cookie'),
      ['a=1', 'b=2'],
    );
    const nothing = await harness.request('/nothing');
    assert.deepEqual([nothing.status, nothing.field('content-type'), nothing.text], [200, 'text/plain', '']);
  }));

for (const [what, values] of Object.entries({
  'a string as status': `'abc'`,
  'a status out of range': `99`,
  'a status that is no integer': `200.5`,
  'a number as content type': `200, 5`,
  'a table as body': `200, 'text/plain', {}`,
  'a string as fields': `200, 'text/plain', '', 'x'`,
  'an illegal field': `200, 'text/plain', '', { ['a b'] = 'c' }`,
  'a line feed in the content type': `200, 'text/plain\\n'`,
  'a content type beyond the limit': `200, ('x'):rep(131073)`,
})) {
  test(`R2: ${what} is answered with 500 and logged with its cause`, () =>
    withScript(`function handle_request() return ${values} end`, async (harness) => {
      assert.equal((await harness.request('/')).status, 500);
      assert.match(harness.log.join('\n'), /error Lua error: .*(returned|Field|Value)/);
      await harness.expectNothingOpen();
    }));
}

test('R2: a content type that is too long is not cut: the error names its size and the limit', () =>
  withScript(`function handle_request() return 200, ('x'):rep(131073) end`, async (harness) => {
    assert.equal((await harness.request('/')).status, 500);
    assert.match(
      harness.log.join('\n'),
      /the handler returned a content type of 131073 bytes and the limit is 131072/,
    );
  }));

test('R3: files are read and written, the time is told, and lines go to the log', () =>
  withScript(
    `local early = read_file
    function handle_request(method, path, body)
      assert(write_file('made.txt', 'a\\0b'))
      local missing, message = read_file('missing.txt')
      local unwritten, reason = write_file('missing/folder.txt', 'x')
      log('written')
      local out = { early('made.txt') == 'a\\0b', missing, message, unwritten, reason, math.type(time()), env('HOME') }
      for i = 1, 7 do out[i] = tostring(out[i]) end
      return 200, 'text/plain', table.concat(out, '|')
    end`,
    async (harness) => {
      const { text } = await harness.request('/');
      assert.equal(
        text,
        'true|nil|read_file error: missing.txt: No such file or directory|nil|' +
          'write_file error: missing/folder.txt: No such file or directory|float|nil',
      );
      assert.match(harness.log.join('\n'), /info \[lua\] written/);
    },
  ));

test('R3: env shows the variables that are allowed', () => {
  process.env['LGATEWAY_TEST_SHOWN'] = 'shown';
  return withScript(
    `function handle_request() return 200, 'text/plain', tostring(env('LGATEWAY_TEST_SHOWN')) end`,
    async (harness) => assert.equal((await harness.request('/')).text, 'shown'),
    { rights: { variables: ['LGATEWAY_TEST_SHOWN'] } },
  );
});

/**
 * Returns Lua code that calls http_get with `url` and answers with the results, joined by `|`; a table becomes its field
 * x-kind.
 */
const ASKING = (url: string): string => `function handle_request()
  local out = table.pack(http_get('${url}'))
  for i = 1, out.n do out[i] = type(out[i]) == 'table' and out[i]['x-kind'] or tostring(out[i]) end
  return 200, 'text/plain', table.concat(out, '|')
end`;

test('R3: http_get gives body, status and fields, whatever the status and the bytes', async () => {
  const bytes = Buffer.from(Array.from({ length: 256 }, (_, i) => i)).toString('latin1');
  const upstream = await plainUpstream((request, response) => {
    const status = Number((request.url ?? '').slice(1));
    response.writeHead(status, { 'x-kind': 'real' }).end(Buffer.from(status === 204 ? '' : bytes, 'latin1'));
  });
  try {
    for (const status of [200, 204, 404, 500]) {
      await withScript(ASKING(`${upstream.url}/${status}`), async (harness) => {
        const { text } = await harness.request('/');
        assert.equal(text, `${status === 204 ? '' : bytes}|${status}|real`);
        await harness.expectNothingOpen();
      });
    }
  } finally {
    await upstream.close();
  }
});

test('R3: http_get gives nil and a message where nobody answers, and for what is no URL', async () => {
  const refusing = `http://127.0.0.1:${await deadPort()}/`;
  for (const [url, message] of Object.entries({
    [refusing]: 'connect ECONNREFUSED',
    'http://nowhere.invalid/': 'Cannot fetch',
    'not a url': 'not a url',
    'ftp://127.0.0.1/': 'ftp',
  })) {
    await withScript(ASKING(url), async (harness) => {
      const { text } = await harness.request('/');
      assert.match(text, /^nil\|http_get error: [^|]+$/);
      assert.ok(text.includes(message), text);
      await harness.expectNothingOpen();
    });
  }
});

test('R3: http_get without a URL, and while the script is loaded, is an error', async () => {
  await withScript(`function handle_request() return http_get() end`, async (harness) => {
    assert.equal((await harness.request('/')).status, 500);
    assert.match(harness.log.join('\n'), /bad argument #1 to 'fetch' \(string expected, got nil\)/);
  });
  await assert.rejects(
    ScriptHarness.load(`http_get('http://127.0.0.1:9/') function handle_request() end`),
    /called outside of a request/,
  );
});

test('R6: two hundred requests sleep at the same time in one state', () =>
  withScript(SHORT, async (harness) => {
    const begun = performance.now();
    const answers = await Promise.all(Array.from({ length: 200 }, () => harness.request('/sleep')));
    assert.ok(performance.now() - begun < 20_000);
    assert.ok(answers.every(({ text }) => text === 'Slept for half a second'));
    await harness.expectNothingOpen();
  }));

test('R7: an error is answered with 500, and the state goes on', () =>
  withScript(SHORT, async (harness) => {
    const exchange = await harness.request('/error');
    assert.equal(exchange.status, 500);
    assert.match(harness.log.join('\n'), /on purpose/);
    assert.equal((await harness.request('/')).status, 200);
  }));

test('A body over the limit is answered with 413', () =>
  withScript(SHORT, async (harness) => {
    const exchange = await harness.request('/echo', {
      method: 'POST',
      body: 'x'.repeat(16 * 1024 * 1024 + 1),
    });
    assert.equal(exchange.status, 413);
    const full = await harness.request('/echo', { method: 'POST', body: 'x'.repeat(16 * 1024 * 1024) });
    assert.equal(full.text.length, 16 * 1024 * 1024);
  }));

test('A script that registers handlers is none of luars, whatever it is called', () =>
  withScript(
    `require 'httpd'.register_handler('/run', function()
      require 'httpd'.write(nil, tostring(sleep) .. tostring(getmetatable(_G)) .. tostring(handle_request ~= nil))
    end)
    function handle_request() end`,
    async (harness) => {
      assert.equal(harness.script.mode, 'lhttpd');
      assert.equal((await harness.request('/run')).text, 'nilniltrue');
    },
  ));

test('--mode luars refuses a script without a function', async () => {
  await assert.rejects(
    ScriptHarness.load('x = 1', { mode: 'luars' }),
    /neither returns a function nor defines handle_request/,
  );
});

test('R8: the sandbox has the language, its pure libraries and the functions of luars', () =>
  withScript(
    `local names = {}
    for name in pairs(_G) do names[#names + 1] = name end
    table.sort(names)
    local clocks = {}
    for name in pairs(os) do clocks[#clocks + 1] = name end
    table.sort(clocks)
    function handle_request()
      return 200, 'text/plain', table.concat(names, ' ') .. '|' .. table.concat(clocks, ' ') .. '|' .. type(read_file)
    end`,
    async (harness) => {
      assert.equal(
        (await harness.request('/')).text,
        '_G _VERSION assert coroutine error getmetatable ipairs math next os pairs pcall print rawequal rawget rawlen ' +
          'rawset require select setmetatable string table tonumber tostring type utf8 warn xpcall|clock date time|function',
      );
    },
    { rights: { sandboxed: true } },
  ));

for (const [way, attempt] of Object.entries({
  'a removed name': 'return io or package or debug or load or loadfile or dofile or collectgarbage',
  'another module': `return select(2, pcall(require, 'io')):find('sandbox') == nil`,
  'the metatable of strings': `for k in pairs(getmetatable('').__index) do if not string[k] then return true end end`,
  'the fields of os': 'return os.execute or os.getenv or os.remove or os.exit',
  'the globals of a coroutine': 'return coroutine.wrap(function() return _ENV.io or _G.load end)()',
  'sendfile of httpd': `return require('httpd').sendfile`,
  'a dumped function': 'return load and load(string.dump(print))',
})) {
  test(`R8: there is no way out of the sandbox through ${way}`, () =>
    withScript(
      `function handle_request() return 200, 'text/plain', tostring((function() ${attempt} end)() or 'kept') end`,
      async (harness) => assert.equal((await harness.request('/')).text, 'kept'),
      { rights: { sandboxed: true } },
    ));
}
