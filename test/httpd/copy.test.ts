/** httpd.copy, close and trailer: every pair of streams, both protocols, failures, clients that go away. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { connectSecure } from '../support/raw-client.ts';
import { type ClientProtocol, PROTOCOLS, TestGateway } from '../support/test-gateway.ts';

const BIG_BYTES = 2 * 1024 * 1024 + 3;
const big = randomBytes(BIG_BYTES);

const SCRIPT = `local httpd = require 'httpd'
local function say(...)
    local t = table.pack(...)
    for i = 1, t.n do t[i] = tostring(t[i]) end
    httpd.write(nil, table.concat(t, ' ') .. '\\n')
end
-- while the script is loaded, between files
do
    local from <close> = assert(io.open('$FOLDER/big.bin', 'rb'))
    local to <close> = assert(io.open('$FOLDER/loaded.bin', 'wb'))
    from:seek('set', 3)
    loaded = httpd.copy(to, from, 1000000)
end
httpd.register_handler('/down', function()
    local file <close> = assert(io.open('$FOLDER/big.bin', 'rb'))
    httpd.header{ [':status'] = 200, ['content-type'] = 'application/octet-stream' }
    assert(httpd.copy(nil, file) == ${BIG_BYTES})
end)
httpd.register_handler('/up', function()
    local file <close> = assert(io.open('$FOLDER/stored.bin', 'wb'))
    local bytes = assert(httpd.copy(file, nil))
    assert(httpd.close(file))
    say(bytes)
end)
httpd.register_handler('/echo', function()
    httpd.copy(nil, nil)
end)
httpd.register_handler('/parts', function()
    httpd.copy(nil, nil, 3)
    httpd.write(nil, '|')
    assert(httpd.copy(nil, nil, 0) == 0)
    say(httpd.copy(nil, nil, 1000))
    say(httpd.copy(nil, nil))
end)
httpd.register_handler('/pipe', function()
    local pipe <close> = assert(io.popen('head -c 300000 /dev/zero'))
    assert(httpd.copy(nil, pipe) == 300000)
    assert(httpd.close(pipe))
end)
httpd.register_handler('/slow', function()
    local pipe <close> = assert(io.popen('echo first; sleep 30'))
    httpd.copy(nil, pipe)
end)
httpd.register_handler('/into', function()
    local pipe <close> = assert(io.popen('wc -c > $FOLDER/count', 'w'))
    local bytes = assert(httpd.copy(pipe, nil))
    say(bytes, httpd.close(pipe))
end)
httpd.register_handler('/both', function()
    local file <close> = assert(io.open('$FOLDER/both', 'w+b'))
    httpd.write(file, 'head ')
    say(httpd.copy(file, nil))
    httpd.write(file, ' tail')
    file:seek('set')
    httpd.copy(nil, file)
end)
httpd.register_handler('/fails', function()
    local full <close> = assert(io.open('/dev/full', 'w'))
    local zero <close> = assert(io.open('/dev/zero', 'r'))
    local file <close> = assert(io.open('$FOLDER/both', 'w'))
    say(httpd.copy(full, zero, 10 * 1024 * 1024))
    say(httpd.copy(nil, file))
    say(pcall(httpd.copy, zero, zero))
end)
httpd.register_handler('/misuse', function()
    local file <close> = assert(io.open('$FOLDER/both', 'w'))
    local function fails(...) say(select(2, pcall(httpd.copy, ...))) end
    fails(nil)
    fails(nil, file, 1, 2)
    fails(file, file)
    fails(file, nil, -1)
    fails(file, {})
    fails('file', nil)
    local shut = io.open('$FOLDER/both')
    shut:close()
    fails(nil, shut)
end)
httpd.register_handler('/stuck', function()
    local zero <close> = assert(io.open('/dev/zero', 'r'))
    httpd.copy(nil, zero)
end)
httpd.register_handler('/close', function()
    httpd.write(nil, 'all')
    assert(httpd.close(nil))
    local file <close> = assert(io.open('$FOLDER/closed', 'w'))
    file:write(table.concat({ tostring((select(3, httpd.write(nil, 'more')))),
        tostring((select(3, httpd.copy(nil, nil)))), tostring((select(3, httpd.sendfile('x')))) }, ' '))
end)
httpd.register_handler('/closes', function()
    local full = assert(io.open('/dev/full', 'w'))
    httpd.write(full, 'x')
    say(httpd.close(full))
    say(pcall(httpd.close, full))
    say(httpd.close(io.stdout))
end)
httpd.register_handler('/trailer', function()
    httpd.write(nil, 'body')
    httpd.trailer{ ['x-sum'] = '7' }
end)
httpd.register_handler('/trailer-misuse', function()
    say(select(2, pcall(httpd.trailer, { ['content-length'] = 1 })))
    say(select(2, pcall(httpd.trailer, { [':status'] = 200 })))
    say(select(2, pcall(httpd.trailer)))
end)`;

let gateway: TestGateway;
before(async () => {
  gateway = await TestGateway.start(
    { '/': SCRIPT },
    { prepare: (folder) => writeFileSync(folder.file('big.bin'), big) },
  );
});
after(() => gateway.stop());

/** Resolves with the first bytes of an endless body, and with a function that closes the connection. */
async function firstBytes(protocol: ClientProtocol, path: string): Promise<[string, () => void]> {
  if (protocol === 'h1') {
    const client = await connectSecure(gateway.port);
    client.send(`GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
    await client.until(
      (received) => /\r\n\r\n.*.{5}/s.test(received.toString('latin1')),
      'a part of the body',
    );
    // after a normal end the client might still read, and a handler that writes nothing would continue
    return [client.received.toString('latin1'), () => client.reset()];
  }
  const session = await gateway.session();
  const stream = session.request({ ':path': path });
  stream.on('error', () => undefined);
  const chunk = await new Promise<Buffer>((resolve) => stream.once('data', resolve));
  return [chunk.toString('latin1'), () => session.destroy()];
}

test('copy works between files while a script is loaded', () => {
  assert.ok(readFileSync(gateway.folder.file('loaded.bin')).equals(big.subarray(3, 1_000_003)));
});

for (const protocol of PROTOCOLS) {
  test(`copy moves bytes between client, files and pipes (${protocol})`, async () => {
    assert.ok((await gateway.ask(protocol, '/down')).body.equals(big));
    assert.equal((await gateway.ask(protocol, '/up', { method: 'POST', body: big })).text, `${BIG_BYTES}\n`);
    assert.ok(readFileSync(gateway.folder.file('stored.bin')).equals(big));
    assert.ok((await gateway.ask(protocol, '/echo', { method: 'POST', body: big })).body.equals(big));
    assert.ok((await gateway.ask(protocol, '/pipe')).body.equals(Buffer.alloc(300_000)));
    const into = await gateway.ask(protocol, '/into', { method: 'POST', body: big });
    assert.equal(into.text, `${BIG_BYTES} true exit 0\n`);
    assert.equal(readFileSync(gateway.folder.file('count'), 'utf8').trim(), String(BIG_BYTES));
  });

  test(`copy moves as many bytes as asked for, or the fewer there are (${protocol})`, async () => {
    const { text } = await gateway.ask(protocol, '/parts', { method: 'POST', body: 'abcdefgh' });
    assert.equal(text, 'abc|defgh5\n0\n');
    const both = await gateway.ask(protocol, '/both', { method: 'POST', body: 'body' });
    assert.equal(both.text, '4\nhead body tail');
  });

  test(`copy hands on what a slow source has given, and ends with its client (${protocol})`, async () => {
    for (const path of ['/slow', '/stuck']) {
      const [first, leave] = await firstBytes(protocol, path);
      if (path === '/slow') assert.match(first, /first\n/);
      leave();
    }
    await gateway.untilIdle();
  });

  test(`close ends the response and closes files, and tells what failed (${protocol})`, async () => {
    assert.equal((await gateway.ask(protocol, '/close')).text, 'all');
    await gateway.untilIdle();
    assert.equal(readFileSync(gateway.folder.file('closed'), 'utf8'), 'closed closed closed');
    const { text } = await gateway.ask(protocol, '/closes');
    const [failed, again, standard] = text.split('\n');
    assert.match(failed ?? '', /^nil Cannot use "\/dev\/full": No space left on device io$/);
    assert.match(again ?? '', /^false .*attempt to use a closed file$/);
    assert.equal(standard, 'nil cannot close standard file');
  });
}

test('copy tells what failed, of either stream', async () => {
  const { text } = await gateway.ask('h2', '/fails');
  const [full, unreadable] = text.split('\n');
  assert.match(full ?? '', /^nil Cannot use "\/dev\/full": No space left on device io$/);
  assert.match(unreadable ?? '', /^nil Cannot use ".*both": Bad file descriptor closed$/);
  assert.match(text, /cannot copy a file to itself/);
});

test('copy raises an error for what is no stream or count', async () => {
  const { text } = await gateway.ask('h2', '/misuse');
  const expected = [
    /wrong number of arguments to 'copy' \(2 or 3 expected, got 1\)/,
    /wrong number of arguments to 'copy' \(2 or 3 expected, got 4\)/,
    /cannot copy a file to itself/,
    /bad argument #3 to '\S+' \(count must not be negative\)/,
    /FILE\* expected, got table/,
    /FILE\* expected, got string/,
    /attempt to use a closed file/,
  ];
  text
    .trim()
    .split('\n')
    .forEach((line, i) => {
      assert.match(line, expected[i] as RegExp);
    });
});

test('trailer sends fields after the body, and refuses what cannot stand there', async () => {
  const session = await gateway.session();
  const stream = session.request({ ':path': '/trailer' });
  stream.resume();
  const trailers = await new Promise<Record<string, unknown>>((resolve) => stream.once('trailers', resolve));
  assert.equal(trailers['x-sum'], '7');
  session.destroy();
  const bytes = 'GET /trailer HTTP/1.1\r\nHost: localhost\r\nTE: trailers\r\nConnection: close\r\n\r\n';
  assert.match(await gateway.talk(bytes), /\r\n4\r\nbody\r\n0\r\nx-sum: 7\r\n\r\n$/);
  const { text } = await gateway.ask('h2', '/trailer-misuse');
  assert.match(text, /a trailer cannot hold "content-length"\n.*a trailer cannot hold ":status"\n.*got 0\)/s);
});
