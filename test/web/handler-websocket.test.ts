/** WebSockets of handlers in TypeScript, over both versions of HTTP. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Router, type WebSocketClosing } from '../../src/index.ts';
import { EmbeddedServer } from '../support/embedded-server.ts';
import { waitFor } from '../support/test-front-end.ts';
import { type PeerOptions, TRANSPORTS, WebSocketPeer } from '../support/websocket-peer.ts';

const closings: WebSocketClosing[] = [];

const router = new Router()
  .get('/echo', (_request, _params, context) =>
    context.upgradeWebSocket(
      async (socket) => {
        void socket.closed.then((closing) => closings.push(closing));
        for await (const message of socket) await socket.send(message);
        await assert.rejects(socket.send('late'), { code: 'LGW_WEBSOCKET_CLOSED' });
        await assert.rejects(async () => {
          for await (const message of socket) assert.fail(String(message));
        }, /iterated once/);
      },
      { protocols: ['b', 'a'], messageBytesMax: 300_000 },
    ),
  )
  .get('/late', async (_request, _params, context) => {
    await new Promise((resolve) => setImmediate(resolve));
    return context.upgradeWebSocket((socket) => {
      assert.throws(() => socket.close(1006), RangeError);
      assert.throws(() => socket.close(1000, 'x'.repeat(124)), RangeError);
      socket.close(4000, socket.protocol);
    });
  })
  .get('/fails', (_request, _params, context) =>
    context.upgradeWebSocket(() => {
      throw new Error('no');
    }),
  )
  .get('/misuse', (_request, _params, context) => {
    assert.throws(() => context.upgradeWebSocket(() => undefined, { messageBytesMax: 0 }), RangeError);
    assert.throws(() => context.upgradeWebSocket(() => undefined, { pingMs: 0 }), RangeError);
    return new Response('refused');
  })
  .get('/origin', (_request, _params, context) =>
    context.upgradeWebSocket((socket) => socket.closed.then(() => undefined), { origins: 'same' }),
  );

let server: EmbeddedServer;
before(async () => {
  server = await EmbeddedServer.start(router);
});
after(() => server.stop());

for (const transport of TRANSPORTS) {
  const connect = (path: string, options: PeerOptions = {}): Promise<WebSocketPeer> =>
    WebSocketPeer.connect(server.port, transport, path, { ...options, isPlain: true });

  test(`${transport}: a handler iterates over messages and sends some`, async () => {
    const peer = await connect('/echo', { fields: { 'sec-websocket-protocol': 'a' } });
    assert.equal(peer.answer.headers['sec-websocket-protocol'], 'a');
    const large = 'é'.repeat(100_000);
    for (const text of ['text', large, '']) peer.send(text);
    peer.send(Buffer.from([1, 2]));
    assert.equal(await peer.message(3), 'binary:\x01\x02');
    assert.deepEqual(peer.messages.slice(0, 3), ['text', large, '']);
    peer.close(3000, 'bye');
    assert.equal(await peer.closed(), 3000);
    await waitFor(() => closings.length > 0, 'the end');
    assert.deepEqual(closings.splice(0), [{ code: 3000, reason: 'bye' }]);
  });

  test(`${transport}: a handler closes, fails and refuses`, async () => {
    const late = await connect('/late');
    await waitFor(() => late.code !== undefined, 'a close frame');
    assert.deepEqual([late.code, late.reason], [4000, '']);
    const failing = await connect('/fails');
    await waitFor(() => failing.code !== undefined, 'a close frame');
    assert.equal(failing.code, 1011);
    await waitFor(
      () => server.lines.some((line) => line.includes('Handler of a WebSocket failed')),
      'the log',
    );
    const version = await connect('/echo', { fields: { 'sec-websocket-version': '8' } });
    assert.equal(version.answer.status, 426);
    const origin = await connect('/origin', { fields: { origin: 'https://evil.example' } });
    assert.equal(origin.answer.status, 403);
    // an answer that opens none is no success over HTTP/2
    const misuse = await connect('/misuse');
    assert.equal(misuse.answer.status, transport === 'HTTP/2' ? 501 : 200);
    for (const peer of [late, failing, version, origin, misuse]) peer.destroy();
  });
}

test('A drain closes with 1001', async () => {
  const draining = await EmbeddedServer.start(router);
  const peers: WebSocketPeer[] = [];
  for (const transport of TRANSPORTS)
    peers.push(await WebSocketPeer.connect(draining.port, transport, '/echo', { isPlain: true }));
  for (const peer of peers) {
    peer.send('there');
    await peer.message();
  }
  const stopped = draining.stop();
  for (const peer of peers) {
    await waitFor(() => peer.code !== undefined || peer.ended, 'a close frame');
    assert.equal(peer.code, 1001);
    peer.close(1001);
    await peer.closed();
    peer.destroy();
  }
  await stopped;
});
