/** httpd.connect against real servers on the loopback interface: TCP, TLS and unix sockets, pools, times, limits and bad peers. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before } from 'node:test';
import { createServer as createTlsServer } from 'node:tls';
import { LINE_BYTES_MAX, SOCKETS_PER_INVOCATION_MAX } from '../../src/outbound/outbound-limits.ts';
import { calmTest as test } from '../support/calm.ts';
import { testCertificate } from '../support/certificate.ts';
import { collectGarbage } from '../support/collect-garbage.ts';
import { serveRedis } from '../support/redis-server.ts';
import { eventually, type HarnessOptions, outputOf } from '../support/script-harness.ts';
import { outputOfBody, runBody } from '../support/shared-state.ts';
import { deadPort, rawUpstream, type Upstream } from '../support/upstream.ts';

const folder = mkdtempSync(join(tmpdir(), 'lgw-connect-'));
const values = new Map<string, string>();
const servers: Server[] = [];
let redis: Upstream;
/** What it does is the first line that a client sends. */
let peer: Upstream;
const { cert, key } = testCertificate();

function listen(
  server: Server,
  where: { readonly path: string } | { readonly port: number },
): Promise<number> {
  servers.push(server);
  return new Promise((resolve) => {
    server.listen('path' in where ? where : { ...where, host: '127.0.0.1' }, () => {
      const address = server.address();
      resolve(typeof address === 'object' && address !== null ? address.port : 0);
    });
  });
}

/** What the odd server does with a connection. */
const TRICKS: Readonly<Record<string, (socket: Socket) => void>> = {
  half: (socket) => socket.end('last words\n'),
  reset: (socket) => socket.resetAndDestroy(),
  flood: (socket) => {
    const block = Buffer.alloc(65_536, 'x');
    const more = (): void => {
      while (!socket.destroyed && socket.write(block));
    };
    socket.on('drain', more);
    more();
  },
  // reads nothing more
  deaf: (socket) => void socket.pause(),
  silent: () => undefined,
  chatter: (socket) => void socket.write('one\ntwo'),
  // says something, unasked, when the script is done with it
  nag: (socket) => {
    socket.write('hello\n');
    socket.once('data', () => socket.write('unasked\n'));
  },
  leave: (socket) => {
    socket.write('hello\n');
    socket.once('data', () => socket.end());
  },
  stay: (socket) => void socket.write('hello\n'),
  bytes: (socket) => void socket.write(Buffer.from(Array.from({ length: 256 }, (_, i) => i))),
};

before(async () => {
  redis = await rawUpstream((socket) => serveRedis(socket, values));
  peer = await rawUpstream((socket) => {
    socket.on('error', () => undefined);
    socket.once('data', (first: Buffer) => TRICKS[first.toString().split('\n', 1)[0] as string]?.(socket));
  });
});

after(async () => {
  for (const server of servers) server.close();
  await Promise.all([redis.close(), peer.close()]);
  rmSync(folder, { recursive: true, force: true });
});

/** A client of Redis, and what talks to the odd server. */
const lua = (): string => `
  local REDIS, PEER = ${redis.port}, ${peer.port}
  local function odd(trick, options)
    local s = assert(httpd.connect('127.0.0.1', PEER, options))
    assert(s:write(trick .. '\\n'))
    return s
  end
  local function answer(s)
    local line, message, code = s:read('l')
    if not line then return nil, message, code end
    local kind, rest = line:match('^([+$:*-])(.-)\\r$')
    if kind == '+' then return rest end
    if kind == '-' then return nil, rest end
    if kind == ':' then return tonumber(rest) end
    local count = tonumber(rest)
    if kind == '$' then
      if count < 0 then return nil end
      local value = assert(s:read(count))
      assert(s:read(2) == '\\r\\n')
      return value
    end
    local items = {}
    for i = 1, count do items[i] = answer(s) end
    return items
  end
  local function command(s, ...)
    local words = {...}
    assert(s:write(('*%d\\r\\n'):format(#words)))
    for _, word in ipairs(words) do assert(s:write(('$%d\\r\\n%s\\r\\n'):format(#word, word))) end
    return answer(s)
  end
`;

const output = async (body: string): Promise<string> => (await outputOfBody(lua() + body)).trimEnd();
const outputWith = async (body: string, options: HarnessOptions): Promise<string> =>
  (await outputOf(lua() + body, options, (harness) => harness.expectNothingOpen())).trimEnd();

