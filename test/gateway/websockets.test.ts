/** WebSockets of a whole gateway, when it reloads and when it drains. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { untilHolds } from '../support/run-gateway.ts';
import { TestGateway } from '../support/test-gateway.ts';
import { TRANSPORTS, WebSocketPeer } from '../support/websocket-peer.ts';

const SCRIPT = `
local httpd = require "httpd"
httpd.register_handler("/echo", function()
    local ws = httpd.websocket()
    for message in ws:messages() do ws:send(message) end
    httpd.log("info", "ended " .. ws.code)
end)
httpd.register_handler("/busy", function()
    local ws = httpd.websocket()
    local name = "gate" .. ws:recv()
    ws:send("got")
    while not httpd.shared("gate"):get(name) do httpd.sleep(0.01) end
    httpd.log("info", "busy " .. tostring(select(3, ws:send("late"))) .. " " .. ws.code)
end)
httpd.register_handler("/go", function(env)
    httpd.shared("gate"):set("gate" .. env.QUERY_INFO, true)
    httpd.write(nil, "gone")
end)
`;

async function expectLeaving(peer: WebSocketPeer): Promise<void> {
  for (let i = 0; i < 3000 && peer.code === undefined && !peer.ended; i++)
    await new Promise((resolve) => setTimeout(resolve, 10));
  assert.equal(peer.code, 1001);
  peer.close(1001);
  await peer.closed();
  peer.destroy();
}

test('A reload and a drain close with 1001 when the handler waits for a message or sends the next one', async () => {
  const gateway = await TestGateway.start({ '/': SCRIPT }, { words: ['--log-level', 'info'] });
  try {
    const open = async (path: string): Promise<WebSocketPeer[]> => {
      const peers: WebSocketPeer[] = [];
      for (const transport of TRANSPORTS)
        peers.push(await WebSocketPeer.connect(gateway.port, transport, path));
      return peers;
    };
    const idle = await open('/echo');
    for (const peer of idle) {
      peer.send('before');
      assert.equal(await peer.message(), 'before');
    }
    const busy = await open('/busy');
    for (const peer of busy) {
      peer.send('1');
      assert.equal(await peer.message(), 'got');
    }
    gateway.running.signal('SIGHUP');
    for (const peer of idle) await expectLeaving(peer);
    assert.deepEqual(
      busy.map((peer) => peer.code),
      [undefined, undefined],
    );
    const fresh = await open('/echo');
    for (const peer of fresh) {
      peer.send('after');
      assert.equal(await peer.message(), 'after');
    }
    await gateway.ask('h1', '/go?1');
    for (const peer of busy) await expectLeaving(peer);
    await untilHolds(gateway.running, () => gateway.log.split('busy closed 1001').length === 3);
    gateway.running.signal('SIGTERM');
    for (const peer of fresh) await expectLeaving(peer);
  } finally {
    await gateway.stop();
  }
});
