/** `--compress` and `httpd.compress` with the real program: scripts, folders, live streams. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdirSync, readdirSync, utimesSync, writeFileSync } from 'node:fs';
import { buffer } from 'node:stream/consumers';
import { after, before, test } from 'node:test';
import { brotliCompressSync, brotliDecompressSync, constants, gunzipSync, gzipSync } from 'node:zlib';
import { connectSecure } from '../support/raw-client.ts';
import { askSession, PROTOCOLS, TestGateway } from '../support/test-gateway.ts';

const TEXT = 'All work and no play makes Jack a dull boy.\n'.repeat(1000);

/** Of an answer that is compressed to something that is large, too. */
const LARGE_BYTES = 48 * 65536;

const SCRIPT = `local httpd = require 'httpd'
local function on(name, fn) httpd.register_handler(name, fn) end
local text = ('text '):rep(1000)
local function answer(kind)
    httpd.header{[':status'] = 200, ['content-type'] = kind, etag = '"a"', vary = 'origin'}
    httpd.write(nil, text)
end
on('/plain', function() answer 'text/plain' end)
on('/other', function() answer 'application/x-other' end)
on('/asked', function() httpd.compress(true) answer 'application/x-other' end)
on('/level', function() httpd.compress{level = 9, min = 1} answer 'application/x-other' end)
on('/long', function() httpd.compress{min = 5001} answer 'text/plain' end)
on('/off', function() httpd.compress(false) answer 'text/plain' end)
on('/coded', function()
    httpd.compress(true)
    httpd.header{[':status'] = 200, ['content-type'] = 'text/plain', ['content-encoding'] = 'x-own'}
    httpd.write(nil, text)
end)
on('/misuse', function()
    local function try(...) return tostring(select(2, pcall(httpd.compress, ...))) end
    local lines = {try(), try(1), try({level = 0}), try({level = 10}), try({min = -1}), try({min = 1.5}), try({level = '4'}), try({other = 1})}
    httpd.write(nil, table.concat(lines, '\\n') .. '\\n')
    httpd.write(nil, try(true))
end)
on('/pushing', function()
    httpd.header{[':path'] = '/plain', ['accept-encoding'] = 'gzip'}
    httpd.header{[':path'] = '/plain'}
    answer 'text/plain'
end)
local digits = httpd.crypto.random(32 * 1024):gsub('.', function(c) return ('%02x'):format(c:byte()) end)
on('/large', function()
    httpd.header{[':status'] = 200, ['content-type'] = 'text/plain'}
    for _ = 1, ${LARGE_BYTES / 65536} do httpd.write(nil, digits) end
end)
on('/live', function()
    httpd.header{[':status'] = 200, ['content-type'] = 'text/event-stream'}
    httpd.write(nil, 'data: one\\n\\n')
    httpd.read(nil, 1)
    httpd.write(nil, 'data: two\\n\\n')
end)`;

let gateway: TestGateway;

before(async () => {
  gateway = await TestGateway.start(
    { '/': SCRIPT },
    {
      words: ['--compress', '-l', '/static', '$FOLDER/public/'],
      keeps: true,
      prepare: (folder) => {
        mkdirSync(folder.file('public'));
        writeFileSync(folder.file('public/large.txt'), TEXT);
        writeFileSync(folder.file('public/app.js'), TEXT);
        writeFileSync(folder.file('public/app.js.gz'), gzipSync(TEXT));
        writeFileSync(folder.file('public/app.js.br'), brotliCompressSync(TEXT));
        // a file of this second has no Last-Modified yet
        const before = new Date('2020-01-01T00:00:00Z');
        for (const name of readdirSync(folder.file('public')))
          utimesSync(folder.file(`public/${name}`), before, before);
      },
    },
  );
});

after(() => gateway?.stop());