test('A script holds a conversation by lines and counts', async () => {
  const text = await output(`
    local s <close> = assert(httpd.connect('127.0.0.1', REDIS))
    say(command(s, 'PING'), command(s, 'SET', 'k', 'a\\r\\nb\\0c'), #command(s, 'GET', 'k'), command(s, 'GET', 'none'))
    say(command(s, 'NO'))
    local first, second = command(s, 'SUBSCRIBE', 'ch'), answer(s)
    say(table.concat(first, ','), table.concat(second, ','))
    local long = ('x'):rep(300000)
    say(command(s, 'SET', 'long', long), command(s, 'GET', 'long') == long, s.reused, tostring(s):match('^connection'))`);
  assert.equal(
    text,
    "PONG OK 6 nil\nnil ERR unknown command 'NO'\nsubscribe,ch,1 message,ch,news\nOK true 0 connection",
  );
});

test('Names, IPv6 addresses in brackets and times of operations are taken; misuse raises', async () => {
  const text = await output(`
    local s <close> = assert(httpd.connect('localhost', REDIS, {timeout = {connect = 5, read = 5, write = 5}}))
    say(command(s, 'PING'))
    for _, call in ipairs{
      function() httpd.connect() end,
      function() httpd.connect('127.0.0.1') end,
      function() httpd.connect('127.0.0.1', 0) end,
      function() httpd.connect('127.0.0.1', 65536) end,
      function() httpd.connect('unix:/x', 80) end,
      function() httpd.connect('127.0.0.1', 80, {speed = 1}) end,
      function() httpd.connect('127.0.0.1', 80, {timeout = 0}) end,
      function() httpd.connect('127.0.0.1', 80, {timeout = {connect = 11}}) end,
      function() httpd.connect('127.0.0.1', 80, {tls = 1}) end,
      function() httpd.connect('127.0.0.1', 80, {keepalive = ('x'):rep(129)}) end,
      function() s:keepalive(-1) end,
      function() s.keepalive(io.stdout) end,
      function() table.sort({1, 2}, function() httpd.connect('127.0.0.1', REDIS) end) end,
    } do
      local ok, message = pcall(call)
      say(ok, (message:gsub('^script.lua:%d+: ', '')))
    end`);
  const lines = text.split('\n');
  assert.equal(lines.shift(), 'PONG');
  assert.equal(lines.length, 13);
  for (const line of lines) assert.match(line, /^false /);
  assert.match(lines[2] as string, /a port from 1 to 65535 expected/);
  assert.match(lines[4] as string, /a unix socket has no port/);
  assert.match(lines[9] as string, /option "keepalive" has 129 bytes and the limit is 128/);
});

test('What cannot be reached gives nil, message and a code', async () => {
  const dead = await deadPort();
  const text = await output(`
    for _, place in ipairs{{'127.0.0.1', ${dead}}, {'name.invalid', 1}, {'', 1}, {'a b', 1}, {'a/b', 1}, {('x'):rep(255), 1},
      {'unix:relative'}, {'unix:/' .. ('x'):rep(107)}, {'unix:${folder}/none'}} do
      local s, message, code = httpd.connect(place[1], place[2])
      say(s, code, #message < 500)
    end`);
  assert.equal(
    text,
    [...['refused', 'notfound', 'invalid', 'invalid', 'invalid', 'invalid', 'invalid', 'invalid', 'notfound']]
      .map((code) => `nil ${code} true`)
      .join('\n'),
  );
});

test('A unix socket is a connection as any other', async () => {
  const path = join(folder, 'redis.sock');
  await listen(
    createServer((socket) => serveRedis(socket, values)),
    { path },
  );
  const text = await output(`
    local s <close> = assert(httpd.connect('unix:${path}'))
    say(command(s, 'ECHO', 'hi'))
    local t <close> = assert(httpd.connect('unix:${path}', {keepalive = true}))
    say(command(t, 'ECHO', 'ho'))`);
  assert.equal(text, 'hi\nho');
});

test('Unix sockets need an entry of their own under --allow-connect, and under --root', async () => {
  const path = join(folder, 'rule.sock');
  await listen(
    createServer((socket) => serveRedis(socket, values)),
    { path },
  );
  const body = `local s, message, code = httpd.connect('unix:${path}') say(s and command(s, 'PING'), code)`;
  assert.equal(await outputWith(body, { rights: { connect: [`unix:${path}`] } }), 'PONG nil');
  assert.equal(await outputWith(body, { rights: { connect: ['public', '127.0.0.1'] } }), 'nil denied');
  assert.equal(await outputWith(body, { rights: { connect: [`unix:${folder}/other`] } }), 'nil denied');
  assert.equal(await outputWith(body, { rooted: true }), 'nil denied');
});

