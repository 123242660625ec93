/** WebSockets of handlers in TypeScript, over both versions of HTTP. */
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { type GatewayError, type HandlerWebSocket, Router, type WebSocketClosing } from '../../src/index.ts';
import { SENDS_WAITING_BYTES_MAX, SENDS_WAITING_MAX } from '../../src/websocket/websocket-limits.ts';
import { calmTest as test } from '../support/calm.ts';
import { EmbeddedServer } from '../support/embedded-server.ts';
import { waitFor } from '../support/test-front-end.ts';
import { untilStill } from '../support/until-still.ts';
import { FAULT_MESSAGE_BYTES_MAX, WEBSOCKET_FAULTS } from '../support/websocket-faults.ts';
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

interface Told {
  readonly messages: number;
  readonly closing: WebSocketClosing;
  readonly rejections: readonly string[];
}
const told: Told[] = [];
let begun = 0;

const open = new Set<HandlerWebSocket>();
router
  .get('/limited', (_request, _params, context) =>
    context.upgradeWebSocket(
      async (socket) => {
        let messages = 0;
        for await (const _ of socket) messages += 1;
        told.push({ messages, closing: await socket.closed, rejections: [] });
      },
      { messageBytesMax: FAULT_MESSAGE_BYTES_MAX },
    ),
  )
  .get('/both', (_request, _params, context) =>
    context.upgradeWebSocket(async (socket) => {
      open.add(socket);
      const sends = Array.from({ length: 40 }, () =>
        socket.send(Buffer.alloc(256 * 1024)).then(
          () => '',
          (error: GatewayError) => error.code,
        ),
      );
      begun += 1;
      let messages = 0;
      for await (const _ of socket) messages += 1;
      const rejections = (await Promise.all(sends)).filter((code) => code !== '');
      told.push({ messages, closing: await socket.closed, rejections: [...new Set(rejections)] });
      open.delete(socket);
    }),
  )
  .get('/unawaited', (_request, _params, context) =>
    context.upgradeWebSocket(async (socket) => {
      const bytes = Number(_request.headers.get('x-bytes'));
      const rejections: string[] = [];
      for (let i = 0; i < 5000; i++)
        socket.send(Buffer.alloc(bytes)).catch((error: GatewayError) => rejections.push(error.luaCode ?? ''));
      await new Promise((resolve) => setImmediate(resolve));
      const closing = { code: 0, reason: '' };
      told.push({ messages: 5000 - rejections.length, closing, rejections: [...new Set(rejections)] });
      await socket.closed;
    }),
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

  test(`${transport}: what breaks a rule or a limit closes with its code, and the handler is told`, async () => {
    for (const { bytes, code, why } of WEBSOCKET_FAULTS) {
      const peer = await connect('/limited');
      peer.raw(bytes);
      assert.equal(await peer.closed(), code);
      await waitFor(() => told.length > 0, 'the handler to end');
      const [{ messages, closing } = { messages: 0, closing: { code: 0, reason: '' } }] = told.splice(0);
      assert.deepEqual([messages, closing.code], [0, code]);
      if (why !== undefined) assert.match(closing.reason, why);
      peer.destroy();
    }
    const peer = await connect('/limited');
    peer.send('x'.repeat(FAULT_MESSAGE_BYTES_MAX));
    peer.close(1000);
    assert.equal(await peer.closed(), 1000);
    await waitFor(() => told.length > 0, 'the handler to end');
    assert.deepEqual(told.splice(0)[0]?.messages, 1);
    peer.destroy();
  });

  test(`${transport}: a close amid sends that wait and a message that is awaited ends both`, async () => {
    const ways: [(peer: WebSocketPeer) => void, code: number][] = [
      [() => [...open].at(-1)?.close(4000, 'enough'), 4000],
      [(peer) => void peer.close(3000), 3000],
      [(peer) => peer.destroy(), 1006],
    ];
    for (const [end, code] of ways) {
      const before = begun;
      const peer = await connect('/both');
      peer.stream.pause();
      await waitFor(() => begun > before, 'the handler to send');
      await untilStill(() => peer.stream.readableLength);
      end(peer);
      if (code !== 1006) {
        peer.stream.resume();
        await waitFor(() => peer.code !== undefined, 'the close frame');
        if (code === 4000) peer.close(code);
        assert.equal(await peer.closed(), code);
      }
      await waitFor(() => told.length > 0, 'the handler to end');
      const [{ messages, closing, rejections } = { messages: 1, closing: { code: 0 }, rejections: [] }] =
        told.splice(0);
      assert.deepEqual([messages, closing.code], [0, code]);
      // a client that reads on after its close frame gets what was sent before it
      if (code === 4000) assert.deepEqual(rejections, ['LGW_WEBSOCKET_CLOSED']);
      if (code === 1006) assert.deepEqual(rejections, ['LGW_CLIENT_GONE']);
      peer.destroy();
    }
  });

  for (const [bytes, most] of [
    [1000, SENDS_WAITING_MAX],
    [100_000, SENDS_WAITING_BYTES_MAX / 100_000],
  ] as const)
    test(`${transport}: of messages of ${bytes} bytes that nobody awaits no more than the limit wait for a client that does not read`, async () => {
      const peer = await connect('/unawaited', { fields: { 'x-bytes': String(bytes) } });
      peer.stream.pause();
      await waitFor(() => told.length > 0, 'all to be sent or refused');
      const [{ messages, rejections } = { messages: 0, rejections: [] }] = told.splice(0);
      // beside those that wait there is what the exchange takes at once
      const taken = Math.ceil((128 * 1024) / bytes);
      assert.ok(messages >= Math.floor(most) && messages <= most + taken + 1, `${messages} messages`);
      assert.deepEqual(rejections, ['limit']);
      peer.destroy();
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
