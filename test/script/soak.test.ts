import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ScriptHarness, turn } from '../support/script-harness.ts';
import { inForm } from '../support/test-form.ts';

const REQUESTS = inForm(15_000, 50_000);
/** Concurrent requests. */
const CONCURRENT = 100;
/** Growth of Lua's heap that is no leak: tables that grow once and stay. */
const HEAP_GROWTH_KIB_MAX = 64;

test(`After ${REQUESTS} requests of all kinds nothing is left: coroutines, references, files, memory`, async () => {
  const harness = await ScriptHarness.load(
    `local httpd = require 'httpd'
    local kinds = {
      hello = function() httpd.header{[':status'] = '200', ['content-type'] = 'text/plain'} httpd.write(nil, 'hello') end,
      tables = function(env, header) local n = 0 for k, v in pairs(env) do n = n + #(k .. v) end for k, v in pairs(header) do n = n + #v end httpd.write(nil, n) end,
      body = function() local n = 0 while true do local d = httpd.read(nil, 1000) if not d then break end n = n + #d end httpd.write(nil, n) end,
      waits = function() httpd.write(nil, ('x'):rep(300)) httpd.write(nil, 'y') coroutine.wrap(function() httpd.write(nil, ('z'):rep(300)) httpd.write(nil, '.') end)() end,
      fails = function() error({}) end,
      silent = function() end,
      kept = function(env) last = env httpd.write(nil, 'kept') end,
      heads = function(env) httpd.header{status = 200, ['x-n'] = env.REQUEST_ID} end,
      exposed = function() thread = coroutine.running() httpd.write(nil, 'x') end,
    }
    for name, fn in pairs(kinds) do httpd.register_handler('/' .. name, fn) end
    httpd.register_handler('/file', function() local f <close> = io.open('t.txt') httpd.write(nil, f:read('a')) end)`,
    { files: { 't.txt': 'file' } },
  );
  const kinds = [
    'hello',
    'tables',
    'body',
    'waits',
    'hello',
    'silent',
    'kept',
    'heads',
    'exposed',
    'gone',
    'hello',
  ];
  const serve = async (from: number, to: number): Promise<void> => {
    for (let i = from; i < to; i += CONCURRENT) {
      const batch = [];
      for (let j = i; j < i + CONCURRENT; j++) {
        const kind = j % 500 === 0 ? 'fails' : j % 100 === 0 ? 'file' : (kinds[j % kinds.length] as string);
        if (kind === 'gone') {
          const exchange = harness.begin('/body', { body: 'open' });
          exchange.body.supply('some');
          exchange.abort();
          continue;
        }
        const exchange = harness.begin(`/${kind}`, {
          fields: ['x-a', 'value'],
          roomBytes: 200,
          ...(kind === 'body' ? { body: 'b'.repeat(2500) } : {}),
        });
        batch.push(exchange.closed);
      }
      await Promise.all(batch);
      await turn();
    }
  };
  await serve(0, 10_000);
  await harness.expectNothingOpen();
  const heap = harness.luaHeapKiB();
  const { references } = harness.script.state;
  await serve(10_000, REQUESTS);
  await harness.expectNothingOpen();
  const growth = harness.luaHeapKiB() - heap;
  assert(growth < HEAP_GROWTH_KIB_MAX, `the heap grew by ${growth} KiB`);
  assert(Math.abs(harness.script.state.references - references) <= 1);
  assert.equal(harness.counters.get('luaErrorsTotal'), REQUESTS / 500);
  await harness.close();
});