test('TLS checks the certificate and the name unless it is told not to', async () => {
  const port = await listen(
    createTlsServer({ cert, key }, (socket) => serveRedis(socket, values)),
    { port: 0 },
  );
  const text = await outputWith(
    `local function try(host, tls)
      local s <close>, message, code = httpd.connect(host, ${port}, {tls = tls})
      say(s and command(s, 'PING'), code, message and message:match('self.signed') or message and message:match('altnames'))
    end
    try('127.0.0.1', true)
    try('127.0.0.1', {verify = false})
    try('127.0.0.1', {ca = 'ca.pem'})
    try('localhost', {ca = 'ca.pem'})
    try('127.0.0.1', {ca = 'ca.pem', servername = 'other.example'})
    try('127.0.0.1', {ca = '-----BEGIN nonsense'})
    try('127.0.0.1', {ca = 'none.pem'})`,
    { files: { 'ca.pem': cert } },
  );
  assert.deepEqual(text.split('\n').slice(0, 5), [
    'nil denied self-signed',
    'PONG nil nil',
    'PONG nil nil',
    'PONG nil nil',
    'nil denied altnames',
  ]);
  assert.match(text.split('\n')[5] as string, /^nil (invalid|denied) /);
  assert.match(text.split('\n')[6] as string, /^nil notfound /);
});

test('A client certificate is shown where the server asks for one', async () => {
  const port = await listen(
    createTlsServer({ cert, key, ca: cert, requestCert: true, rejectUnauthorized: true }, (socket) => {
      socket.end(`${socket.getPeerCertificate().subject.CN}\n`);
    }),
    { port: 0 },
  );
  const text = await outputWith(
    `local s <close> = assert(httpd.connect('127.0.0.1', ${port}, {tls = {ca = 'c.pem', cert = 'c.pem', key = 'k.pem'}}))
    say(s:read('a'))`,
    { files: { 'c.pem': cert, 'k.pem': key } },
  );
  assert.equal(text, 'localhost');
});

test('A peer that speaks no TLS, or nothing, fails the connection in time', async () => {
  const text = await output(`
    local s, message, code = httpd.connect('127.0.0.1', REDIS, {tls = {verify = false}, timeout = 0.3})
    say(s, code)
    local deaf = assert(httpd.connect('127.0.0.1', PEER))`);
  assert.match(text, /^nil (timeout|denied|closed|io)$/);
});

test('Under --allow-connect the address that a name stands for is checked, and only that one is connected to', async () => {
  const body = `local s, message, code = httpd.connect('inside.example', REDIS) say(s and command(s, 'PING'), code, message)`;
  let asked = 0;
  const lookup = ((_name: string, options: { all?: boolean }, callback: (...values: unknown[]) => void) => {
    asked += 1;
    // the second answer would be allowed to nobody
    const address = asked === 1 ? '127.0.0.1' : '8.8.8.8';
    process.nextTick(() =>
      options.all === true ? callback(null, [{ address, family: 4 }]) : callback(null, address, 4),
    );
  }) as never;
  assert.match(
    await outputWith(body, { rights: { connect: ['public'] }, lookup }),
    /^nil denied .*--allow-connect/,
  );
  asked = 0;
  assert.equal(await outputWith(body, { rights: { connect: ['127.0.0.1'] }, lookup }), 'PONG nil nil');
  assert.equal(asked, 1);
  asked = 0;
  assert.match(await outputWith(body, { rights: { connect: ['none'] }, lookup }), /^nil denied /);
  assert.equal(asked, 0);
});

test('A read that waits too long is a timeout, and what came later is there for the next', async () => {
  const text = await output(`
    local s <close> = odd('chatter', {timeout = {read = 0.2}})
    say(s:read('l'))
    local line, message, code = s:read('l')
    say(line, code)
    say(s:read(3))
    say(select(3, s:read(1)))
    say(s:write('more'))`);
  assert.equal(text, 'one\nnil timeout\ntwo\ntimeout\n4');
});

