/** What bad requests and bad handlers get, each with its own answer, and the connection after it. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { askSession, PROTOCOLS, readToEnd, TestGateway } from '../support/test-gateway.ts';
import { WireClient } from '../support/wire-client.ts';

const HEAD_MAX = 4096;
const BODY_MAX = 10_000;
const INTERNAL_ERROR = 2;

const SCRIPT = `local httpd = require 'httpd'
httpd.register_handler('/read', function()
    local size = 0
    while true do
        local part, message = httpd.read(nil, 1000)
        if not part then break end
        size = size + #part
    end
    httpd.header{[':status'] = '200'}
    httpd.write(nil, 'read ' .. size)
end)
httpd.register_handler('/ignore', function() httpd.write(nil, 'ignored') end)
httpd.register_handler('/silent', function() end)
httpd.register_handler('/late', function()
    httpd.header{[':status'] = '200', ['content-length'] = 200000}
    httpd.write(nil, string.rep('x', 100000))
    error({'no text'})
end)
httpd.register_handler('/short', function()
    httpd.header{[':status'] = '200', ['content-length'] = 100}
    httpd.write(nil, 'short')
end)
local bad = {
    cr = {['x-name'] = 'a\\rb'}, lf = {['x-name'] = 'a\\nset-cookie: b'}, nul = {['x-name'] = 'a\\0b'},
    list = {['x-name'] = {'fine', 'a\\r\\nb'}}, name = {['x-name\\r\\nx'] = 'a'}, empty = {[''] = 'a'},
    colon = {['x-name:'] = 'a'}, blank = {['x name'] = 'a'}, boolean = {['x-name'] = true},
}
httpd.register_handler('/field', function(env)
    local fields = bad[env.QUERY_INFO]
    fields[':status'] = '200'
    local ok, message = pcall(httpd.header, fields)
    httpd.header{[':status'] = '200'}
    httpd.write(nil, tostring(ok) .. ' ' .. tostring(message))
end)
httpd.register_handler('/uncaught', function() httpd.header{[':status'] = '200', ['x-name'] = 'a\\r\\n\\r\\nb'} end)
httpd.register_handler('/promise', function()
    local ok, message = pcall(httpd.header, {[':method'] = 'GET', [':path'] = '/a\\r\\nb'})
    httpd.write(nil, tostring(ok) .. ' ' .. message)
end)`;

let gateway: TestGateway;
before(async () => {
  const words = ['--head-timeout', '1', '--max-head', `${HEAD_MAX}`, '--max-body', `${BODY_MAX}`];
  gateway = await TestGateway.start({ '/': SCRIPT }, { words });
});
after(() => gateway.stop());

test('A head that trickles is 408 and the end of the connection', async () => {
  const socket = await gateway.connect();
  const answer = readToEnd(socket);
  socket.write('GET /ignore HTTP/1.1\r\nHost: loc');
  const drip = setInterval(() => socket.write('a'), 100);
  assert.match(await answer, /^HTTP\/1\.1 408 Request Timeout\r\n.*<h1>408 Request Timeout<\/h1>/s);
  clearInterval(drip);
});

test('A head over the limit is 431, just under it is served', async () => {
  const fits = { headers: { 'x-big': 'b'.repeat(HEAD_MAX - 1000) } };
  const tooLarge = { headers: { 'x-big': 'b'.repeat(HEAD_MAX + 1) } };
  const session = await gateway.session();
  assert.equal((await askSession(session, '/ignore', fits)).status, 200);
  assert.equal((await askSession(session, '/ignore', tooLarge)).status, 431);
  assert.equal((await askSession(session, '/ignore')).status, 200, 'the HTTP/2 connection lives on');
  session.destroy();
  assert.equal((await gateway.ask('h1', '/ignore', fits)).status, 200);
  assert.equal((await gateway.ask('h1', '/ignore', tooLarge)).status, 431);
});

test('A body over the limit is 413, with a length or without, at the limit it is served', async () => {
  const atLimit = 'b'.repeat(BODY_MAX);
  for (const protocol of PROTOCOLS)
    for (const path of ['/read', '/ignore']) {
      const served = await gateway.ask(protocol, path, { method: 'POST', body: atLimit });
      assert.equal(served.text, path === '/read' ? `read ${BODY_MAX}` : 'ignored');
      const refused = await gateway.ask(protocol, path, {
        method: 'POST',
        headers: { 'content-length': `${BODY_MAX + 1}` },
        body: `${atLimit}b`,
      });
      assert.equal(refused.status, 413, `${protocol} ${path}`);
    }
  assert.equal(
    (await gateway.ask('h1', '/read', { method: 'POST', body: atLimit, chunked: true })).status,
    200,
  );
  const chunked = await gateway.ask('h1', '/read', { method: 'POST', body: `${atLimit}b`, chunked: true });
  assert.equal(chunked.status, 413);
  const wire = new WireClient(await gateway.connect('h2'));
  wire.request(1, '/read', { method: 'POST', open: true });
  wire.data(1, atLimit);
  wire.data(1, 'b', true);
  assert.equal((await wire.response(1)).status, 413);
  wire.request(3, '/ignore');
  assert.equal((await wire.response(3)).status, 200);
  wire.destroy();
  await gateway.untilIdle();
});

test('Malformed heads are 400 and nothing of them reaches a handler', async () => {
  for (const head of [
    'GET /ignore HTTP/1.1\r\n\r\n',
    'GET /ignore\r\n\r\n',
    'GET /ignore HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n',
    'GET /ignore HTTP/1.1\r\nHost: a\r\nbroken\r\n\r\n',
    'GET /ignore HTTP/1.1\r\nHost: a\r\nx: \0\r\n\r\n',
    'POST /read HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab',
    'POST /read HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    'G\x00T /ignore HTTP/1.1\r\nHost: a\r\n\r\n',
    '\x16\x03\x01 what is this',
  ]) {
    const text = await gateway.talk(head);
    assert.match(
      text,
      /^HTTP\/1\.[01] 400 Bad Request\r\n.*<h1>400 Bad Request<\/h1>/s,
      JSON.stringify(head),
    );
    assert.equal(text.match(/HTTP\/1\.[01] \d/g)?.length, 1);
  }
});

test('A handler that sends nothing is 500, and the log names it', async () => {
  for (const protocol of PROTOCOLS) assert.equal((await gateway.ask(protocol, '/silent')).status, 500);
  await gateway.untilLog(/Handler sent nothing .*handler=\/silent/);
});

test('A handler that fails in the middle, or writes less than it declared, cuts its answer', async () => {
  // as long as nothing was sent the whole answer becomes an error page
  for (const protocol of PROTOCOLS) {
    const { status, cut } = await gateway.ask(protocol, '/short');
    assert.deepEqual([status, cut], [500, false], protocol);
  }
  const { status, cut } = await gateway.ask('h1', '/late');
  assert.deepEqual([status, cut], [200, true]);
  // over HTTP/2 node's client may keep a head to itself that is followed by a reset
  const wire = new WireClient(await gateway.connect('h2'));
  wire.windowUpdate(0, 1_000_000);
  wire.request(1, '/late');
  wire.windowUpdate(1, 1_000_000);
  const late = await wire.response(1);
  assert.deepEqual([late.status, late.resetCode], [200, INTERNAL_ERROR]);
  wire.request(3, '/ignore');
  assert.equal((await wire.response(3)).body.toString(), 'ignored');
  wire.destroy();
  await gateway.untilLog(/no text|error object is a table|table: 0x/);
  await gateway.untilIdle();
});

test('CR, LF, NUL and other nonsense in a field is a Lua error that names it', async () => {
  for (const protocol of PROTOCOLS) {
    for (const variant of ['cr', 'lf', 'nul', 'list', 'name', 'colon', 'blank', 'boolean'])
      assert.match((await gateway.ask(protocol, `/field?${variant}`)).text, /^false .*x.name/i, variant);
    assert.match((await gateway.ask(protocol, '/field?empty')).text, /^false .*""/);
    assert.match((await gateway.ask(protocol, '/promise')).text, /^false .*:path/);
    const uncaught = await gateway.ask(protocol, '/uncaught');
    assert.deepEqual([uncaught.status, uncaught.headers['x-name']], [500, undefined]);
  }
  await gateway.untilLog(/script-0\.lua:\d+: .*"x-name"/);
});
