/** httpd.proxy with the option cache: what is kept, for which calls, and what comes of failures. */
import assert from 'node:assert/strict';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { after, before, beforeEach, test } from 'node:test';
import { fieldValue } from '../../src/http/semantics/fields.ts';
import type { FakeExchange } from '../support/fake-exchange.ts';
import { eventually, ScriptHarness } from '../support/script-harness.ts';
import { deadPort, plainUpstream, rawUpstream, type Upstream } from '../support/upstream.ts';

/** `?`: a Lua expression for the options, from the client. Says what the call has returned where nothing was sent. */
const SCRIPT = (url: string): string => `local httpd = require 'httpd'
TARGET = '${url}'
httpd.register_handler('/{rest...}', function(env, header)
    local target, options = load('return ' .. (header['x-call'] or 'TARGET, {cache = true}'))()
    local status, bytes, code = httpd.proxy(target, options)
    httpd.log('info', 'result', status, bytes, code)
    if not status and not header['x-silent'] then httpd.exit(502, code .. ': ' .. bytes) end
end)
httpd.register_handler('/purge', function(env) httpd.cache.purge{tag = env.QUERY_INFO} end)
`;

let upstream: Upstream;
let harness: ScriptHarness;
let asked: string[] = [];
let answer: (request: IncomingMessage, response: ServerResponse) => void;

before(async () => {
  upstream = await plainUpstream((request, response) => {
    asked.push(request.url ?? '');
    answer(request, response);
  });
  harness = await ScriptHarness.load(SCRIPT(upstream.url));
});

beforeEach(() => {
  asked = [];
  harness.log.length = 0;
  answer = (_request, response) =>
    response.setHeader('cache-control', 'max-age=60').end(`answer ${asked.length}`);
});

after(async () => {
  await harness.expectNothingOpen();
  await harness.close();
  await upstream.close();
});

/** A request of the client whose handler calls httpd.proxy with these arguments. */
function ask(target: string, call?: string, ...fields: string[]): Promise<FakeExchange> {
  return harness.request(target, { fields: call === undefined ? fields : ['x-call', call, ...fields] });
}

function statusOf(exchange: FakeExchange): string {
  return fieldValue(exchange.responseFields, 'cache-status') ?? '';
}

test('An answer is kept for further calls, and each call returns its status and bytes', async () => {
  const first = await ask('/page');
  const second = await ask('/page');
  assert.deepEqual([first.text, second.text], ['answer 1', 'answer 1']);
  assert.match(statusOf(first), /^lgateway; fwd=uri-miss; fwd-status=200; stored$/);
  assert.match(statusOf(second), /^lgateway; hit; ttl=\d+$/);
  assert.deepEqual(asked, ['/page']);
  const results = harness.log.filter((line) => line.includes('result'));
  assert.equal(results.length, 2);
  for (const line of results) assert.match(line, /200.*8/);
});

test('Without the option the server is asked for each request', async () => {
  await ask('/none', 'TARGET');
  await ask('/none', 'TARGET, {cache = false}');
  await ask('/none', 'TARGET, {}');
  assert.equal(asked.length, 3);
});

test('Calls that ask another server, or otherwise, have no answer in common', async () => {
  const other = await plainUpstream((_request, response) =>
    response.setHeader('cache-control', 'max-age=60').end('other server'),
  );
  try {
    await ask('/parts');
    for (const call of [
      `TARGET .. '/base', {cache = true}`,
      `TARGET, {cache = true, path = '/parts'}`,
      `TARGET, {cache = true, path = '/parts?x'}`,
      `TARGET, {cache = true, headers = {['x-user'] = 'ann'}}`,
      `TARGET, {cache = true, headers = {['x-user'] = 'bob'}}`,
      `TARGET, {cache = true, headers = {accept = false}}`,
      `TARGET, {cache = true, host = 'inner.example'}`,
      `TARGET, {cache = {tags = {'one'}}}`,
    ]) {
      const calls = asked.length;
      assert.equal((await ask('/parts', call)).text, `answer ${calls + 1}`, call);
      assert.equal((await ask('/parts', call)).text, `answer ${calls + 1}`, call);
    }
    assert.equal((await ask('/parts', `'${other.url}', {cache = true}`)).text, 'other server');
    assert.equal((await ask('/parts')).text, 'answer 1');
    // how long it waits, and which of the servers is asked, changes nothing
    const before = asked.length;
    await ask('/parts', `TARGET, {cache = true, timeout = 9, retries = 0, balance = 'least'}`);
    await ask('/parts', `{{url = TARGET, weight = 2}}, {cache = {}}`);
    assert.equal(asked.length, before);
  } finally {
    await other.close();
  }
});

test('No answer of one user is given to another', async () => {
  await ask('/user', undefined, 'authorization', 'Basic YTpi');
  assert.equal((await ask('/user')).text, 'answer 2');
  assert.equal((await ask('/user', undefined, 'cookie', 'a=b')).text, 'answer 3');
  answer = (_request, response) =>
    response
      .setHeader('cache-control', 'public, max-age=60')
      .setHeader('set-cookie', 'a=b')
      .end('with a cookie');
  await ask('/cookie');
  await ask('/cookie');
  assert.deepEqual(asked.slice(3), ['/cookie', '/cookie']);
});