test('httpd.copy from a peer that stalls fails, and does not look as if it had come to the end', async () => {
  const text = await output(`
    local s <close> = odd('chatter', {timeout = {read = 0.2}})
    local out <close> = io.tmpfile()
    local n, message, code = httpd.copy(out, s)
    say(n, code)`);
  assert.equal(text, 'nil timeout');
});

test('A peer that takes nothing makes the script wait, and then fails the write', async () => {
  const text = await output(`
    local s <close> = odd('deaf', {timeout = {write = 0.3}})
    local block, n = ('x'):rep(65536), 0
    while true do
      local written, message, code = s:write(block)
      if not written then say(code) break end
      n = n + written
      assert(n < 64 * 1024 * 1024, 'the peer takes nothing')
    end
    say(select(3, s:write('x')), select(3, s:read(1)))`);
  assert.equal(text, 'timeout\ntimeout timeout');
});

test('A peer that floods is held back: little is read ahead, and what is read is right', async () => {
  const { counters, text } = await (async () => {
    collectGarbage();
    const before = process.memoryUsage().arrayBuffers;
    const exchange = await runBody(`${lua()}
      local s <close> = odd('flood')
      httpd.sleep(0.2)
      local n = 0
      for i = 1, 64 do n = n + #assert(s:read(100000)) end
      say(n)`);
    collectGarbage();
    return { counters: process.memoryUsage().arrayBuffers - before, text: exchange.text.trimEnd() };
  })();
  assert.equal(text, '6400000');
  assert.ok(counters < 32 * 1024 * 1024, `${counters} bytes more`);
});

test('A line without an end is refused at its limit, and the connection is over', async () => {
  const text = await output(`
    local s <close> = odd('flood')
    local line, message, code = s:read('l')
    say(line, code, message)
    say(select(3, s:read(1)) or 'more', select(3, s:write('x')))`);
  const [first = '', second] = text.split('\n');
  assert.match(
    first,
    new RegExp(
      `^nil limit Cannot read a line: it has \\d+ bytes or more and the limit is ${LINE_BYTES_MAX}$`,
    ),
  );
  assert.match(second as string, /limit$/);
});

test('After the other side has ended its direction the script still writes, and reads what came', async () => {
  const received = new Promise<string>((resolve) => {
    TRICKS_OF_TEST['half-open'] = (socket) => {
      socket.end('bye\n');
      let text = '';
      socket.on('data', (chunk: Buffer) => {
        text += chunk.toString();
      });
      socket.on('end', () => resolve(text));
    };
  });
  const port = await listen(
    createServer({ allowHalfOpen: true }, (socket) => TRICKS_OF_TEST['half-open']?.(socket)),
    { port: 0 },
  );
  const text = await output(`
    local s = assert(httpd.connect('127.0.0.1', ${port}))
    say(s:read('l'), s:read('l'), s:read(1), s:read('a') == '')
    say(s:write('still here'))
    s:close()
    say(pcall(s.read, s, 1))`);
  assert.equal(text, 'bye nil nil true\n10\nfalse attempt to use a closed stream');
  assert.equal(await received, 'still here');
});
const TRICKS_OF_TEST: Record<string, (socket: Socket) => void> = {};

test('A connection that breaks off gives what came, then "closed"', async () => {
  const text = await output(`
    local s <close> = odd('reset')
    local bytes, message, code = s:read(1)
    say(bytes, code)
    local t <close> = odd('bytes')
    local all = assert(t:read(256))
    for i = 0, 255 do assert(all:byte(i + 1) == i) end
    say(#all)`);
  assert.equal(text, 'nil closed\n256');
});

test('A connection that was given back is used again: same place, options and name', async () => {
  const before = redis.connections();
  const text = await output(`
    local function use(options)
      local s = assert(httpd.connect('127.0.0.1', REDIS, options))
      assert(command(s, 'PING') == 'PONG')
      local reused = s.reused
      return reused, s:keepalive(30)
    end
    local a = {keepalive = 'first'}
    say(use(a)) say(use(a)) say(use(a))
    say(use{keepalive = 'other'})
    say(use{keepalive = true})
    local s = assert(httpd.connect('127.0.0.1', REDIS, a))
    s:keepalive()
    say(pcall(s.read, s, 1))
    say(pcall(s.keepalive, s))`);
  assert.equal(
    text,
    '0 true\n1 true\n2 true\n0 true\n0 true\nfalse attempt to use a closed stream\nfalse attempt to use a closed stream',
  );
  assert.equal(redis.connections() - before, 3);
});

