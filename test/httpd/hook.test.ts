/** httpd.hook: what hooks of each phase see, change and cost, and what becomes of those that fail, wait or never end. */
import assert from 'node:assert/strict';
import { calmTest as test } from '../support/calm.ts';
import { eventually, ScriptHarness } from '../support/script-harness.ts';
import { PROTOCOLS, TestGateway, untilReceived } from '../support/test-gateway.ts';

/** Runs a script whose first lines are `hooks`, with a handler `/run` that says ok. */
async function withHooks(
  hooks: string,
  use: (harness: ScriptHarness) => Promise<void>,
  handler = `httpd.header {status = 200, ['X-Own'] = 'own'} httpd.write(nil, 'ok')`,
  options: Parameters<typeof ScriptHarness.load>[1] = {},
): Promise<void> {
  const harness = await ScriptHarness.load(
    `local httpd = require 'httpd'
    httpd.register_handler('/run', function(env, header) ${handler}\nend)
    ${hooks}`,
    options,
  );
  try {
    await use(harness);
    await harness.expectNothingOpen();
  } finally {
    await harness.close();
  }
}

function lines(harness: ScriptHarness, level = 'info'): string[] {
  return harness.log.filter((line) => line.startsWith(`${level} `)).map((line) => line.split(' ')[1] ?? '');
}

test('httpd.hook() refuses unknown phases by the names of those that exist, and what is no function', async () => {
  await withHooks(
    `print(select(2, pcall(httpd.hook, 'before', print)))
    print(select(2, pcall(httpd.hook, 'request', 1)))
    print(select(2, pcall(httpd.hook, 'request')))
    print(httpd.hook('log', print))`,
    async ({ log }) => {
      assert.match(
        log[0] ?? '',
        /one of "start", "stop", "request", "response", "log", "abort" expected, got "before"/,
      );
      assert.match(log[1] ?? '', /function expected, got number/);
      assert.match(log[2] ?? '', /wrong number of arguments to 'hook'/);
      assert.match(log[3] ?? '', /^info true/);
    },
  );
});

test('httpd.hook() takes 64 functions of a phase and no more', async () => {
  await withHooks(
    `local calls = 0
    for _ = 1, 64 do assert(httpd.hook('request', function() calls = calls + 1 end)) end
    print(httpd.hook('request', print))
    assert(httpd.hook('response', function() print(calls) end))`,
    async (harness) => {
      assert.match(
        harness.log[0] ?? '',
        /nil\tCannot add a hook "request": there are 64 and the limit is 64\tlimit/,
      );
      await harness.request('/run');
      assert.match(harness.log[1] ?? '', /^info 64/);
    },
  );
});

// ---- request ----

test('Hooks before a request run in their order with env and header of the handler, whenever they were added', async () => {
  await withHooks(
    `httpd.hook('request', function(env, header) env.own = 'a' header['x-own'] = 'h' end)
    httpd.hook('request', function(env) env.own = env.own .. 'b' end)
    httpd.register_handler('/later', function() httpd.write(nil, httpd.request().env.own) end)
    httpd.register_handler('/add', function()
      httpd.hook('request', function(env) env.own = env.own .. 'c' end)
      httpd.write(nil, 'added')
    end)`,
    async (harness) => {
      assert.equal((await harness.request('/run')).text, 'ab h');
      assert.equal((await harness.request('/later')).text, 'ab');
      assert.equal((await harness.request('/add')).text, 'added');
      assert.equal((await harness.request('/run')).text, 'abc h');
    },
    `httpd.write(nil, env.own .. ' ' .. header['x-own'])`,
  );
});

test('A hook that answers, exits or redirects ends the request without the handler and further hooks', async () => {
  await withHooks(
    `httpd.hook('request', function(env)
      if env.QUERY_INFO == 'header' then httpd.header {status = 403} end
      if env.QUERY_INFO == 'write' then httpd.write(nil, 'hook') end
      if env.QUERY_INFO == 'exit' then httpd.exit(401, 'no') end
      if env.QUERY_INFO == 'redirect' then httpd.redirect('/login') end
      if env.QUERY_INFO == 'close' then httpd.close(nil) end
      if env.QUERY_INFO == 'true' then httpd.write(nil, 'all') return true end
      if env.QUERY_INFO == 'silent' then return true end
    end)
    httpd.hook('request', function() print('second') end)`,
    async (harness) => {
      const answers: [string, number, string][] = [
        ['header', 403, ''],
        ['write', 200, 'hook'],
        ['exit', 401, 'no'],
        ['redirect', 302, ''],
        ['close', 200, ''],
        ['true', 200, 'all'],
        ['silent', 500, ''],
      ];
      for (const [query, status, text] of answers) {
        const exchange = await harness.request(`/run?${query}`);
        assert.deepEqual([exchange.status, exchange.text], [status, text], query);
      }
      assert.deepEqual(lines(harness), []);
      assert.equal((await harness.request('/run')).text, 'ok');
      assert.deepEqual(lines(harness), ['second']);
    },
  );
});

