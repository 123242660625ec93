/** Behaviour of a session that RFC 9113 leaves open: order, windows, limits, its end. */
import { deepStrictEqual, match, ok, strictEqual } from 'node:assert/strict';
import { once } from 'node:events';
import { connect as connectTcp, createServer, type Socket } from 'node:net';
import type { TestContext } from 'node:test';
import { createLogger } from '../../../src/base/logger.ts';
import { StallWatch } from '../../../src/http/exchange/stall-watch.ts';
import { UnreadBodies } from '../../../src/http/exchange/unread-bodies.ts';
import { ERROR_CODE } from '../../../src/http/h2/error-codes.ts';
import { SessionServer } from '../../../src/http/h2/session-server.ts';
import { Counters } from '../../../src/metrics/worker-metrics.ts';
import { calmTest as test } from '../../support/calm.ts';
import { connectWire, goAwayCode, OWN_HANDLERS, resetCode, startOwn } from '../../support/own-sessions.ts';
import { testCompression } from '../../support/test-compression.ts';
import {
  type HandlerFunction,
  streamBody,
  TEST_LIMITS,
  type TestFrontEnd,
  waitFor,
} from '../../support/test-front-end.ts';
import { FLAG, FRAME, type Head, type WireClient } from '../../support/wire-client.ts';

async function start(
  t: TestContext,
  handlers: Readonly<Record<string, HandlerFunction>> = {},
  limits: Parameters<typeof startOwn>[0] = {},
): Promise<TestFrontEnd> {
  const front = await startOwn(limits, { ...OWN_HANDLERS, ...handlers });
  t.after(() => front.stop());
  return front;
}

/** Returns the values of the server's SETTINGS by number. */
async function settingsOf(wire: WireClient): Promise<Record<number, number>> {
  const { payload } = await wire.frame(({ type }) => type === FRAME.settings, 'SETTINGS');
  const values: Record<number, number> = {};
  for (let at = 0; at < payload.length; at += 6)
    values[payload.readUInt16BE(at)] = payload.readUInt32BE(at + 2);
  return values;
}

function framesOf(wire: WireClient, type: number, stream?: number): WireClient['frames'] {
  return wire.frames.filter(
    (frame) => frame.type === type && (stream === undefined || frame.stream === stream),
  );
}

test('A session announces its limits, and a window for all streams together', async (t) => {
  const front = await start(t);
  const wire = await connectWire(front);
  deepStrictEqual(await settingsOf(wire), { 3: 100, 4: 262_144, 6: 32_768, 8: 1, 9: 1 });
  const update = await wire.frame(({ type }) => type === FRAME.windowUpdate, 'WINDOW_UPDATE');
  strictEqual(update.stream, 0);
  strictEqual(update.payload.readUInt32BE(), 1024 * 1024 - 65_535);
  wire.destroy();
});

test('A session answers all that arrived together with one piece', async (t) => {
  const front = await start(t);
  const wire = await connectWire(front);
  await wire.ping();
  const pieces: number[] = [];
  wire.socket.on('data', (chunk: Buffer) => pieces.push(chunk.length));
  wire.socket.cork();
  for (let id = 1; id < 40; id += 2) wire.request(id, '/hello');
  wire.socket.uncork();
  for (let id = 1; id < 40; id += 2) strictEqual((await wire.response(id)).body.toString(), 'hello');
  strictEqual(pieces.length, 1);
  wire.destroy();
});

test('A session sends short answers as HEADERS and one DATA frame, both complete', async (t) => {
  const front = await start(t);
  const wire = await connectWire(front);
  wire.request(1, '/hello');
  await wire.response(1);
  deepStrictEqual(
    wire.frames.filter(({ stream }) => stream === 1).map(({ type, flags }) => [type, flags]),
    [
      [FRAME.headers, FLAG.endHeaders],
      [FRAME.data, FLAG.endStream],
    ],
  );
  wire.destroy();
});

test('A session refuses streams past its limit, and they cost the others nothing', async (t) => {
  const front = await start(t, {}, { streamsMax: 2 });
  const wire = await connectWire(front);
  for (const id of [1, 3, 5]) wire.request(id, '/quiet');
  strictEqual(await resetCode(wire, 5), ERROR_CODE.refusedStream);
  wire.reset(1, ERROR_CODE.cancel);
  wire.request(7, '/hello');
  strictEqual((await wire.response(7)).status, 200);
  wire.destroy();
});

