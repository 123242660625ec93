/** What lhttpd got wrong, rows 1 to 21: bodies both ways, HTTP/2 itself, errors and push. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { regressionSuite } from '../support/regression.ts';
import { sha256 } from '../support/sha256.ts';
import { askSession, PROTOCOLS } from '../support/test-gateway.ts';
import { FRAME, WireClient } from '../support/wire-client.ts';

const OK = `httpd.header{[':status'] = '200', ['content-type'] = 'text/plain'}\n`;
const READ_ALL = `local parts = {}
while true do
    local part = httpd.read(nil, 10000)
    if not part then break end
    parts[#parts + 1] = part
end
local body = table.concat(parts)
`;
const SETTINGS_INITIAL_WINDOW = 4;
const INTERNAL_ERROR = 2;

const { regression } = regressionSuite();

regression(
  1,
  'A POST is answered, before its body is read too',
  `${OK}httpd.write(nil, 'first ')\n${READ_ALL}httpd.write(nil, #body)`,
  async (gateway, path) => {
    for (const protocol of PROTOCOLS)
      for (const method of ['POST', 'PUT', 'PATCH', 'DELETE']) {
        const answer = await gateway.ask(protocol, path, { method, body: 'x'.repeat(70_000) });
        assert.deepEqual([answer.status, answer.text, answer.cut], [200, 'first 70000', false], method);
      }
  },
);

regression(
  2,
  'The head of an answer to POST is complete',
  `${OK}httpd.write(nil, 'answer')`,
  async (gateway, path) => {
    const text = await gateway.talk(
      `POST ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi`,
    );
    assert.match(text, /^HTTP\/1\.1 200 OK\r\n(?:[^\r\n]+\r\n)+\r\nanswer$/);
  },
);

regression(
  3,
  'An answer without Content-Length ends at once on a connection that stays open',
  `${OK}httpd.write(nil, 'short')`,
  async (gateway, path) => {
    const one = `GET ${path} HTTP/1.1\r\nHost: localhost\r\n`;
    const text = await gateway.talk(`${one}\r\n${one}\r\n${one}Connection: close\r\n\r\n`);
    assert.equal(text.match(/HTTP\/1\.1 200 OK\r\n/g)?.length, 3);
    assert.equal(text.match(/\r\ncontent-length: 5\r\n/gi)?.length, 3);
    assert.equal(text.match(/\r\n\r\nshort/g)?.length, 3);
  },
);

regression(
  4,
  'Reading past the end gives the rest, then nil for ever',
  `local first, second, third = httpd.read(nil, 100), httpd.read(nil, 100), httpd.read(nil, 1)
${OK}httpd.write(nil, tostring(first) .. ' ' .. tostring(second) .. ' ' .. tostring(third))`,
  async (gateway, path) => {
    for (const protocol of PROTOCOLS) {
      const body = '0123456789';
      const answer = await gateway.ask(protocol, path, { method: 'POST', body });
      assert.equal(answer.text, '0123456789 nil nil', protocol);
      assert.equal((await gateway.ask(protocol, path)).text, 'nil nil nil', protocol);
      assert.equal((await gateway.ask(protocol, path, { method: 'PUT' })).text, 'nil nil nil', protocol);
    }
  },
);

regression(
  5,
  'One read may take more than any buffer or frame',
  `local body = httpd.read(nil, 3000000)
${OK}httpd.write(nil, #body .. ' ' .. httpd.crypto.hash('sha256', body, 'hex'))`,
  async (gateway, path) => {
    const body = randomBytes(3_000_000);
    for (const protocol of PROTOCOLS)
      assert.equal(
        (await gateway.ask(protocol, path, { method: 'POST', body })).text,
        `3000000 ${sha256(body)}`,
      );
  },
);

regression(
  6,
  'TLS records of 16 KiB, full with head and body, arrive whole',
  `${READ_ALL}${OK}httpd.write(nil, httpd.crypto.hash('sha256', body, 'hex'))`,
  async (gateway, path) => {
    for (const size of [16_384, 65_536]) {
      const body = randomBytes(size);
      const head = `POST ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: ${size}\r\n\r\n`;
      const text = await gateway.talk(head + body.toString('latin1'));
      assert.ok(text.endsWith(`\r\n\r\n${sha256(body)}`), `${size} bytes: ${text}`);
    }
  },
);

regression(
  7,
  'DATA frames of interleaved HTTP/2 streams reach their own handlers',
  `${READ_ALL}${OK}httpd.write(nil, body)`,
  async (gateway, path) => {
    const wire = new WireClient(await gateway.connect('h2'));
    const streams = [1, 3, 5, 7];
    for (const stream of streams) wire.request(stream, path, { method: 'POST', open: true });
    for (let round = 0; round < 20; round++)
      for (const stream of streams) wire.data(stream, `${stream}.${round} `, round === 19);
    for (const stream of streams) {
      const { status, body } = await wire.response(stream);
      const wanted = Array.from({ length: 20 }, (_, round) => `${stream}.${round} `).join('');
      assert.deepEqual([status, body.toString()], [200, wanted]);
    }
    wire.destroy();
  },
);

regression(
  8,
  'An HTTP/2 upload larger than the first window is granted more',
  `${READ_ALL}${OK}httpd.write(nil, httpd.crypto.hash('sha256', body, 'hex'))`,
  async (gateway, path) => {
    const body = randomBytes(5_000_000);
    const session = await gateway.session();
    for (let i = 0; i < 2; i++)
      assert.equal((await askSession(session, path, { method: 'POST', body })).text, sha256(body));
    session.destroy();
  },
);

regression(
  9,
  'No more is sent than the HTTP/2 client has granted',
  `${OK}for i = 1, 30 do httpd.write(nil, string.rep('x', 10000)) end`,
  async (gateway, path) => {
    const wire = new WireClient(await gateway.connect('h2'), { [SETTINGS_INITIAL_WINDOW]: 1000 });
    wire.request(1, path);
    await wire.frame(({ type }) => type === FRAME.data, 'the first bytes');
    await wire.ping();
    assert.equal(wire.body(1).length, 1000);
    wire.windowUpdate(1, 500);
    await wire.ping();
    await wire.frame(() => wire.body(1).length >= 1500, 'the bytes that were granted');
    await wire.ping();
    assert.equal(wire.body(1).length, 1500);
    wire.windowUpdate(1, 1_000_000);
    await wire.frame(() => wire.body(1).length >= 65_535, "the connection's window");
    await wire.ping();
    assert.equal(wire.body(1).length, 65_535);
    wire.windowUpdate(0, 1_000_000);
    assert.equal((await wire.response(1)).body.length, 300_000);
    wire.destroy();
  },
);

regression(
  10,
  'A request head may come in CONTINUATION frames',
  `${OK}httpd.write(nil, header['x-long'] .. header['x-last'])`,
  async (gateway, path) => {
    const wire = new WireClient(await gateway.connect('h2'));
    const long = 'abc'.repeat(3000);
    wire.request(1, path, {
      pieces: 7,
      fields: [
        ['x-long', long],
        ['x-last', 'end'],
      ],
    });
    const { status, body } = await wire.response(1);
    assert.deepEqual([status, body.toString()], [200, `${long}end`]);
    wire.destroy();
  },
);

regression(11, 'The answer to a PING repeats its eight bytes', `${OK}`, async (gateway) => {
  const wire = new WireClient(await gateway.connect('h2'));
  for (const payload of [Buffer.from([1, 2, 3, 4, 5, 6, 7, 255]), randomBytes(8)])
    assert.deepEqual(await wire.ping(payload), payload);
  wire.destroy();
});

regression(
  12,
  'After 404 the connection serves on',
  `${OK}httpd.write(nil, 'here')`,
  async (gateway, path) => {
    const session = await gateway.session();
    const wanted = [404, 200, 404, 404, 200];
    const answers = await Promise.all(
      wanted.map((status) => askSession(session, status === 200 ? path : '/not/there')),
    );
    assert.deepEqual(
      answers.map(({ status }) => status),
      wanted,
    );
    assert.match(answers[0]?.text ?? '', /<h1>404 Not Found<\/h1>/);
    assert.ok(!session.closed && !session.destroyed);
    session.destroy();
    const text = await gateway.talk(
      `GET /not/there HTTP/1.1\r\nHost: localhost\r\n\r\nGET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`,
    );
    assert.match(text, /^HTTP\/1\.1 404 Not Found\r\n.*HTTP\/1\.1 200 OK\r\n.*here$/s);
  },
);

regression(
  13,
  'A Lua error before the head is 500 with a traceback in the log',
  `local function inner() error('no luck in 13') end\ninner()`,
  async (gateway, path) => {
    for (const protocol of PROTOCOLS) {
      const answer = await gateway.ask(protocol, path);
      assert.equal(answer.status, 500);
      assert.match(answer.text, /<h1>500 Internal Server Error<\/h1>/);
      assert.ok(!answer.text.includes('no luck'));
    }
    await gateway.untilLog(/script-0\.lua:\d+: no luck in 13.*stack traceback:.*inner/s);
  },
);

regression(
  14,
  'A Lua error after the head cuts the answer visibly',
  `${OK}httpd.write(nil, string.rep('x', 100000))\nerror('too late')`,
  async (gateway, path) => {
    const answer = await gateway.ask('h1', path);
    assert.deepEqual([answer.status, answer.cut], [200, true]);
    // node's client may keep a head to itself that is followed by a reset
    const wire = new WireClient(await gateway.connect('h2'));
    wire.windowUpdate(0, 1_000_000);
    wire.windowUpdate(0, 1_000_000);
    wire.request(1, path);
    wire.windowUpdate(1, 1_000_000);
    const { status, resetCode } = await wire.response(1);
    assert.deepEqual([status, resetCode], [200, INTERNAL_ERROR]);
    wire.request(3, '/12');
    assert.equal((await wire.response(3)).status, 200);
    wire.destroy();
  },
);

regression(
  15,
  'A handler that sends nothing is 500 and a line in the log',
  'local x = 1',
  async (gateway, path) => {
    for (const protocol of PROTOCOLS) assert.equal((await gateway.ask(protocol, path)).status, 500);
    await gateway.untilLog(/ error worker-1 Handler sent nothing .*handler=\/15 method=GET target=\/15/);
  },
);

regression(
  16,
  'write before header is a whole 200 answer',
  `httpd.write(nil, 'body')`,
  async (gateway, path) => {
    for (const protocol of PROTOCOLS) {
      const answer = await gateway.ask(protocol, path);
      assert.deepEqual([answer.status, answer.text, answer.cut], [200, 'body', false], protocol);
    }
  },
);

regression(
  17,
  'HTTP/1 answers have no lines for pseudo fields, and keep fields whose names begin with status',
  `httpd.header{[':status'] = '202', [':x'] = 'y', ['status-foo'] = 'kept'}`,
  async (gateway, path) => {
    const text = await gateway.talk(`GET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`);
    assert.match(text, /^HTTP\/1\.1 202 Accepted\r\n/);
    assert.doesNotMatch(text, /^:/m);
    assert.match(text, /^status-foo: kept\r$/im);
  },
);

regression(
  18,
  'A status may be a number or text, with or without colon, over both protocols',
  `local all = {a = {[':status'] = 201}, b = {status = 201}, c = {status = '201 Made'}, d = {[':status'] = '201'}}
httpd.header(all[env.QUERY_INFO])\nhttpd.write(nil, 'ok')`,
  async (gateway, path) => {
    for (const protocol of PROTOCOLS)
      for (const variant of 'abcd') {
        const answer = await gateway.ask(protocol, `${path}?${variant}`);
        assert.deepEqual([answer.status, answer.text], [201, 'ok'], `${protocol} ${variant}`);
      }
  },
);

regression(
  19,
  'A promise without its fields is an error that the script can catch, and the process lives on',
  {
    '/19': `httpd.header{[':method'] = 'GET'}`,
    '/19b': `local ok, message = pcall(httpd.header, {[':method'] = 'GET', [':path'] = {}})
${OK}httpd.write(nil, tostring(ok) .. ' ' .. message)`,
  },
  async (gateway, path) => {
    for (const protocol of PROTOCOLS) {
      assert.equal((await gateway.ask(protocol, path)).status, 500);
      assert.match((await gateway.ask(protocol, '/19b')).text, /^false .*:path/);
    }
  },
);

regression(
  20,
  'Promising a path that nobody serves leaves the answer alone',
  `httpd.header{[':method'] = 'GET', [':scheme'] = 'https', [':authority'] = 'localhost', [':path'] = '/no/such'}
${OK}httpd.write(nil, 'fine')`,
  async (gateway, path) => {
    for (const enablePush of [true, false]) {
      const session = await gateway.session({ settings: { enablePush } });
      let promised = 0;
      session.on('stream', () => {
        promised += 1;
      });
      const answer = await askSession(session, path);
      assert.deepEqual([answer.status, answer.text, answer.cut, promised], [200, 'fine', false, 0]);
      session.destroy();
    }
  },
);

regression(
  21,
  'A promise is no error where push is impossible: one 103 names what to load',
  `httpd.header{[':method'] = 'GET', [':path'] = '/12'}
httpd.header{[':method'] = 'GET', [':path'] = '/16'}
${OK}httpd.write(nil, 'page')`,
  async (gateway, path) => {
    for (const protocol of PROTOCOLS) {
      const answer = await gateway.ask(protocol, path);
      assert.deepEqual([answer.status, answer.text, answer.informational], [200, 'page', [103]], protocol);
    }
    const old = await gateway.talk(`GET ${path} HTTP/1.0\r\nHost: localhost\r\n\r\n`);
    assert.match(old, /^HTTP\/1\.[01] 200 OK\r\n.*page$/s);
  },
);