test('A hook may wait, spawn tasks and use shared dictionaries', async () => {
  await withHooks(
    `httpd.hook('request', function()
      httpd.sleep(0.001)
      local task = httpd.spawn(function() httpd.sleep(0.001) return httpd.shared('hooks'):incr('n', 1, 0) end)
      httpd.request().ctx.n = select(3, httpd.wait(task))
    end)`,
    async (harness) => {
      assert.equal((await harness.request('/run')).text, '1');
      assert.equal((await harness.request('/run')).text, '2');
    },
    `httpd.write(nil, tostring(httpd.request().ctx.n))`,
  );
});

test('A hook that fails gives 500, and the handler does not run', async () => {
  await withHooks(
    `httpd.hook('request', function() error('hook failed') end)`,
    async (harness) => {
      assert.equal((await harness.request('/run')).status, 500);
      assert.match(harness.log.join('\n'), /hook failed/);
      assert.ok(!harness.log.join('\n').includes('handler ran'));
    },
    `print('handler ran')`,
  );
});

test('A hook that computes for ever is ended by the limit of processor time', async () => {
  await withHooks(
    `httpd.hook('request', function() while true do end end)`,
    async (harness) => {
      assert.equal((await harness.request('/run')).status, 500);
      assert.match(harness.log.join('\n'), /limit=cpu/);
    },
    '',
    { limits: { cpuLimitMs: 100 } },
  );
});

test('A hook that waits for ever is ended by the limit of time', async () => {
  await withHooks(
    `httpd.hook('request', function() httpd.sleep(1000) end)`,
    async (harness) => {
      assert.equal((await harness.request('/run')).status, 500);
      assert.match(harness.log.join('\n'), /limit=time/);
    },
    '',
    { limits: { timeLimitMs: 100 } },
  );
});

test('Handlers without parameters and /notfound have the hooks of their mapping', async () => {
  await withHooks(
    `httpd.register_handler('/bare', function() httpd.write(nil, httpd.request().ctx.from) end)
    httpd.register_handler('/notfound', function() httpd.exit(404, httpd.request().ctx.from) end)
    httpd.hook('request', function() httpd.request().ctx.from = 'hook' end)`,
    async (harness) => {
      assert.equal((await harness.request('/bare')).text, 'hook');
      assert.equal((await harness.request('/nothing')).text, 'hook');
    },
  );
});

// ---- response ----

test('A hook sees and changes the head of every kind of answer', async () => {
  const heads: string[] = [];
  await withHooks(
    `httpd.hook('response', function(env, head)
      print(head.status .. ':' .. tostring(head['x-own']))
      head['x-hook'] = {'a', 'b'}
      head['x-own'] = nil
      if env.QUERY_INFO == 'teapot' then head.status = 418 end
    end)
    httpd.register_handler('/write', function() httpd.write(nil, 'implicit') end)
    httpd.register_handler('/exit', function() httpd.exit(201, 'made', {['x-own'] = 'exit'}) end)
    httpd.register_handler('/close', function() httpd.close(nil) end)
    httpd.register_handler('/file', function() httpd.sendfile('file.txt', {headers = {['x-own'] = 'file'}}) end)
    httpd.register_handler('/copy', function() httpd.copy(nil, io.open('file.txt')) end)
    httpd.register_handler('/page', function() httpd.exit(404) end)
    httpd.register_handler('/fails', function() error('x') end)
    httpd.register_handler('/nothing-sent', function() end)`,
    async (harness) => {
      const paths: [string, number, string][] = [
        ['/run', 200, '200:own'],
        ['/run?teapot', 418, '200:own'],
        ['/write', 200, '200:nil'],
        ['/exit', 201, '201:exit'],
        ['/close', 200, '200:nil'],
        ['/file', 200, '200:file'],
        ['/copy', 200, '200:nil'],
        ['/page', 404, '404:nil'],
        ['/fails', 500, '500:nil'],
        ['/nothing-sent', 500, '500:nil'],
      ];
      for (const [path, status, seen] of paths) {
        harness.log.length = 0;
        const exchange = await harness.request(path);
        assert.equal(exchange.status, status, path);
        assert.equal(exchange.field('x-hook'), 'a, b', path);
        assert.equal(exchange.field('x-own'), undefined, path);
        assert.deepEqual(lines(harness), [seen], path);
        heads.push(path);
      }
      assert.equal(heads.length, paths.length);
    },
    undefined,
    { files: { 'file.txt': 'text' } },
  );
});