test('An answer is purged by tags of the call and of the server', async () => {
  answer = (_request, response) =>
    response
      .setHeader('cache-control', 'max-age=60')
      .setHeader('cache-tag', 'served')
      .end(`answer ${asked.length}`);
  let calls = 0;
  for (const [tag, isPurged] of [
    ['called', true],
    ['served', true],
    ['too', true],
    ['none', false],
  ] as const) {
    const call = `TARGET, {cache = {tags = {'called', 'too'}}}`;
    const first = await ask('/tagged', call);
    calls = asked.length;
    assert.equal(fieldValue(first.responseFields, 'cache-tag'), undefined);
    await harness.request(`/purge?${tag}`);
    await ask('/tagged', call);
    assert.equal(asked.length, isPurged ? calls + 1 : calls, tag);
  }
});

test('A POST makes what is kept of its target invalid', async () => {
  await ask('/changed');
  answer = (_request, response) => response.writeHead(204).end();
  const fields = ['x-call', 'TARGET, {cache = true}'];
  assert.equal((await harness.request('/changed', { method: 'POST', fields })).status, 204);
  answer = (_request, response) => response.setHeader('cache-control', 'max-age=60').end('new');
  assert.equal((await ask('/changed')).text, 'new');
});

test('Calls that come meanwhile wait for one answer, and one that goes holds up nobody', async () => {
  const held: ServerResponse[] = [];
  answer = (_request, response) => void held.push(response);
  const first = harness.begin('/many');
  const others = Array.from({ length: 9 }, () => harness.begin('/many'));
  await eventually(() => assert.equal(held.length, 1));
  first.abort();
  held[0]?.setHeader('cache-control', 'max-age=60').end('for all');
  for (const other of others) {
    await other.closed;
    assert.equal(other.text, 'for all');
  }
  assert.deepEqual(asked, ['/many']);
});

test('A failure is nil, message, code for each call, and a stale answer stands in for it', async () => {
  const dead = await deadPort();
  const refused = await ask('/dead', `'http://127.0.0.1:${dead}', {cache = true, retries = 0}`);
  assert.match(
    refused.text,
    /^refused: Cannot pass the request on to http:\/\/127\.0\.0\.1:\d+: .*ECONNREFUSED/,
  );
  const dying = await plainUpstream((_request, response) =>
    response.setHeader('cache-control', 'max-age=0, stale-if-error=600').setHeader('etag', '"1"').end('old'),
  );
  const call = `'${dying.url}', {cache = true, retries = 0}`;
  assert.equal((await ask('/dying', call)).text, 'old');
  await dying.close();
  harness.log.length = 0;
  const stale = await ask('/dying', call);
  assert.deepEqual([stale.status, stale.text], [200, 'old']);
  // the handler has an answer: only the log tells of the server
  await eventually(() =>
    assert.match(harness.log.join('\n'), /warn Cannot pass the request on.*ECONNREFUSED/),
  );
});

test('An answer that breaks off breaks off for the client, and its call says why', async () => {
  const half = await rawUpstream((socket) => {
    socket.on('error', () => undefined);
    socket.once('data', () =>
      socket.end('HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 10\r\n\r\nhalf'),
    );
  });
  try {
    for (let i = 1; i <= 2; i++) {
      const exchange = await ask('/half', `'http://127.0.0.1:${half.port}', {cache = true}`);
      assert.equal(exchange.broken, true);
      assert.equal(half.connections(), i);
    }
    await eventually(() =>
      assert.match(harness.log.join('\n'), /result nil Cannot pass the request on to .* closed/),
    );
  } finally {
    await half.close();
  }
});

test('HEAD and conditions are answered by what GET has got', async () => {
  answer = (_request, response) =>
    response.setHeader('cache-control', 'max-age=60').setHeader('etag', '"1"').end('content');
  const fields = ['x-call', 'TARGET, {cache = true}'];
  const head = await harness.request('/head', { method: 'HEAD', fields });
  assert.deepEqual([head.status, head.text], [200, '']);
  assert.equal((await ask('/head')).text, 'content');
  assert.equal((await ask('/head', undefined, 'if-none-match', '"1"')).status, 304);
  const part = await ask('/head', undefined, 'range', 'bytes=1-3');
  assert.deepEqual([part.status, part.text], [206, 'ont']);
  const none = await ask('/not-there', undefined, 'cache-control', 'only-if-cached');
  assert.equal(none.status, 504);
  assert.deepEqual(asked, ['/head']);
});

for (const [call, message] of [
  ['TARGET, {cache = 1}', /option "cache" is a number \(a boolean or a table was expected\)/],
  ['TARGET, {cache = {tag = "a"}}', /cache has no option "tag"/],
  ['TARGET, {cache = {tags = "a"}}', /option "tags" is a string \(a list of tags was expected\)/],
  ['TARGET, {cache = {tags = {"a b"}}}', /option "tags" is "a b" \(one tag, without blanks and commas/],
] as const)
  test(`httpd.proxy refuses ${call}`, async () => {
    assert.equal((await ask('/misuse', call)).status, 500);
    assert.match(harness.log.join('\n'), message);
    assert.deepEqual(asked, []);
  });
