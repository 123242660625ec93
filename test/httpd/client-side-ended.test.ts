/** Clients of HTTP/1.1 that have ended their side: what waits for others without end is over at once, and nothing has to be written for that. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { cleartextPortOf } from '../support/cleartext-port.ts';
import { connectPlain } from '../support/raw-client.ts';
import { openWebSocket } from '../support/raw-websocket.ts';
import { TestGateway, untilReceived } from '../support/test-gateway.ts';
import { close } from '../support/websocket-frames.ts';

const SCRIPT = `local httpd = require 'httpd'
local function serve(path, act)
    httpd.register_handler(path, function(env)
        local mark <close> = setmetatable({}, {__close = function() print('closed ' .. env.QUERY_INFO) end})
        print('waits ' .. env.QUERY_INFO)
        act()
        print('went on ' .. env.QUERY_INFO)
    end)
end
httpd.hook('abort', function(env) print('abort ' .. env.QUERY_INFO) end)
serve('/sse', function()
    local s <close> = httpd.sse{heartbeat = false}
    s:send('begun')
    httpd.sleep(1000)
end)
serve('/recv', function() httpd.subscribe('nothing'):recv() end)
serve('/task', function()
    httpd.write(nil, 'begun')
    httpd.wait(httpd.spawn(function() for _ in httpd.subscribe('nothing'):messages() do end end))
end)
serve('/socket', function()
    local sub = httpd.subscribe('nothing')
    local ws = httpd.websocket()
    assert(select(3, sub:recv()) == 'closed')
    print('code ' .. ws.code)
end)
serve('/polite', function()
    local sub = httpd.subscribe('nothing')
    local ws = httpd.websocket()
    assert(not ws:recv() and ws.code == 1000)
    assert(select(3, sub:recv()) == 'closed')
end)
serve('/later', function()
    local sub = httpd.subscribe('later')
    httpd.write(nil, (sub:recv()))
end)
httpd.register_handler('/publish', function() httpd.write(nil, httpd.publish('later', 'whole')) end)`;

let gateway: TestGateway;
let cleartext: number;
before(async () => {
  gateway = await TestGateway.start({ '/': SCRIPT }, { words: ['--http', '127.0.0.1:0'], keeps: true });
  cleartext = await cleartextPortOf(gateway);
});
after(() => gateway.stop());

const GET = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`;

for (const path of ['/sse', '/recv', '/task'])
  test(`${path}: a client that ends its side ends the handler, whether it waits already or not`, async () => {
    const mark = `${path.slice(1)};`;
    const secure = await gateway.connect();
    secure.resume().write(GET(`${path}?tls-${mark}`));
    await gateway.untilLog(new RegExp(`waits tls-${mark}`));
    secure.end();
    await gateway.untilLog(new RegExp(`abort tls-${mark}`));
    const plain = await connectPlain(cleartext);
    // its end comes with the request
    plain.socket.end(GET(`${path}?tcp-${mark}`));
    await gateway.untilLog(new RegExp(`abort tcp-${mark}`));
    await plain.rest().catch(() => undefined);
    for (const name of ['tls', 'tcp']) await gateway.untilLog(new RegExp(`closed ${name}-${mark}`));
    assert.equal(gateway.log.split(`went on ${mark}`).length, 1);
    await gateway.untilIdle();
  });

test('A WebSocket whose client ends its side without a close frame ends what its handler waits for, and the hook hears of it', async () => {
  const peer = await openWebSocket({ kind: 'h1', port: gateway.port, secure: true }, '/socket?ended;');
  await gateway.untilLog(/waits ended;/);
  peer.stream.end();
  await gateway.untilLog(/went on ended;/);
  await gateway.untilLog(/abort ended;/);
  assert.ok(await peer.until());
  // one that says goodbye has not gone without a word
  const polite = await openWebSocket({ kind: 'h1', port: gateway.port, secure: true }, '/polite?polite;');
  polite.send(close(1000));
  await gateway.untilLog(/went on polite;/);
  polite.destroy();
  await gateway.untilIdle();
  assert.doesNotMatch(gateway.log, /abort polite;/);
});

test('A client that is there gets what has been waited for', async () => {
  const socket = await gateway.connect();
  socket.write(GET('/later?there;'));
  await gateway.untilLog(/waits there;/);
  assert.equal((await gateway.ask('h1', '/publish')).text, '1');
  await untilReceived(socket, /whole/);
  socket.destroy();
});