test('Streams take turns: a short answer is not behind a long one', async (t) => {
  const front = await start(t);
  const wire = await connectWire(front, { 4: 0x7fffffff });
  for (const id of [1, 3, 5]) wire.request(id, '/big');
  await wire.frame(({ type }) => type === FRAME.data, 'DATA');
  wire.windowUpdate(0, 60_000_000);
  for (const id of [1, 3, 5]) await wire.response(id);
  const order = framesOf(wire, FRAME.data).map(({ stream }) => stream);
  // the first stream to send gets at most what the socket accepts at once
  const half = order.slice(0, order.length / 2);
  for (const id of [1, 3, 5]) {
    const share = half.filter((stream) => stream === id).length / half.length;
    ok(share > 0.25 && share < 0.42, `stream ${id} has ${share} of the first half`);
  }
  wire.destroy();
});

test('An urgent stream goes before the others (RFC 9218)', async (t) => {
  const front = await start(t);
  const wire = await connectWire(front, { 4: 0x7fffffff });
  wire.request(1, '/big', { fields: [['priority', 'u=5']] });
  wire.request(3, '/big', { fields: [['priority', 'u=5']] });
  wire.request(5, '/big', { fields: [['priority', 'u=1']] });
  await wire.ping();
  wire.send(0x10, 0, 0, Buffer.concat([Buffer.from([0, 0, 0, 3]), Buffer.from('u=0')]));
  await wire.ping();
  const before = framesOf(wire, FRAME.data).length;
  wire.windowUpdate(0, 60_000_000);
  for (const id of [1, 3, 5]) await wire.response(id);
  const order = framesOf(wire, FRAME.data)
    .slice(before)
    .map(({ stream }) => stream);
  const last = (id: number): number => order.lastIndexOf(id);
  ok(last(3) < last(5) && last(5) < last(1), `${[1, 3, 5].map(last)}`);
  ok(
    order.slice(0, last(3)).every((id) => id === 3),
    'stream 3 is sent whole',
  );
  wire.destroy();
});

test('Windows grow for an upload that is read as fast as it comes', async (t) => {
  const front = await start(t, {}, { bodyBytesMax: 64 * 1024 * 1024 });
  const wire = await connectWire(front);
  wire.request(1, '/echo', { method: 'POST', open: true });
  await wire.ping();
  const total = 32 * 1024 * 1024;
  const chunk = Buffer.alloc(16_384);
  let connection = 1024 * 1024;
  let stream = 262_144;
  let sent = 0;
  let seen = framesOf(wire, FRAME.windowUpdate).length;
  let largest = 0;
  while (sent < total) {
    while (sent < total && stream >= chunk.length && connection >= chunk.length) {
      wire.data(1, chunk, sent + chunk.length === total);
      sent += chunk.length;
      stream -= chunk.length;
      connection -= chunk.length;
    }
    if (sent === total) break;
    await wire.frame(() => framesOf(wire, FRAME.windowUpdate).length > seen, 'WINDOW_UPDATE');
    for (const update of framesOf(wire, FRAME.windowUpdate).slice(seen)) {
      seen += 1;
      if (update.stream === 0) connection += update.payload.readUInt32BE();
      else stream += update.payload.readUInt32BE();
    }
    largest = Math.max(largest, stream);
  }
  strictEqual((await wire.response(1)).body.toString(), String(total));
  ok(largest >= 1024 * 1024, `the window of the stream was ${largest} at most`);
  wire.destroy();
});

test('Trailers of a request end it; malformed ones reset it', async (t) => {
  const front = await start(t);
  const wire = await connectWire(front);
  wire.request(1, '/echo', { method: 'POST', open: true });
  wire.data(1, 'abc');
  wire.send(FRAME.headers, FLAG.endHeaders | FLAG.endStream, 1, wire.encode([['x-sum', '1']]));
  strictEqual((await wire.response(1)).body.toString(), '3');
  wire.request(3, '/echo', { method: 'POST', open: true });
  wire.send(FRAME.headers, FLAG.endHeaders | FLAG.endStream, 3, wire.encode([[':path', '/']]));
  strictEqual(await resetCode(wire, 3), ERROR_CODE.protocolError);
  wire.destroy();
});

