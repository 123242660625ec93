/** The gateway refuses request bodies that arrive too slowly, but counts only the time in which it waits for the client. */
import { deepStrictEqual, strictEqual } from 'node:assert/strict';
import type { ClientHttp2Stream } from 'node:http2';
import type { TestContext } from 'node:test';
import { isTooSlow } from '../../../src/http/exchange/body-rate.ts';
import type { FrontEndLimits } from '../../../src/http/front/front-end.ts';
import { calmTest as test } from '../../support/calm.ts';
import { collectH2, connectH2 } from '../../support/h2-client.ts';
import { connectWire, OWN_HANDLERS, startOwn } from '../../support/own-sessions.ts';
import { connectSecure } from '../../support/raw-client.ts';
import { type HandlerFunction, readBody, type TestFrontEnd } from '../../support/test-front-end.ts';

const GRACE_MS = 400;
/** Bytes each second. One byte every 20 ms is half of it; HONEST_BYTES every 20 ms earn two seconds of waiting. */
const RATE = 100;
const INTERVAL_MS = 20;
const HONEST_BYTES = 200;
const LIMITS: Partial<FrontEndLimits> = { bodyRateMin: RATE, bodyGraceMs: GRACE_MS, stallTimeoutMs: 2_000 };

const HANDLERS: Readonly<Record<string, HandlerFunction>> = {
  ...OWN_HANDLERS,
  /** Waits longer than the grace before it reads. */
  '/later': (x) => {
    setTimeout(() => {
      readBody(x, (body) => {
        if (body === undefined) return;
        x.write(Buffer.from(String(body.length)));
        x.end();
      });
    }, 2 * GRACE_MS);
  },
};

async function start(t: TestContext): Promise<TestFrontEnd> {
  const front = await startOwn(LIMITS, HANDLERS);
  t.after(() => front.stop());
  return front;
}

/** Writes `bytes` bytes again and again; returns the function that stops it. */
function drip(write: (bytes: Buffer) => unknown, bytes: number): () => void {
  const timer = setInterval(() => write(Buffer.alloc(bytes)), INTERVAL_MS);
  return () => clearInterval(timer);
}

test('isTooSlow() gives the grace, then a second for each so many bytes', () => {
  const rate = { bytesPerSecondMin: 500, graceMs: 20_000 };
  strictEqual(isTooSlow(19_999, 0, rate), false);
  strictEqual(isTooSlow(20_000, 0, rate), true);
  strictEqual(isTooSlow(29_999, 5_000, rate), false);
  strictEqual(isTooSlow(30_000, 5_000, rate), true);
  strictEqual(isTooSlow(1e9, 0, { ...rate, bytesPerSecondMin: 0 }), false);
});

test('A body of a byte now and then gets 408 over HTTP/1.1 and HTTP/2', async (t) => {
  const front = await start(t);
  const client = await connectSecure(front.port);
  client.send('POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n');
  const session = await connectH2(front.port);
  const stream: ClientHttp2Stream = session.request({ ':path': '/echo', ':method': 'POST' });
  const stops = [drip((bytes) => client.send(bytes), 1), drip((bytes) => stream.write(bytes), 1)];
  const [first, second] = await Promise.all([client.response(), collectH2(stream)]);
  for (const stop of stops) stop();
  deepStrictEqual([first.status, second.status], [408, 408]);
  session.destroy();
  client.destroy();
});

test('A body that comes at the rate may take as long as it likes', async (t) => {
  const front = await start(t);
  const client = await connectSecure(front.port);
  const session = await connectH2(front.port);
  const stream: ClientHttp2Stream = session.request({ ':path': '/echo', ':method': 'POST' });
  const answer = collectH2(stream);
  const chunks = Math.ceil((3 * GRACE_MS) / INTERVAL_MS);
  client.send(`POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: ${chunks * HONEST_BYTES}\r\n\r\n`);
  await new Promise<void>((resolve) => {
    let sent = 0;
    const stop = drip((bytes) => {
      client.send(bytes);
      stream.write(bytes);
      sent += 1;
      if (sent < chunks) return;
      stop();
      stream.end();
      resolve();
    }, HONEST_BYTES);
  });
  const all = String(chunks * HONEST_BYTES);
  deepStrictEqual([(await client.response()).body.toString(), (await answer).body.toString()], [all, all]);
  session.destroy();
  client.destroy();
});

test('Time in which nobody waits for the body does not count', async (t) => {
  const front = await start(t);
  const size = 1_000_000;
  const client = await connectSecure(front.port);
  client.send(`POST /later HTTP/1.1\r\nHost: a\r\nContent-Length: ${size}\r\n\r\n`);
  client.send(Buffer.alloc(size));
  const session = await connectH2(front.port);
  const stream: ClientHttp2Stream = session.request({ ':path': '/later', ':method': 'POST' });
  stream.end(Buffer.alloc(size));
  deepStrictEqual(
    [(await client.response()).body.toString(), (await collectH2(stream)).body.toString()],
    [String(size), String(size)],
  );
  session.destroy();
  client.destroy();
});

test('A client whose window other bodies have used up is not to blame', async (t) => {
  const front = await start(t);
  const wire = await connectWire(front);
  await wire.ping();
  // 1 MiB is the connection's window
  for (const stream of [1, 3, 5, 7]) {
    wire.request(stream, '/quiet', { method: 'POST', open: true });
    for (let left = 16; left > 0; left--) wire.data(stream, Buffer.alloc(16 * 1024));
  }
  wire.request(9, '/echo', { method: 'POST', open: true });
  await wire.ping();
  const other = await connectWire(front);
  other.request(1, '/echo', { method: 'POST', open: true });
  strictEqual((await other.response(1)).status, 408);
  deepStrictEqual(
    wire.frames.filter(({ stream }) => stream === 9),
    [],
  );
  for (const stream of [1, 3, 5, 7]) wire.reset(stream, 8);
  await wire.ping();
  wire.data(9, 'there it is', true);
  const { status, body } = await wire.response(9);
  deepStrictEqual([status, body.toString()], [200, '11']);
  wire.destroy();
  other.destroy();
});
