/** httpd.register_handler with patterns and methods: which handler answers, what it is given, and what is refused. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ScriptHarness } from '../support/script-harness.ts';

const SCRIPT = `
local httpd = require 'httpd'
local function show(env, header, params)
  local parts = {}
  for name, value in pairs(params or {}) do parts[#parts + 1] = name .. '=' .. value end
  table.sort(parts)
  httpd.write(nil, env.HANDLER_NAME .. ' ' .. table.concat(parts, ' '))
end
httpd.register_handler('/a/{x}/c', show)
httpd.register_handler('/a/b/{rest...}', show)
httpd.register_handler('/users/{id}', show, {methods = {'GET'}})
httpd.register_handler('/users/{name}', show, {methods = {'PUT', 'GET'}})
httpd.register_handler('/users/me', show)
httpd.register_handler('/x', function(...) httpd.write(nil, 'get ' .. select('#', ...)) end, {methods = {'GET'}})
httpd.register_handler('/x', function() httpd.write(nil, 'post') end, {methods = {'POST'}})
httpd.register_handler('/y', function() httpd.write(nil, 'any') end)
httpd.register_handler('/y', function() httpd.write(nil, 'delete') end, {methods = {'DELETE'}})
`;

test('Patterns take segments and the rest, exact before parameter before rest', async () => {
  const harness = await ScriptHarness.load(SCRIPT);
  for (const [path, text] of [
    ['/a/z/c', '/a/{x}/c x=z'],
    ['/a/b/c', '/a/b/{rest...} rest=c'],
    ['/a/b/c/d%20e', '/a/b/{rest...} rest=c/d e'],
    ['/users/me', '/users/me '],
    ['/users/%C3%A4?q=1', '/users/{id} id=\xc3\xa4'],
  ] as const) {
    assert.equal((await harness.request(path)).text, text, path);
  }
  for (const path of ['/a/b', '/a/b/', '/a//c', '/users/', '/users/1/2'])
    assert.equal((await harness.request(path)).status, 404, path);
  await harness.close();
});

test('The method selects among handlers of one path, and the gateway answers those that none takes', async () => {
  const harness = await ScriptHarness.load(SCRIPT);
  const ask = (method: string, path: string) => harness.request(path, { method });
  assert.equal((await ask('GET', '/x')).text, 'get 2');
  assert.equal((await ask('POST', '/x')).text, 'post');
  assert.equal((await ask('HEAD', '/x')).status, 200);
  const refused = await ask('DELETE', '/x');
  assert.equal(refused.status, 405);
  assert.equal(refused.field('allow'), 'GET, HEAD, OPTIONS, POST');
  const options = await ask('OPTIONS', '/users/7');
  assert.equal(options.status, 204);
  assert.equal(options.field('allow'), 'GET, HEAD, OPTIONS, PUT');
  assert.equal((await ask('PUT', '/users/7')).text, '/users/{name} name=7');
  assert.equal((await ask('GET', '/users/7')).text, '/users/{id} id=7');
  assert.equal((await ask('OPTIONS', '/y')).text, 'any');
  assert.equal((await ask('DELETE', '/y')).text, 'delete');
  assert.match(harness.log.join('\n'), /Handler registered twice/);
  await harness.close();
});

test('Bad patterns and bad methods are errors that say what is wrong', async () => {
  for (const [call, message] of [
    ["'/a/{', print", /bad pattern "\/a\/\{": the segment "\{" has to be/],
    ["'/{}', print", /the segment "\{\}" has to be/],
    ["'/{a}{b}', print", /the segment "\{a\}\{b\}" has to be/],
    ["'/x{a}', print", /the segment "x\{a\}" has to be/],
    ["'/{a...}/b', print", /\{a\.\.\.\} has to be its last segment/],
    ["'/{a}/{a}', print", /the name "a" stands in it twice/],
    ["('/{a}'):rep(2) .. ('/a'):rep(31), print", /it has 33 segments and the limit is 32/],
    ["'/x', print, {methods = {'get'}}", /option "methods" has "get"/],
    ["'/x', print, {methods = {}}", /option "methods" has to be a list/],
    ["'/x', print, {methods = 'GET'}", /option "methods" has to be a list/],
  ] as const) {
    await assert.rejects(
      ScriptHarness.load(`require 'httpd'.register_handler(${call})`),
      (error: Error) => message.test(error.message),
      call,
    );
  }
});

test('Handlers of patterns get their parameters in a mapping with hooks, and httpd.request has them, too', async () => {
  const harness = await ScriptHarness.load(`
    local httpd = require 'httpd'
    httpd.hook('request', function(env) httpd.request().ctx.seen = httpd.request().params.id end)
    httpd.register_handler('/u/{id}', function(env, header, params)
      local request = httpd.request()
      httpd.write(nil, params.id .. ' ' .. request.params.id .. ' ' .. request.ctx.seen)
    end)
    httpd.register_handler('/plain', function(...) httpd.write(nil, select('#', ...) .. tostring(next(httpd.request().params))) end)`);
  assert.equal((await harness.request('/u/7')).text, '7 7 7');
  assert.equal((await harness.request('/plain')).text, '2nil');
  await harness.close();
});

test('Hooks run before the answers of the gateway to methods that no handler takes, and may answer or change heads', async () => {
  const harness = await ScriptHarness.load(`
    local httpd = require 'httpd'
    local show = function(env) httpd.write(nil, env.HANDLER_NAME) end
    httpd.register_handler('/users/{id}', show, {methods = {'GET'}})
    httpd.register_handler('/plain', show, {methods = {'GET'}})
    httpd.hook('request', function(env)
      if env.QUERY_INFO == 'no' then httpd.exit(403, httpd.request().params.id or 'none') end
    end)
    httpd.hook('response', function(env, head) head['access-control-allow-origin'] = '*' end)`);
  for (const [path, id] of [
    ['/users/7', '7'],
    ['/plain', 'none'],
  ] as const) {
    for (const [method, status] of [
      ['OPTIONS', 204],
      ['PUT', 405],
    ] as const) {
      const answer = await harness.request(path, { method });
      assert.equal(answer.status, status);
      assert.equal(answer.field('allow'), 'GET, HEAD, OPTIONS');
      assert.equal(answer.field('access-control-allow-origin'), '*');
      const refused = await harness.request(`${path}?no`, { method });
      assert.equal(refused.status, 403);
      assert.equal(refused.text, id);
    }
  }
  assert.deepEqual(harness.log, []);
  await harness.close();
});

test('A script has 2,000 patterns and a handler 16 methods, and one more is refused', async () => {
  const harness = await ScriptHarness.load(`
    local httpd = require 'httpd'
    local show = function(env, header, params) httpd.write(nil, env.HANDLER_NAME .. ' ' .. params.id) end
    for i = 1, 2000 do assert(select('#', httpd.register_handler('/r' .. i .. '/{id}', show)) == 0) end
    local _, message, code = httpd.register_handler('/one-more/{id}', show)
    local sixteen = {'GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH', 'TRACE', 'COPY', 'LOCK', 'MKCOL', 'MOVE', 'PROPFIND',
      'PROPPATCH', 'SEARCH', 'UNLOCK'}
    assert(#sixteen == 16)
    httpd.register_handler('/many', function(env) httpd.write(nil, env.REQUEST_METHOD) end, {methods = sixteen})
    sixteen[17] = 'REPORT'
    local ok, fault = pcall(httpd.register_handler, '/more', show, {methods = sixteen})
    httpd.register_handler('/told', function() httpd.write(nil, message .. '; ' .. code .. '; ' .. tostring(fault)) end)`);
  assert.equal((await harness.request('/r2000/x')).text, '/r2000/{id} x');
  assert.equal((await harness.request('/one-more/x')).status, 404);
  const { text } = await harness.request('/told');
  assert.match(
    text,
    /2000 have patterns and the limit is 2000; limit; .*option "methods" has 17 methods and the limit is 16/,
  );
  assert.equal((await harness.request('/many', { method: 'SEARCH' })).text, 'SEARCH');
  const refused = await harness.request('/many', { method: 'REPORT' });
  assert.equal(refused.status, 405);
  assert.equal(refused.field('allow')?.split(', ').length, 16);
  await harness.close();
});

test('Patterns that overlap too much are refused with the number of steps, and the others stay', async () => {
  const harness = await ScriptHarness.load(`
    local httpd = require 'httpd'
    local show = function(env) httpd.write(nil, env.HANDLER_NAME) end
    local taken, refused = 0, nil
    for bits = 0, 4095 do
      local name = ''
      for i = 0, 11 do name = name .. (bits >> i & 1 == 0 and '/a' or '/{p' .. i .. '}') end
      local _, message, code = httpd.register_handler(name, show)
      if message then refused = code .. ' ' .. message else taken = taken + 1 end
    end
    httpd.register_handler('/told', function() httpd.write(nil, taken .. ' ' .. refused) end)`);
  const { text } = await harness.request('/told');
  assert.match(
    text,
    /^\d+ limit Cannot register the handler: with it, matching a path may take \d+ steps and the limit is 256: fewer patterns may overlap$/,
  );
  assert.ok(Number.parseInt(text, 10) > 10, text);
  assert.equal((await harness.request('/a'.repeat(12))).text, '/a'.repeat(12));
  assert.equal((await harness.request(`${'/a'.repeat(12)}/b`)).status, 404);
  await harness.close();
});
