/** WebSocket clients of other projects: Python's websockets over TLS, and Chromium over HTTP/2 and HTTP/1.1. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Browser } from '../support/browser.ts';
import { runSuccessfully as run } from '../support/run-program.ts';
import { TestGateway } from '../support/test-gateway.ts';

const SCRIPT = `local httpd = require 'httpd'
local function echo(path, options)
    httpd.register_handler(path, function(env)
        local ws <close> = assert(httpd.websocket(options))
        for message, kind in ws:messages() do
            if message == 'protocol' then message = env.SERVER_PROTOCOL .. ' ' .. tostring(ws.protocol) end
            if message == 'port' then message = tostring(env.CLIENT_PORT) end
            if message == 'leave' then ws:close(4002, 'as you wish') break end
            ws:send(message, kind == 'binary' and 'binary' or nil)
        end
    end)
end
echo('/echo', {protocols = {'chat.v2', 'chat.v1'}, max = 4 * 1024 * 1024})
echo('/deflate', {deflate = true, max = 4 * 1024 * 1024})
echo('/small', {max = 1000})
httpd.register_handler('/page', function()
    httpd.header{[':status'] = '200', ['content-type'] = 'text/html'}
    httpd.write(nil, '<!DOCTYPE html><title>WebSocket</title><link rel="icon" href="data:,">')
end)`;

let gateway: TestGateway;
before(async () => {
  gateway = await TestGateway.start({ '/': SCRIPT }, { workers: 1 });
});
after(() => gateway.stop());

const PYTHON = `
import asyncio, os, ssl, sys, websockets
base, ca = sys.argv[1:]
tls = ssl.create_default_context(cafile=ca)
def open_socket(path, **options):
    return websockets.connect(base + path, ssl=tls, max_size=None, **options)
async def echo(path, messages, **options):
    async with open_socket(path, **options) as ws:
        for message in messages:
            await ws.send(message)
        for message in messages:
            assert await ws.recv() == message, len(message)
        waiter = await ws.ping(b'are you there')
        await asyncio.wait_for(waiter, 20)
    assert ws.close_code == 1000, ws.close_code
    return ws
async def refused(path, message):
    async with open_socket(path) as ws:
        await ws.send(message)
        try:
            await ws.recv()
        except websockets.ConnectionClosed as closed:
            return closed.rcvd.code
async def main():
    texts = ['', 'text', 'κόσμε 漢字 👩‍👧', 'x' * 125, 'x' * 126, 'x' * 65536, 'long ' * 200000]
    noise = [b'', bytes(range(256)), os.urandom(65537), os.urandom(1000000)]
    plain = await echo('/echo', texts + noise, compression=None)
    assert not plain.extensions, plain.extensions
    packed = await echo('/deflate', texts + noise, compression='deflate')
    assert packed.extensions, 'deflate is agreed'
    await asyncio.gather(*(echo('/deflate', texts[:5] * 10) for _ in range(20)))
    chat = await echo('/echo', ['x'], subprotocols=['other', 'chat.v1'])
    assert chat.subprotocol == 'chat.v1', chat.subprotocol
    async def pieces():
        for piece in ['one ', 'two ', 'three']:
            yield piece
    async with open_socket('/echo') as ws:
        await ws.send(pieces())
        assert await ws.recv() == 'one two three'
        await ws.close(4001, 'enough')
    assert (ws.close_code, ws.close_reason) == (4001, 'enough'), (ws.close_code, ws.close_reason)
    async with open_socket('/echo') as ws:
        await ws.send('leave')
        try:
            await ws.recv()
        except websockets.ConnectionClosed as closed:
            assert (closed.rcvd.code, closed.rcvd.reason) == (4002, 'as you wish'), closed
    assert await refused('/small', 'x' * 1001) == 1009
    try:
        async with open_socket('/nobody'):
            pass
    except websockets.InvalidStatusCode as refusal:
        assert refusal.status_code == 404, refusal
    print('done')
asyncio.run(main())`;

test("Python's websockets sends texts, bytes, fragments and closes, compressed and not", async () => {
  const base = `wss://localhost:${gateway.port}`;
  const { text } = await run('/usr/bin/python3', '-c', PYTHON, base, gateway.folder.certificate);
  assert.equal(text, 'done\n');
  await gateway.untilIdle();
});

/** Functions of the page: each resolves with what the test compares. */
const PAGE = `
window.openSocket = (path, protocols) => new Promise((resolve, reject) => {
  const socket = new WebSocket(\`wss://\${location.host}\${path}\`, protocols ?? []);
  socket.binaryType = 'arraybuffer';
  socket.onopen = () => resolve(socket);
  socket.onerror = () => reject(new Error('not opened'));
});
window.echoOf = (socket, message) => new Promise((resolve) => {
  socket.onmessage = ({ data }) => resolve(data);
  socket.send(message);
});
window.endOf = (socket) => new Promise((resolve) => {
  socket.onclose = ({ code, reason, wasClean }) => resolve([code, reason, wasClean].join(' '));
});`;