for (const protocol of PROTOCOLS) {
  const ask = (path: string, accepted: string, more: Readonly<Record<string, string>> = {}, method = 'GET') =>
    gateway.ask(protocol, path, { method, headers: { 'accept-encoding': accepted, ...more } });

  test(`A file of a folder is compressed once, whether a form lies beside it or not (${protocol})`, async () => {
    const made = await ask('/static/large.txt', 'gzip');
    assert.equal(made.headers['content-encoding'], 'gzip');
    assert.equal(gunzipSync(made.body).toString(), TEXT);
    assert.match(made.headers['etag'] ?? '', /^W\/"/);
    assert.equal(made.headers['vary'], 'accept-encoding');
    const gzip = await ask('/static/app.js', 'gzip');
    assert.equal(gzip.headers['content-encoding'], 'gzip');
    assert.ok(gzip.body.equals(gzipSync(TEXT)), 'the file itself');
    const br = await ask('/static/app.js', 'br, gzip');
    assert.equal(br.headers['content-encoding'], 'br');
    assert.equal(brotliDecompressSync(br.body).toString(), TEXT);
  });

  test(`A part of a file goes as it is, a whole one that was asked for by a weak tag is compressed (${protocol})`, async () => {
    const part = await ask('/static/large.txt', 'gzip', { range: 'bytes=0-4' });
    assert.deepEqual(
      [part.status, part.text, part.headers['content-encoding'], part.headers['content-length']],
      [206, TEXT.slice(0, 5), undefined, '5'],
    );
    const tag = (await ask('/static/large.txt', 'gzip')).headers['etag'] as string;
    const whole = await ask('/static/large.txt', 'gzip', { range: 'bytes=0-4', 'if-range': tag });
    assert.deepEqual([whole.status, whole.headers['content-encoding']], [200, 'gzip']);
    const known = await ask('/static/large.txt', 'gzip', { 'if-none-match': tag });
    assert.deepEqual(
      [known.status, known.headers['etag'], known.headers['vary']],
      [304, tag, 'accept-encoding'],
    );
  });

  test(`HEAD has the fields of GET but for the length (${protocol})`, async () => {
    const names = (headers: Readonly<Record<string, string>>): unknown =>
      Object.entries(headers).filter(([name]) => !/^(content-length|transfer-encoding|date)$/.test(name));
    for (const path of ['/static/large.txt', '/static/app.js', '/plain', '/off'])
      for (const accepted of ['gzip', 'identity']) {
        const [get, head] = [await ask(path, accepted), await ask(path, accepted, {}, 'HEAD')];
        assert.deepEqual(names(head.headers), names(get.headers), `${path} ${accepted}`);
        assert.equal(head.body.length, 0);
      }
  });

  test(`httpd.compress decides for one answer, whatever the type (${protocol})`, async () => {
    for (const [path, coding] of [
      ['/plain', 'gzip'],
      ['/other', undefined],
      ['/asked', 'gzip'],
      ['/level', 'gzip'],
      ['/long', undefined],
      ['/off', undefined],
      ['/coded', 'x-own'],
    ] as const) {
      const { headers, body } = await ask(path, 'gzip');
      assert.equal(headers['content-encoding'], coding, path);
      if (coding !== 'gzip') assert.equal(body.length, 5000, path);
      else {
        assert.equal(gunzipSync(body).length, 5000);
        assert.deepEqual([headers['vary'], headers['etag']], ['origin, accept-encoding', 'W/"a"'], path);
      }
    }
  });
}

test('A client that takes no coding and refuses the answer as it is gets it all the same', async () => {
  for (const accepted of [
    'identity;q=0',
    '*;q=0',
    'deflate, *;q=0',
    `${'gzip, '.repeat(500)}gzip`,
    'gzip;q=x',
  ]) {
    const { status, headers, body } = await gateway.ask('h2', '/plain', {
      headers: { 'accept-encoding': accepted },
    });
    assert.deepEqual([status, headers['content-encoding'], body.length], [200, undefined, 5000], accepted);
    assert.equal(headers['vary'], 'origin, accept-encoding');
  }
});

test('httpd.compress refuses what it does not know, and comes before the head', async () => {
  const { text } = await gateway.ask('h2', '/misuse');
  const lines = text.split('\n');
  for (const [i, pattern] of [
    /expected/,
    /table expected/,
    /option "level" is 0 \(a whole number from 1 to 9 was expected\)/,
    /option "level" is 10/,
    /option "min" is -1/,
    /option "min" is 1.5/,
    /level.*number/,
    /other/,
    /headers already sent: compress has to be called before them/,
  ].entries())
    assert.match(lines[i] ?? '', pattern);
});

test('What a live stream has written can be decoded while its handler waits, over both protocols', async () => {
  const decode = (bytes: Buffer): string =>
    gunzipSync(bytes, { finishFlush: constants.Z_SYNC_FLUSH }).toString();
  const session = await gateway.session();
  const stream = session.request(
    { ':path': '/live', ':method': 'POST', 'accept-encoding': 'gzip' },
    { endStream: false },
  );
  const seen: Buffer[] = [];
  const first = new Promise<void>((resolve) => {
    stream.on('data', (bytes: Buffer) => {
      seen.push(bytes);
      if (decode(Buffer.concat(seen)) === 'data: one\n\n') resolve();
    });
  });
  await first;
  stream.end('x');
  await new Promise((resolve) => stream.on('close', resolve));
  assert.equal(gunzipSync(Buffer.concat(seen)).toString(), 'data: one\n\ndata: two\n\n');
  session.close();

  const client = await connectSecure(gateway.port);
  client.send('POST /live HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip\r\nContent-Length: 1\r\n\r\n');
  const whole = (received: Buffer): boolean => {
    const at = received.indexOf('\r\n\r\n');
    const line = at < 0 ? -1 : received.indexOf('\r\n', at + 4);
    if (line < 0) return false;
    const size = Number.parseInt(received.subarray(at + 4, line).toString(), 16);
    const chunk = received.subarray(line + 2, line + 2 + size);
    return chunk.length === size && decode(chunk) === 'data: one\n\n';
  };
  await client.until(whole, 'the first event');
  client.send('x');
  const answer = await client.response();
  assert.equal(gunzipSync(answer.body).toString(), 'data: one\n\ndata: two\n\n');
  client.destroy();
});

test('A client of HTTP/1.0 gets compressed answers, which end with the connection', async () => {
  for (const [path, wanted, size] of [
    ['/plain', '', 5000],
    ['/static/large.txt', '', TEXT.length],
    // its length is not known in time
    ['/large', 'Connection: keep-alive\r\n', LARGE_BYTES],
  ] as const) {
    const client = await connectSecure(gateway.port);
    client.send(`GET ${path} HTTP/1.0\r\n${wanted}Accept-Encoding: gzip\r\n\r\n`);
    const received = await client.rest();
    const end = received.indexOf('\r\n\r\n') + 4;
    const head = received.toString('latin1', 0, end).toLowerCase();
    assert.match(head, /\r\ncontent-encoding: gzip\r\n/);
    assert.match(head, /\r\nconnection: close\r\n/);
    assert.doesNotMatch(head, /transfer-encoding/);
    const length = /\r\ncontent-length: (\d+)/.exec(head)?.[1] ?? received.length - end;
    assert.equal(received.length - end, Number(length));
    assert.equal(gunzipSync(received.subarray(end)).length, size);
  }
});

test('A pushed answer is compressed where its promise accepts that', async () => {
  const session = await gateway.session({ settings: { enablePush: true } });
  const pushes: Promise<readonly [accepted: unknown, coding: unknown, body: Buffer]>[] = [];
  session.on('stream', (stream, promised) => {
    const chunks: Buffer[] = [];
    let coding: unknown;
    stream.on('push', (head) => {
      coding = head['content-encoding'];
    });
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    pushes.push(
      new Promise((resolve) => {
        stream.on('close', () => resolve([promised['accept-encoding'], coding, Buffer.concat(chunks)]));
      }),
    );
  });
  assert.equal((await askSession(session, '/pushing')).body.length, 5000);
  const [coded, plain] = await Promise.all(pushes);
  assert.deepEqual(coded?.slice(0, 2), ['gzip', 'gzip']);
  assert.equal(gunzipSync(coded?.[2] ?? Buffer.alloc(0)).length, 5000);
  assert.deepEqual([plain?.[0], plain?.[1], plain?.[2].length], [undefined, undefined, 5000]);
  session.destroy();
});

test('A compressed stream goes on over a reload, and others are compressed beside it', async () => {
  const session = await gateway.session();
  const headers = { 'accept-encoding': 'gzip' };
  const stream = session.request({ ':path': '/live', ':method': 'POST', ...headers }, { endStream: false });
  const chunks: Buffer[] = [];
  stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  await once(stream, 'data');
  gateway.running.signal('SIGHUP');
  await gateway.untilLog(/ Reloaded/);
  assert.equal(gunzipSync((await askSession(session, '/plain', { headers })).body).length, 5000);
  stream.end('x');
  await once(stream, 'close');
  assert.equal(gunzipSync(Buffer.concat(chunks)).toString(), 'data: one\n\ndata: two\n\n');
  session.destroy();
  await gateway.untilIdle();
  assert.equal((await gateway.counters()).coders, 0);
});

test('Clients that go in the middle leave no coder behind', async () => {
  const before = (await gateway.counters()).compressedTotal;
  const session = await gateway.session();
  for (let i = 0; i < 10; i++) {
    const stream = session.request(
      { ':path': '/live', ':method': 'POST', 'accept-encoding': 'gzip' },
      { endStream: false },
    );
    stream.on('error', () => undefined);
    await new Promise((resolve) => stream.once('data', resolve));
    if (i === 9) assert.equal((await gateway.counters()).coders >= 1, true);
    stream.close(8);
  }
  session.destroy();
  await gateway.untilIdle();
  await gateway.untilCounters(({ coders }) => coders === 0, 'no coder is left');
  assert.equal((await gateway.counters()).compressedTotal - before, 10);
});

// the last one: it ends the gateway
test('A drain waits for coders that have work, and for clients that read it late', async () => {
  const session = await gateway.session();
  const closed = once(session, 'close');
  const streams = [0, 1, 2].map(() => session.request({ ':path': '/large', 'accept-encoding': 'gzip' }));
  await Promise.all(streams.map((stream) => once(stream, 'response')));
  assert.equal((await gateway.counters()).coders, 3);
  gateway.running.signal('SIGTERM');
  await gateway.untilLog(/SIGTERM: draining/);
  const bodies = await Promise.all(streams.map((stream) => buffer(stream)));
  for (const body of bodies) assert.equal(gunzipSync(body).length, LARGE_BYTES);
  await closed;
});