test('A hook sees and changes heads that come again and again as it does the first one, and others between them', async () => {
  await withHooks(
    `local count = 0
    httpd.hook('response', function(env, head)
      count = count + 1
      assert(head['x-own'] == 'own' and head.status == 200 and head['x-hook'] == nil and head['x-count'] == nil)
      head['x-hook'] = 'h'
      local what = env.QUERY_INFO
      if what == 'count' then head['x-count'] = count
      elseif what == 'list' then head['x-list'] = {'a', 'b'}
      elseif what == 'bare' then for name in pairs(head) do if name ~= 'status' then head[name] = nil end end
      elseif what == 'teapot' then head.status = 418
      elseif what == 'colon' then head[':status'] = 200
      elseif what == 'bytes' then head['x-hook'] = 'a\\nb'
      end
    end)`,
    async (harness) => {
      // enough for what is remembered by chance
      for (let i = 1; i <= 400; i++) {
        const what =
          i % 5 === 0 ? (['count', 'list', 'bare', 'teapot', 'colon', 'bytes'][(i / 5) % 6] ?? '') : '';
        const exchange = await harness.request(`/run?${what}`);
        const isRefused = what === 'colon' || what === 'bytes';
        const status = isRefused ? 500 : what === 'teapot' ? 418 : 200;
        assert.equal(exchange.status, status, `${i} ${what}`);
        if (isRefused) continue;
        const isBare = what === 'bare';
        assert.equal(exchange.field('x-hook'), isBare ? undefined : 'h', `${i} ${what}`);
        assert.equal(exchange.field('x-own'), isBare ? undefined : 'own', `${i} ${what}`);
        assert.equal(exchange.field('x-count'), what === 'count' ? String(i) : undefined, `${i} ${what}`);
        assert.equal(exchange.field('x-list'), what === 'list' ? 'a, b' : undefined, `${i} ${what}`);
      }
    },
  );
});

test('A head that no hook changes goes out as the handler gave it', async () => {
  await withHooks(
    `httpd.hook('response', function() end)`,
    async (harness) => {
      assert.deepEqual(
        [...(await harness.request('/run')).responseFields].sort(),
        ['2', 'B', 'Content-Length', 'Set-Cookie', 'Set-Cookie', 'a=1', 'b=2', 'X-A'].sort(),
      );
    },
    `httpd.header {status = 200, ['Set-Cookie'] = {'a=1', 'b=2'}, ['X-A'] = 'B', ['Content-Length'] = 2} httpd.write(nil, 'ok')`,
  );
});

test('A hook that fails, waits, answers or leaves no head gives 500 and no other head', async () => {
  const failures: [string, RegExp][] = [
    [`error('hook failed')`, /hook failed/],
    ['httpd.sleep(0.001)', /a yield cannot cross this call/],
    [`httpd.write(nil, 'x')`, /cannot answer in a hook "response"/],
    [`httpd.header {status = 200}`, /cannot answer in a hook "response"/],
    [`httpd.exit(200)`, /a yield cannot cross this call/],
    [`httpd.close(nil)`, /cannot answer in a hook "response"/],
    ['head.status = nil', /a head needs a status from 200 to 599/],
    ['head.status = 103', /a head needs a status from 200 to 599/],
    ['head.status = 600', /a status from 100 to 599 was expected/],
    [`head[':status'] = 200`, /not as ":status"/],
    [`head[':path'] = '/'`, /a head cannot hold ":path"/],
    [`head['x-a'] = 'a\\r\\nb'`, /holds a control character/],
    [`head['x a'] = 'a'`, /is not a token/],
    [`head['x-a'] = print`, /is a function/],
    ['while true do end', /CPU|cpu|limit/],
  ];
  for (const [code, message] of failures) {
    await withHooks(`httpd.hook('response', function(env, head) ${code} end)`, async (harness) => {
      const exchange = await harness.request('/run');
      assert.deepEqual([exchange.status, exchange.text, exchange.broken], [500, '', false], code);
      assert.match(harness.log.join('\n'), message, code);
      assert.ok(!harness.log.includes('error abandoned'), code);
    });
  }
});

test("A handler's own mistakes stay errors of its call, and the hooks see the head that follows", async () => {
  await withHooks(
    `httpd.hook('response', function(env, head) print(head.status) end)`,
    async (harness) => {
      assert.equal((await harness.request('/run')).status, 201);
      assert.deepEqual(lines(harness), ['false', '201']);
    },
    `print((pcall(httpd.header, {status = 200, ['x-a'] = 'a\\n'}))) httpd.header {status = 201}`,
  );
});