async function openPage(browser: Browser): Promise<void> {
  await browser.open(`${gateway.url}/page`);
  await browser.evaluate(PAGE);
}

/** Runs the body of an async function in the page. */
function inPage(browser: Browser, body: string): Promise<unknown> {
  return browser.evaluate(`(async () => { ${body} })()`);
}

test('Chromium opens two WebSockets over the one HTTP/2 connection of its page', async () => {
  const browser = await new Browser().start();
  try {
    await openPage(browser);
    assert.equal(
      await inPage(
        browser,
        `window.sockets = await Promise.all([openSocket('/echo', ['chat.v1', 'chat.v2']), openSocket('/deflate')]);
        return (await Promise.all(sockets.map((socket) => echoOf(socket, 'protocol')))).join(', ')
          + ', ' + sockets.map((socket) => socket.protocol + '/' + socket.extensions.split(';')[0]).join(', ');`,
      ),
      'HTTP/2 chat.v2, HTTP/2 nil, chat.v2/, /permessage-deflate',
    );
    // where connecting takes long the browser opens another connection, which it does not use
    await gateway.untilCounters(
      ({ exchanges }) => exchanges === 2,
      'what the browser asks for by itself ends',
    );
    assert.equal(
      await inPage(
        browser,
        `const [one, two] = await Promise.all(sockets.map((socket) => echoOf(socket, 'port')));
        return one === two && /^[0-9]+$/.test(one) ? 'one connection' : one + ' and ' + two;`,
      ),
      'one connection',
    );
    assert.equal(
      await inPage(
        browser,
        `const bytes = new Uint8Array(1_000_000).map((_, i) => i * 7 + (i >> 8));
        for (const socket of sockets) {
          const echo = new Uint8Array(await echoOf(socket, bytes));
          if (echo.length !== bytes.length || echo.some((byte, i) => byte !== bytes[i])) return 'other bytes';
          const text = 'κόσμε '.repeat(20_000);
          if ((await echoOf(socket, text)) !== text) return 'another text';
          if ((await echoOf(socket, '')) !== '') return 'not empty';
        }
        return 'the same';`,
      ),
      'the same',
    );
    assert.equal(
      await inPage(
        browser,
        `const ends = Promise.all(sockets.map(endOf));
        sockets[0].close(4003, 'from the page');
        sockets[1].send('leave');
        return (await ends).join(', ');`,
      ),
      '4003 from the page true, 4002 as you wish true',
    );
    assert.equal(
      await inPage(
        browser,
        `const socket = await openSocket('/small');
        const end = endOf(socket);
        socket.send('x'.repeat(1001));
        return (await end).split(' ')[0];`,
      ),
      '1009',
    );
    assert.deepEqual(
      browser.complaints.filter((complaint) => !complaint.includes('1009')),
      [],
    );
  } finally {
    await browser.stop();
  }
  await gateway.untilIdle();
});

test('Chromium without HTTP/2 opens a WebSocket over HTTP/1.1', async () => {
  const browser = await new Browser(['--disable-http2']).start();
  try {
    await openPage(browser);
    assert.equal(
      await inPage(
        browser,
        `const socket = await openSocket('/deflate');
        const protocol = await echoOf(socket, 'protocol');
        const bytes = new Uint8Array(await echoOf(socket, new Uint8Array(300_000)));
        const end = endOf(socket);
        socket.close();
        return [protocol, bytes.length, await end].join(', ');`,
      ),
      'HTTP/1.1 nil, 300000, 1005  true',
    );
    assert.deepEqual(browser.complaints, []);
  } finally {
    await browser.stop();
  }
  await gateway.untilIdle();
});