test('A body that is longer or shorter than its content-length resets the stream, one that fits does not', async (t) => {
  const front = await start(t);
  const wire = await connectWire(front);
  const post = (id: number, length: number): void =>
    wire.request(id, '/echo', { method: 'POST', open: true, fields: [['content-length', String(length)]] });
  post(1, 3);
  wire.data(1, 'abc', true);
  strictEqual((await wire.response(1)).body.toString(), '3');
  post(3, 2);
  wire.data(3, 'abc', true);
  strictEqual(await resetCode(wire, 3), ERROR_CODE.protocolError);
  post(5, 4);
  wire.data(5, 'abc', true);
  strictEqual(await resetCode(wire, 5), ERROR_CODE.protocolError);
  wire.destroy();
});

test('Large heads are sent over CONTINUATION', async (t) => {
  const value = 'v'.repeat(10_000);
  const front = await start(t, {
    '/large': (x) => {
      x.head(200, ['x-a', value, 'x-b', value, 'x-c', value]);
      x.trailers(['x-d', value, 'x-e', value]);
      x.end();
    },
  });
  const wire = await connectWire(front);
  wire.request(1, '/large');
  await wire.frame(({ type, flags }) => type === FRAME.continuation && flags === FLAG.endHeaders, 'the head');
  await waitFor(() => framesOf(wire, FRAME.continuation).length >= 2, 'the trailers');
  const heads = wire.frames.flatMap(({ head }) => (head === undefined ? [] : [head]));
  strictEqual(heads[0]?.get('x-c'), value);
  strictEqual(heads[1]?.get('x-e'), value);
  wire.destroy();
});

test('A session drains in two steps: what is on its way is served, what comes later is not', async (t) => {
  let release: (() => void) | undefined;
  const front = await start(t, {
    '/wait': (x) => {
      release = () => x.end();
    },
  });
  const wire = await connectWire(front);
  wire.request(1, '/wait');
  await waitFor(() => release !== undefined, 'the exchange');
  const drained = front.frontEnd.drain(5_000);
  const first = await wire.frame(({ type }) => type === FRAME.goaway, 'GOAWAY');
  strictEqual(first.payload.readUInt32BE(), 0x7fffffff);
  wire.request(3, '/hello');
  strictEqual((await wire.response(3)).status, 200);
  const ping = await wire.frame(({ type, flags }) => type === FRAME.ping && flags === 0, 'PING');
  wire.send(FRAME.ping, FLAG.ack, 0, ping.payload);
  const second = await wire.frame(
    (frame) => frame.type === FRAME.goaway && frame !== first,
    'the second GOAWAY',
  );
  strictEqual(second.payload.readUInt32BE(), 3);
  strictEqual(second.payload.readUInt32BE(4), ERROR_CODE.noError);
  wire.request(5, '/hello');
  await wire.ping();
  strictEqual(
    wire.frames.some(({ stream }) => stream === 5),
    false,
  );
  release?.();
  strictEqual((await wire.response(1)).status, 200);
  await waitFor(() => wire.closed, 'the connection to end');
  strictEqual(await drained, 0);
});

test('A client that does not answer the first GOAWAY gets the second soon', async (t) => {
  const front = await start(t);
  const wire = await connectWire(front);
  await wire.ping();
  const drained = front.frontEnd.drain(10_000);
  await waitFor(() => framesOf(wire, FRAME.goaway).length === 2, 'the second GOAWAY');
  await waitFor(() => wire.closed, 'the connection to end');
  strictEqual(await drained, 0);
});

test('A promise that is refused before it was answered ends its exchange', async (t) => {
  let pushed = 0;
  const front = await start(t, {
    '/page': (x) => {
      const promise = x.push({
        method: 'GET',
        scheme: 'https',
        authority: 'a',
        target: '/asset',
        fields: [],
      });
      if (promise !== undefined) {
        pushed += 1;
        promise.onClose = () => {
          pushed -= 1;
        };
      }
      x.end();
    },
  });
  const wire = await connectWire(front);
  wire.request(1, '/page');
  await wire.frame(({ type }) => type === FRAME.pushPromise, 'PUSH_PROMISE');
  strictEqual(pushed, 1);
  wire.reset(2, ERROR_CODE.refusedStream);
  await waitFor(() => pushed === 0, 'the promised exchange to end');
  wire.request(3, '/hello');
  strictEqual((await wire.response(3)).status, 200);
  wire.destroy();
});