test('What cannot be used again is closed, and says why', async () => {
  const text = await output(`
    local s = assert(httpd.connect('127.0.0.1', REDIS))
    local function why(_, message, code) say(message, code) end
    why(s:keepalive())
    local t = odd('chatter', {keepalive = true})
    t:read('l')
    why(t:keepalive())
    local u = odd('half', {keepalive = true})
    u:read('a')
    why(u:keepalive())`);
  assert.deepEqual(
    text.split('\n').map((line) => line.replace(/^.*": /, '')),
    [
      'it was opened without the option "keepalive" invalid',
      '3 bytes that came have not been read invalid',
      'it is closed closed',
    ],
  );
});

test('A kept connection that gets bytes, or is closed by its peer, is thrown away', async () => {
  for (const trick of ['nag', 'leave']) {
    const before = peer.open();
    const text = await output(`
      local options = {keepalive = '${trick}'}
      local s = odd('${trick}', options)
      assert(s:read('l') == 'hello')
      s:write('go on\\n')
      assert(s:keepalive())
      httpd.sleep(0.05)
      local t <close> = odd('stay', options)
      say(t.reused, t:read('l'))`);
    assert.equal(text, '0 hello', trick);
    await eventually(() => assert.ok(peer.open() <= before));
  }
});

test('Idle connections end when their time is over', async () => {
  const before = redis.open();
  await output(`
    local s = assert(httpd.connect('127.0.0.1', REDIS, {keepalive = 'short'}))
    say(s:keepalive(0.05))`);
  await eventually(() => assert.ok(redis.open() <= before));
});

test('A connection ends with its request, with <close>, and when it is collected', async () => {
  const before = redis.open();
  const text = await output(`
    kept = assert(httpd.connect('127.0.0.1', REDIS))
    do local s <close> = assert(httpd.connect('127.0.0.1', REDIS)) end
    assert(httpd.connect('127.0.0.1', REDIS))
    collectgarbage() collectgarbage()
    local n = 0
    for i = 1, ${SOCKETS_PER_INVOCATION_MAX - 1} do n = n + (httpd.connect('127.0.0.1', REDIS) and 1 or 0) end
    say(n > 0)`);
  assert.equal(text, 'true');
  await eventually(() => assert.ok(redis.open() <= before));
  assert.equal(
    await output(`say(pcall(kept.read, kept, 1)) kept = nil`),
    'false attempt to use a closed stream',
  );
});

test('A request has a limited number of connections', async () => {
  const text = await output(`
    local open = {}
    for i = 1, ${SOCKETS_PER_INVOCATION_MAX} do open[i] = assert(httpd.connect('127.0.0.1', REDIS)) end
    local s, message, code = httpd.connect('127.0.0.1', REDIS)
    say(s, code, message:match('the limit is %d+'))`);
  assert.equal(text, `nil limit the limit is ${SOCKETS_PER_INVOCATION_MAX}`);
});

test('What was written just before the end of a request leaves', async () => {
  const received = new Promise<number>((resolve) => {
    TRICKS_OF_TEST['count'] = (socket) => {
      let bytes = 0;
      socket.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
      });
      socket.on('end', () => resolve(bytes));
    };
  });
  const port = await listen(
    createServer((socket) => TRICKS_OF_TEST['count']?.(socket)),
    { port: 0 },
  );
  await output(`
    local s = assert(httpd.connect('127.0.0.1', ${port}))
    s:write(('x'):rep(1000000))
    say(s:write('end'))`);
  assert.equal(await received, 1_000_003);
});

test('Closing a connection wakes the task that reads from it', async () => {
  const text = await output(`
    local s = odd('silent')
    local task = httpd.spawn(function() return select(3, s:read(1)) end)
    httpd.sleep(0.01)
    s:close()
    say(httpd.wait(task))`);
  assert.match(text, /closed/);
});

test('Timers and tasks connect, too; the top level does not', async () => {
  const text = await outputWith(
    `local done = {}
    httpd.spawn(function() local s <close> = assert(httpd.connect('127.0.0.1', REDIS)) done[1] = command(s, 'PING') end)
    while not done[1] do httpd.sleep(0.01) end
    say(done[1], pcall(load("return httpd.connect('127.0.0.1', 1)")))`,
    {},
  );
  assert.match(text, /^PONG /);
});
