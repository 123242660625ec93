import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { FakeRequest } from '../support/fake-exchange.ts';
import { ScriptHarness } from '../support/script-harness.ts';
import { askSession, PROTOCOLS, TestGateway } from '../support/test-gateway.ts';

const LIST = `local names = {}
  for k, v in pairs(TABLE) do names[#names + 1] = k .. '=' .. tostring(v) .. ':' .. (math.type(v) or type(v)) end
  table.sort(names) for _, n in ipairs(names) do say(n) end`;

async function list(table: 'env' | 'header', target: string, request: FakeRequest = {}): Promise<string[]> {
  const harness = await ScriptHarness.load(
    `local httpd = require 'httpd'
    local function say(s) httpd.write(nil, s .. '\\n') end
    httpd.register_handler('/run', function(env, header) ${LIST.replace('TABLE', table)} end)`,
    { prefix: '/app' },
  );
  const lines = (await harness.request(target, request)).text.trimEnd().split('\n');
  await harness.close();
  return lines;
}

test('env holds strings and integers only, as lhttpd has them', async () => {
  const lines = await list('env', '/app/run?a=%20b&c');
  const id = lines.findIndex((line) => line.startsWith('REQUEST_ID='));
  assert.match(lines[id] ?? '', /^REQUEST_ID=[0-9a-z-]+:string$/);
  const date = lines.findIndex((line) => line.startsWith('DATE_UTC='));
  assert.match(
    lines[date] ?? '',
    /^DATE_UTC=[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT:string$/,
  );
  assert.deepEqual(
    lines.filter((_, i) => i !== id && i !== date),
    [
      'CLIENT_ADDR=192.0.2.7:string',
      'CLIENT_PORT=50123:integer',
      'HANDLER_NAME=/run:string',
      'PATH_INFO=/app/run:string',
      'QUERY_INFO=a=%20b&c:string',
      'REQUEST_METHOD=GET:string',
      'SCHEME=https:string',
      'SCRIPT_FILENAME=script.lua:string',
      'SCRIPT_PREFIX=/app:string',
      'SERVER_ADDR=192.0.2.1:string',
      'SERVER_PORT=8443:integer',
      'SERVER_PROTOCOL=HTTP/2:string',
      'SERVER_SOFTWARE=lgateway:string',
      'TLS_CIPHER=TLS_AES_256_GCM_SHA384:string',
      'TLS_PROTOCOL=TLSv1.3:string',
      'TLS_SNI=example.test:string',
      'WORKER_ID=1:integer',
    ],
  );
});

test('env has QUERY_INFO only with a question mark and PUSH_PROMISE only where push is possible', async () => {
  assert(!(await list('env', '/app/run')).some((line) => /QUERY_INFO|PUSH_PROMISE/.test(line)));
  assert((await list('env', '/app/run?')).includes('QUERY_INFO=:string'));
  assert((await list('env', '/app/run', { canPush: true })).includes('PUSH_PROMISE=1:integer'));
});

test('header on HTTP/2 has the pseudo fields and the names as received', async () => {
  assert.deepEqual(
    await list('header', '/app/run?x=%41', { fields: ['accept', '*/*', 'x-a', '1', 'x-a', '2'] }),
    [
      ':authority=example.test:string',
      ':method=GET:string',
      ':path=/app/run?x=%41:string',
      ':scheme=https:string',
      'accept=*/*:string',
      'x-a=1, 2:string',
    ],
  );
});

test("header on HTTP/1.1 has method, the decoded path with its query, and the client's case", async () => {
  assert.deepEqual(
    await list('header', '/app/r%75n?x=%41', {
      protocol: 'HTTP/1.1',
      method: 'PUT',
      fields: ['Host', 'example.test', 'X-One', 'a', 'x-ONE', 'b', 'Cookie', 'c=1', 'cookie', 'd=2'],
    }),
    [
      'Cookie=c=1; d=2:string',
      'Host=example.test:string',
      'X-One=a, b:string',
      'method=PUT:string',
      'path=/app/run?x=%41:string',
    ],
  );
});

test('header on HTTP/2 joins cookie crumbs with a semicolon', async () => {
  assert(
    (await list('header', '/app/run', { fields: ['cookie', 'a=1', 'cookie', 'b=2'] })).includes(
      'cookie=a=1; b=2:string',
    ),
  );
});

const LOOKUPS: readonly (readonly [key: string, http1: string, http2: string])[] = [
  ['method', 'PATCH', 'PATCH'],
  [':method', 'PATCH', 'PATCH'],
  ['METHOD', 'PATCH', 'PATCH'],
  ['path', '/run?q', '/run?q'],
  [':path', '/run?q', '/run?q'],
  ['host', 'example.test', 'example.test'],
  ['Host', 'example.test', 'example.test'],
  [':authority', 'example.test', 'example.test'],
  ['scheme', 'https', 'https'],
  [':scheme', 'https', 'https'],
  ['Content-Type', 'text/x', 'text/x'],
  ['content-type', 'text/x', 'text/x'],
  ['CONTENT-TYPE', 'text/x', 'text/x'],
  ['absent', 'nil', 'nil'],
];

for (const protocol of ['HTTP/1.1', 'HTTP/2'] as const) {
  test(`header finds names in any case and under both names on ${protocol}`, async () => {
    const keys = LOOKUPS.map(([key]) => `header[${JSON.stringify(key)}]`).join(', ');
    const harness = await ScriptHarness.run(`say(${keys}, header[1], header[true], rawget(header, 'nope'))`);
    const fields =
      protocol === 'HTTP/2' ? ['content-type', 'text/x'] : ['Host', 'example.test', 'Content-Type', 'text/x'];
    const { text } = await harness.request('/run?q', { protocol, method: 'PATCH', fields });
    assert.deepEqual(text.trimEnd().split(' '), [
      ...LOOKUPS.map((row) => row[protocol === 'HTTP/2' ? 2 : 1]),
      'nil',
      'nil',
      'nil',
    ]);
    await harness.close();
  });

  test(`A client cannot pass fields off as parts of the request on ${protocol}`, async () => {
    const harness = await ScriptHarness.run(
      `say(header.method, header.path, header.scheme, header[':method'], header[':path'], header[':scheme'], header.Method, header.PATH)`,
    );
    const names =
      protocol === 'HTTP/2'
        ? ['method', 'path', 'scheme']
        : ['method', 'Method', 'path', 'PATH', 'Scheme', 'scheme'];
    const { text } = await harness.request('/run', {
      protocol,
      fields: names.flatMap((name) => [name, 'spoofed']),
    });
    assert.equal(text, 'GET /run https GET /run https GET /run\n');
    await harness.close();
  });
}

test('env and header are ordinary tables to the script: they can be changed, copied and kept', async () => {
  const harness = await ScriptHarness.run(`
    env.MINE = 'mine' header['x-mine'] = 'mine'
    rawset(env, 'RAW', 1)
    local n = 0 for _ in pairs(env) do n = n + 1 end
    say(env.MINE, header['X-Mine'], env.RAW, n > 10, next({}) == nil, #env)
    kept = kept or env
    say(kept.REQUEST_METHOD, kept == env)`);
  assert.equal(await harness.output(), 'mine mine 1 true true 0\nGET true\n');
  assert.equal(await harness.output(), 'mine mine 1 true true 0\nGET false\n');
  await harness.close();
});

test('Tables kept in globals still show their own request after 1,024 others', async () => {
  const harness = await ScriptHarness.load(`
    local httpd = require 'httpd'
    kept = {}
    httpd.register_handler('/keep', function(env, header) kept[#kept + 1] = {env, header} httpd.write(nil, 'kept') end)
    httpd.register_handler('/other', function(env, header) httpd.write(nil, 'x') end)
    httpd.register_handler('/touch', function(env, header) httpd.write(nil, env.REQUEST_METHOD .. (header['x-n'] or '')) end)
    httpd.register_handler('/show', function()
      for i, pair in ipairs(kept) do httpd.write(nil, pair[1].QUERY_INFO .. pair[2]['x-n'] .. pair[2].path .. ' ') end
    end)`);
  for (let i = 0; i < 5; i++) {
    await harness.request(`/keep?q${i}`, { fields: ['x-n', `n${i}`] });
    for (let j = 0; j < 700; j++)
      await harness.request(j % 7 === 0 ? '/touch' : '/other', { fields: ['x-n', 'wrong'] });
  }
  const { text } = await harness.request('/show', { fields: ['x-n', 'wrong'] });
  assert.equal(text, [0, 1, 2, 3, 4].map((i) => `q${i}n${i}/keep?q${i} `).join(''));
  await harness.expectNothingOpen();
  await harness.close();
});

test('Requests under way at once never see values of each other', async () => {
  const harness = await ScriptHarness.run(
    `local late = env.QUERY_INFO == 'late' httpd.read(nil, 1) say(env.QUERY_INFO, header['x-n'], header.path)`,
  );
  const exchanges = Array.from({ length: 300 }, (_, i) =>
    harness.begin(`/run?q${i}`, { body: 'open', fields: ['x-n', `n${i}`] }),
  );
  for (const exchange of [...exchanges].reverse()) exchange.body.finish();
  await Promise.all(exchanges.map((exchange) => exchange.closed));
  exchanges.forEach((exchange, i) => {
    assert.equal(exchange.text, `q${i} n${i} /run?q${i}\n`);
  });
  await harness.close();
});

test('The metatable of header survives being called by hand', async () => {
  const harness = await ScriptHarness.run(`
    local index = getmetatable(header).__index
    say(pcall(index, 5, 'x')) say(pcall(index)) say(index({['A-B'] = 'found'}, 'a-b'))`);
  assert.match(
    await harness.output(),
    /^false bad argument #1 .*table expected, got number\)\nfalse bad argument.*\nfound\n$/,
  );
  await harness.close();
});

for (const protocol of ['HTTP/1.0', 'HTTP/1.1', 'HTTP/2'] as const) {
  test(`One entry looked up alone is the one of the filled table on ${protocol}`, async () => {
    const harness = await ScriptHarness.run(
      `local name = httpd.read(nil, 'a')
      local alone = {env[name], header[name], n = 2}
      next(env) next(header)
      for i, filled in ipairs{env[name] or false, header[name] or false} do
        if (alone[i] or false) ~= filled then say(i, name, alone[i], filled) end
      end
      say('compared')`,
    );
    const fields = [
      'host',
      'Host-Field',
      'X-A',
      '1',
      'x-a',
      '2',
      'cookie',
      'a',
      'Cookie',
      'b',
      'Method',
      'spoofed',
      'Scheme',
      'x',
    ];
    const own =
      protocol === 'HTTP/2' ? fields.map((text, i) => (i % 2 === 0 ? text.toLowerCase() : text)) : fields;
    const names = [
      ...'SERVER_SOFTWARE SERVER_PROTOCOL SCRIPT_FILENAME SCRIPT_PREFIX HANDLER_NAME SERVER_PORT SERVER_ADDR CLIENT_ADDR'.split(
        ' ',
      ),
      ...'CLIENT_PORT QUERY_INFO PUSH_PROMISE REQUEST_ID REQUEST_METHOD PATH_INFO SCHEME WORKER_ID TLS_PROTOCOL TLS_CIPHER'.split(
        ' ',
      ),
      ...'TLS_SNI nothing method :method METHOD path :path Path scheme :scheme Scheme host Host :authority'.split(
        ' ',
      ),
      ...'x-a X-A X-a cookie COOKIE absent :nothing toString __proto__'.split(' '),
    ];
    for (const name of names) {
      for (const withHost of [true, false]) {
        const given = withHost ? own : own.slice(2);
        const { text } = await harness.request('/run?q=1', {
          method: 'PUT',
          protocol,
          body: name,
          fields: given,
        });
        assert.equal(text, 'compared\n', `${name} ${withHost}`);
      }
    }
    await harness.close();
  });
}

test('Entries of a request that comes again are found again: present, absent, in other cases, and more than are remembered', async () => {
  const gateway = await TestGateway.start({
    '/': `local httpd = require 'httpd'
      httpd.register_handler('/run', function(env, header)
        local seen = {header['x-own'], header['X-OWN'], tostring(header['x-none']), header.host == header[':authority'] and 'host' or 'no host',
          header.method, header.scheme or 'no scheme', env.PATH_INFO, tostring(env.QUERY_INFO), tostring(env.NOTHING), tostring(header[1]),
          tostring(env[httpd.json.null]), tostring(header[('x'):rep(100)])}
        for i = 1, 100 do
          seen[#seen + 1] = header['x-' .. i] or '-'
          seen[#seen + 1] = env['NAME_' .. i] or '-'
        end
        local id = env.REQUEST_ID
        assert(id == httpd.request().id and env.REQUEST_ID == id)
        header['x-own'] = 'changed' header['x-none'] = 'made' env.NOTHING = 'made'
        assert(header['x-own'] == 'changed' and header['X-None'] == 'made' and env.NOTHING == 'made' and env.REQUEST_ID == id)
        httpd.write(nil, id .. ' ' .. table.concat(seen, ','))
      end)`,
  });
  const dashes = (present: number): string =>
    Array.from({ length: 100 }, (_, i) => (i + 1 === present ? 'here,-' : '-,-')).join(',');
  try {
    for (const protocol of PROTOCOLS) {
      const ids = new Set<string>();
      const session = protocol === 'h2' ? await gateway.session() : undefined;
      const head = 'GET /run HTTP/1.1\r\nHost: localhost\r\nX-Own: own\r\nX-77: here\r\n';
      const answers =
        session === undefined
          ? (await gateway.talk(`${`${head}\r\n`.repeat(5)}${head}Connection: close\r\n\r\n`))
              .split('HTTP/1.1 200')
              .slice(1)
          : [];
      for (let i = 0; session !== undefined && i < 6; i++)
        answers.push(
          (await askSession(session, '/run', { headers: { 'x-own': 'own', 'x-77': 'here' } })).text,
        );
      assert.equal(answers.length, 6);
      for (const answer of answers) {
        const [, id = '', seen] = /(\S+) (own,\S+)$/.exec(answer.trimEnd()) ?? [];
        ids.add(id);
        assert.equal(seen, `own,own,nil,host,GET,https,/run,nil,nil,nil,nil,nil,${dashes(77)}`, protocol);
      }
      assert.equal(ids.size, 6);
      session?.destroy();
    }
  } finally {
    await gateway.stop();
  }
});