test('httpd.request() in a hook that sees the head is that of its request, also when a limit has ended the handler', async () => {
  await withHooks(
    `httpd.hook('response', function(env, head)
      assert(httpd.request().env == env)
      head['x-ctx'] = httpd.request().ctx.name
    end)`,
    async (harness) => {
      assert.equal((await harness.request('/run')).field('x-ctx'), 'me');
      const slow = await harness.request('/run?slow');
      assert.deepEqual([slow.status, slow.field('x-ctx')], [500, 'me']);
    },
    `httpd.request().ctx.name = 'me' if env.QUERY_INFO then httpd.sleep(1000) end httpd.write(nil, 'x')`,
    { limits: { timeLimitMs: 200 } },
  );
});

// ---- log and abort ----

test('Hooks of the end get env and a record, also of requests that failed, and may wait', async () => {
  await withHooks(
    `httpd.hook('log', function(env, record)
      httpd.sleep(0.001)
      print(table.concat({env.PATH_INFO, env.own or 'none', record.status, record.bytes, tostring(record.aborted),
        math.type(record.ms), tostring(record.cpu_ms >= 0), tostring(httpd.request().ctx.name)}, ','))
    end)
    httpd.register_handler('/fails', function(env) env.own = 'kept' httpd.request().ctx.name = 'me' error('x') end)`,
    async (harness) => {
      await harness.request('/run');
      await harness.request('/fails');
      await eventually(() =>
        assert.deepEqual(lines(harness), [
          '/run,handler,200,2,false,float,true,nil',
          '/fails,kept,500,0,false,float,true,me',
        ]),
      );
    },
    `env.own = 'handler' httpd.write(nil, 'ok')`,
  );
});

test('A hook of the end that fails is logged with the id of its request, and others run all the same', async () => {
  await withHooks(
    `httpd.hook('log', function() error('log failed') end)
    httpd.hook('log', function() httpd.write(nil, 'x') end)
    httpd.hook('log', function() print('third') end)`,
    async (harness) => {
      await harness.request('/run');
      await eventually(() => assert.deepEqual(lines(harness), ['third']));
      const errors = harness.log.filter((line) => line.startsWith('error')).join('\n');
      assert.match(errors, /log failed[\s\S]*request=\S+[\s\S]*hook=log/);
      assert.match(errors, /called in a hook "log", which has no client/);
    },
  );
});

test('Hooks of the end that never end are bounded by the time limit', async () => {
  await withHooks(
    `httpd.hook('log', function() httpd.sleep(1000) end)`,
    async (harness) => {
      await harness.request('/run');
      await eventually(() => assert.match(harness.log.join('\n'), /the hook "log" still runs/));
    },
    undefined,
    { limits: { timeLimitMs: 100 } },
  );
});

test('Calls of hooks that run at once are at most 1000; the log says that others are left out', async () => {
  await withHooks(`httpd.hook('log', function() httpd.sleep(1000) end)`, async (harness) => {
    for (let i = 0; i < 1003; i++) await harness.request('/run');
    await eventually(() =>
      assert.match(harness.log.join('\n'), /Calls of hooks left out: 1000 run and the limit is 1000/),
    );
    harness.script.runs.cancelAll(503);
  });
});

test('A client that goes is told to the hooks of abort, with the ctx of the request, before those of log', async () => {
  await withHooks(
    `httpd.hook('abort', function(env) print('abort:' .. env.own .. ':' .. httpd.request().ctx.name) end)
    httpd.hook('log', function(env, record) print('log:' .. tostring(record.aborted)) end)`,
    async (harness) => {
      const exchange = harness.begin('/run');
      exchange.abort();
      await eventually(() => assert.deepEqual(lines(harness), ['abort:mine:me', 'log:true']));
    },
    `env.own = 'mine' httpd.request().ctx.name = 'me' httpd.sleep(1000)`,
  );
});

// ---- start and stop ----

test('A hook of the start runs when the script serves, where it may wait', async () => {
  await withHooks(
    `httpd.hook('start', function() httpd.sleep(0.001) print('started') end) print('loaded')`,
    async (harness) => {
      await eventually(() => assert.deepEqual(lines(harness), ['loaded', 'started']));
    },
  );
});