test('A broken response is reset behind what was sent of it', async (t) => {
  const front = await start(t, {
    '/broken': (x) => {
      x.write(Buffer.from('part'));
      x.flush();
      setTimeout(() => x.reset(), 10);
    },
    '/stream': (x) => streamBody(x, Buffer.alloc(1000), 100),
  });
  const wire = await connectWire(front);
  wire.request(1, '/broken');
  const { body, resetCode: code } = await wire.response(1);
  strictEqual(body.toString(), 'part');
  strictEqual(code, ERROR_CODE.internalError);
  wire.request(3, '/stream');
  wire.windowUpdate(0, 100_000);
  wire.windowUpdate(3, 100_000);
  strictEqual((await wire.response(3)).body.length, 100_000);
  wire.destroy();
});

test('A client that never acknowledges SETTINGS is left with SETTINGS_TIMEOUT', async () => {
  const logger = createLogger('error', 'test', () => {});
  const counters = new Counters();
  const sessions = new SessionServer(
    { ...TEST_LIMITS, idleTimeoutMs: 60_000, resetsPerSecond: 10, controlFramesPerSecond: 10 },
    {
      logger,
      counters,
      bodyBytesMax: Number.POSITIVE_INFINITY,
      patience: { stalls: new StallWatch(1_000), bodyRate: { bytesPerSecondMin: 0, graceMs: 0 } },
      unreadBodies: new UnreadBodies(64 * 1024 * 1024, counters, logger),
      compression: testCompression(),
      observers: [],
    },
    () => {},
  );
  const server = createServer((socket) => sessions.serve(socket));
  server.on('error', () => {});
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  ok(typeof address === 'object' && address !== null);
  const socket: Socket = connectTcp(address.port, '127.0.0.1');
  socket.on('error', () => {});
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0', 'latin1');
  await waitFor(() => Buffer.concat(chunks).length >= 9 + 30 + 13 + 9, 'SETTINGS and its acknowledgement');
  const now = performance.now();
  sessions.sweep(now + 9_000);
  strictEqual(socket.readyState, 'open');
  sessions.sweep(now + 10_000);
  await once(socket, 'close');
  // the last frame: type, flags and stream, last stream served, code, reason
  const goAway = Buffer.concat(chunks).subarray(9 + 30 + 13 + 9 + 3);
  deepStrictEqual(
    [...goAway.subarray(0, 14)],
    [7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, ERROR_CODE.settingsTimeout],
  );
  match(goAway.toString('latin1', 14), /^settings were not acknowledged/);
  server.close();
});

test('A client that is idle is sent away in order', async (t) => {
  const front = await start(t, {}, { idleTimeoutMs: 100 });
  const wire = await connectWire(front);
  strictEqual(await goAwayCode(wire), ERROR_CODE.noError);
  await waitFor(() => wire.closed, 'the connection to end');
});

test('A malformed request is counted and logged, with what it asked for', async (t) => {
  const front = await start(t);
  const wire = await connectWire(front);
  const send = (stream: number, head: Head): void =>
    wire.send(FRAME.headers, FLAG.endHeaders | FLAG.endStream, stream, wire.encode(head));
  const whole: Head = [
    [':method', 'GET'],
    [':scheme', 'https'],
    [':path', '/asked'],
    [':authority', 'localhost'],
  ];
  send(1, [...whole, ['Upper', 'case']]);
  send(3, [...whole, ['content-length', '5']]);
  send(5, [[':scheme', 'https']]);
  send(7, [...whole, [':path', '/twice']]);
  for (const stream of [1, 3, 5, 7]) strictEqual(await resetCode(wire, stream), ERROR_CODE.protocolError);
  deepStrictEqual(front.accesses, [
    'GET /asked HTTP/2 0 LGW_HEAD_MALFORMED',
    'GET /asked HTTP/2 0 LGW_HEAD_MALFORMED',
    '- - HTTP/2 0 LGW_HEAD_MALFORMED',
    'GET /asked HTTP/2 0 LGW_HEAD_MALFORMED',
  ]);
  strictEqual(front.counters.get('exchangesTotal'), 4);
  strictEqual(front.counters.get('exchanges'), 0);
  wire.destroy();
});
