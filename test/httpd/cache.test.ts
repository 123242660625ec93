/** Handlers of scripts whose answers are kept, and `httpd.cache.purge`. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ScriptHarness } from '../support/script-harness.ts';

/** Answers with the number of its calls, kept for a minute. */
const HANDLER = `local httpd = require 'httpd'
local calls = 0
httpd.register_handler('/', function(env)
    calls = calls + 1
    if env.REQUEST_METHOD == 'POST' then return httpd.exit(204) end
    httpd.header{[':status'] = 200, ['cache-control'] = 'max-age=60', ['cache-tag'] = 'page, all'}
    httpd.write(nil, 'call ' .. calls)
end, {cache = true})
httpd.register_handler('/purge', function(env)
    local ok, message, code = httpd.cache.purge(load('return ' .. env.QUERY_INFO)())
    httpd.write(nil, tostring(ok) .. ' ' .. tostring(message) .. ' ' .. tostring(code))
end)
`;

async function textOf(harness: ScriptHarness, target: string): Promise<string> {
  return (await harness.request(target)).text;
}

async function withScript(source: string, use: (harness: ScriptHarness) => Promise<void>): Promise<void> {
  const harness = await ScriptHarness.load(source);
  try {
    await use(harness);
    await harness.expectNothingOpen();
  } finally {
    await harness.close();
  }
}

test('A handler with the option cache is called once for many requests', () =>
  withScript(HANDLER, async (harness) => {
    for (let i = 0; i < 3; i++) assert.equal(await textOf(harness, '/'), 'call 1');
    assert.equal(await textOf(harness, '/?other'), 'call 2');
    assert.equal(harness.counters.get('cacheHitsTotal'), 2);
  }));

test('A POST to a handler with the option cache makes what is kept of its target invalid', () =>
  withScript(HANDLER, async (harness) => {
    await textOf(harness, '/');
    assert.equal((await harness.request('/', { method: 'POST', body: 'x' })).status, 204);
    assert.equal(await textOf(harness, '/'), 'call 3');
  }));

test('httpd.cache.purge makes answers invalid by tag, by URL, and all of them', () =>
  withScript(HANDLER, async (harness) => {
    let calls = 1;
    for (const [argument, isPurged] of [
      ["{tag='page'}", true],
      ["{tag='none'}", false],
      ["{url='https://example.test/'}", true],
      ["{url='https://example.test/other'}", false],
      ['{all=true}', true],
      ["{tag='none',url='https://example.test/'}", true],
    ] as const) {
      await textOf(harness, '/');
      assert.equal(await textOf(harness, `/purge?${argument}`), 'true nil nil');
      if (isPurged) calls += 1;
      assert.equal(await textOf(harness, '/'), `call ${calls}`, argument);
    }
  }));

test('httpd.cache.purge refuses what is no URL, and what is misuse', () =>
  withScript(HANDLER, async (harness) => {
    assert.equal(
      await textOf(harness, "/purge?{url='/page'}"),
      'nil Cannot purge "/page": it is no URL such as https://example.com/path invalid',
    );
    for (const [argument, message] of [
      ['{}', /cache\.purge wants an option "tag", "url" or "all"/],
      ["{tag=''}", /one tag, without blanks and commas/],
      ["{tag='a,b'}", /one tag, without blanks and commas/],
      ["{tag=('x'):rep(257)}", /option "tag" has 257 bytes and the limit is 256/],
      ["{url=('x'):rep(8193)}", /option "url" has 8193 bytes and the limit is 8192/],
      ['{tag=1}', /option "tag" is a number/],
      ["{tags='a'}", /cache\.purge has no option "tags"/],
    ] as const) {
      assert.equal((await harness.request(`/purge?${argument}`)).status, 500, argument);
      assert.match(harness.log.join('\n'), message);
    }
  }));

test('An error of a handler is not kept, and another call follows', () =>
  withScript(
    `local httpd = require 'httpd'
local calls = 0
httpd.register_handler('/', function()
    calls = calls + 1
    if calls == 1 then error('broken') end
    httpd.header{[':status'] = 200, ['cache-control'] = 'max-age=60'}
    httpd.write(nil, 'call ' .. calls)
end, {cache = true})`,
    async (harness) => {
      assert.equal((await harness.request('/')).status, 500);
      for (let i = 0; i < 2; i++) assert.equal(await textOf(harness, '/'), 'call 2');
    },
  ));

test('Requests that wait for a handler share its answer', () =>
  withScript(
    `local httpd = require 'httpd'
local calls = 0
httpd.register_handler('/', function()
    calls = calls + 1
    httpd.sleep(0.05)
    httpd.header{[':status'] = 200, ['cache-control'] = 'max-age=60'}
    httpd.write(nil, 'call ' .. calls)
end, {cache = true})`,
    async (harness) => {
      const answers = await Promise.all(Array.from({ length: 100 }, () => textOf(harness, '/')));
      assert.deepEqual(new Set(answers), new Set(['call 1']));
    },
  ));

test('Where requests have hooks, nothing is kept, and the log says why', () =>
  withScript(`${HANDLER}httpd.hook('request', function() end)`, async (harness) => {
    assert.equal(await textOf(harness, '/'), 'call 1');
    assert.equal(await textOf(harness, '/'), 'call 2');
    assert.equal(harness.log.filter((line) => line.includes('Answers are not kept')).length, 1);
  }));