test('A hook of the stop runs behind the last request, before the state closes, and not for ever', async () => {
  await withHooks(
    `httpd.hook('stop', function() httpd.sleep(0.001) print('stopped') end)
    httpd.hook('stop', function() error('stop failed') end)
    httpd.hook('stop', function() httpd.sleep(1000) end)`,
    async (harness) => {
      const exchange = harness.begin('/run');
      const retired = harness.script.retire(0);
      await exchange.closed;
      await retired;
      assert.deepEqual(lines(harness), ['answered', 'stopped']);
      assert.match(harness.log.join('\n'), /stop failed/);
      assert.match(harness.log.join('\n'), /the hook "stop" still runs/);
    },
    `httpd.sleep(0.01) print('answered') httpd.write(nil, 'x')`,
    { limits: { timeLimitMs: 300 } },
  );
});

test('A reload and a drain run the hooks of the stop', async () => {
  const script = `local httpd = require 'httpd'
      httpd.hook('stop', function() httpd.sleep(0.001) print('stop hook ran') end)
      httpd.register_handler('/run', function() httpd.write(nil, 'ok') end)`;
  const gateway = await TestGateway.start({ '/': script }, { apart: true });
  const count = (): number => gateway.log.split('stop hook ran').length - 1;
  try {
    gateway.running.signal('SIGHUP');
    await eventually(() => assert.equal(count(), 1));
    gateway.process.child.kill('SIGTERM');
    await eventually(() => assert.equal(count(), 2));
  } finally {
    await gateway.stop();
  }
});

// ---- shapes of scripts ----

test('Scripts for luars have hooks; those of an app for luvit are refused while it is loaded', async () => {
  const luars = await ScriptHarness.load(
    `local httpd = require 'httpd'
    httpd.hook('request', function(env) if env.QUERY_INFO then httpd.exit(403) end end)
    httpd.hook('response', function(_, head) head['x-hook'] = 'yes' end)
    function handle_request(method, path, body) return 200, 'text/plain', 'luars' end`,
  );
  try {
    const exchange = await luars.request('/any');
    assert.deepEqual([exchange.text, exchange.field('x-hook')], ['luars', 'yes']);
    assert.equal((await luars.request('/any?x')).status, 403);
  } finally {
    await luars.close();
  }
  await assert.rejects(
    ScriptHarness.load(
      `require 'httpd'.hook('request', print) return function(request) return {code = 200}, 'x' end`,
    ),
    /requests of an app for luvit have no hooks/,
  );
});

// ---- over sockets ----

test('Hooks hold for real requests over both protocols: answers, heads, error pages, logs, clients that go', async () => {
  const gateway = await TestGateway.start({
    '/': `local httpd = require 'httpd'
      httpd.hook('request', function(env, header)
        if header['x-user'] == nil then httpd.exit(401, 'who?') end
        httpd.request().ctx.user = header['x-user']
      end)
      httpd.hook('response', function(env, head) head['x-hook'] = httpd.request().ctx.user or 'nobody' end)
      httpd.hook('log', function(env, record) print('logged', env.PATH_INFO, record.status, record.bytes, record.aborted) end)
      httpd.hook('abort', function(env) print('aborted', env.PATH_INFO, httpd.request().ctx.user) end)
      httpd.register_handler('/run', function() httpd.write(nil, httpd.request().ctx.user) end)
      httpd.register_handler('/fails', function() error('x') end)
      httpd.register_handler('/hangs', function() while true do httpd.write(nil, 'begun') httpd.sleep(0.01) end end)`,
  });
  try {
    for (const protocol of PROTOCOLS) {
      const headers = { 'x-user': 'ada' };
      const refused = await gateway.ask(protocol, '/run');
      assert.deepEqual([refused.status, refused.text, refused.headers['x-hook']], [401, 'who?', 'nobody']);
      const served = await gateway.ask(protocol, '/run', { headers });
      assert.deepEqual([served.status, served.text, served.headers['x-hook']], [200, 'ada', 'ada']);
      const failed = await gateway.ask(protocol, '/fails', { headers });
      assert.deepEqual([failed.status, failed.headers['x-hook'], failed.cut], [500, 'ada', false]);
      assert.equal(Number(failed.headers['content-length']), failed.body.length);
    }
    await eventually(() => assert.match(gateway.log, /logged\s+\/run\s+200\s+3\s+false/));
    const socket = await gateway.connect();
    socket.write('GET /hangs HTTP/1.1\r\nHost: localhost\r\nX-User: ada\r\n\r\n');
    await untilReceived(socket, /begun/);
    socket.destroy();
    await eventually(() =>
      assert.match(gateway.log, /aborted\s+\/hangs\s+ada[\s\S]*logged\s+\/hangs\s+200\s+\d+\s+true/),
    );
  } finally {
    await gateway.stop();
  }
});
