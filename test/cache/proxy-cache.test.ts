/** The cache before real servers and real clients: over sockets, with slow clients, and with servers that fail. */
import assert from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import { type ClientHttp2Session, connect } from 'node:http2';
import { after, afterEach, before, test } from 'node:test';
import { cacheClock } from '../../src/cache/cache-clock.ts';
import { CachingHandler } from '../../src/cache/caching-handler.ts';
import { ResponseCache } from '../../src/cache/response-cache.ts';
import type { Exchange } from '../../src/http/exchange/exchange.ts';
import type { Route } from '../../src/http/exchange/handler.ts';
import { readProxyMapping } from '../../src/mapping/proxy-options.ts';
import { Proxies } from '../../src/proxy/proxies.ts';
import { ProxyMapping } from '../../src/proxy/proxy-mapping.ts';
import { ask, type Told } from '../support/proxy-client.ts';
import { startFrontEnd, type TestFrontEnd, waitFor } from '../support/test-front-end.ts';
import { plainUpstream, type Upstream } from '../support/upstream.ts';

const LOGGER = { level: 'error', error() {}, warn() {}, info() {}, debug() {} } as const;
const CLIENTS = 100;
/** Longer than a busy machine takes for anything. */
const WAIT_MS = 60_000;

let front: TestFrontEnd;
let proxies: Proxies;
let cache: ResponseCache;
let mapping: ProxyMapping | undefined;
let upstream: Upstream | undefined;
/** Targets that the server was asked for. */
let asked: string[] = [];
let last: Exchange | undefined;
const realNow = cacheClock.now;
let passedMs = 0;

before(async () => {
  cacheClock.now = () => realNow() + passedMs;
  front = await startFrontEnd(
    {},
    {
      handle(exchange) {
        last = exchange;
        mapping?.find('').handle(exchange, { prefix: '/' } as Route);
      },
    },
  );
  proxies = new Proxies(front.counters, 1);
});

afterEach(async () => {
  mapping?.close();
  await upstream?.close();
});

after(async () => {
  cacheClock.now = realNow;
  proxies.stop();
  await front.stop();
});

async function serve(answer: (target: string, response: ServerResponse) => void): Promise<void> {
  asked = [];
  cache = new ResponseCache({ counters: front.counters, bytesMax: 2 ** 26, waitMs: WAIT_MS });
  upstream = await plainUpstream((request, response) => {
    asked.push(request.url ?? '');
    answer(request.url ?? '', response);
  });
  mapping = new ProxyMapping({
    place: { prefix: '/' },
    settings: readProxyMapping({ prefix: '/' }, upstream.url, { retries: 0 }),
    proxies,
    logger: LOGGER,
    front: (handler) => new CachingHandler(handler, cache, 'test'),
  });
}

/** One request of a session; the answer's body. */
function get(session: ClientHttp2Session, path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const stream = session.request({ ':path': path });
    let text = '';
    stream.setEncoding('latin1');
    stream.on('data', (piece: string) => {
      text += piece;
    });
    stream.on('error', reject);
    stream.on('close', () => resolve(text));
  });
}

test('A hundred clients that ask at once are one request to the server', async () => {
  const waiting: ServerResponse[] = [];
  await serve((_target, response) => void waiting.push(response));
  const session = connect(`https://127.0.0.1:${front.port}`, { rejectUnauthorized: false });
  const answers = Array.from({ length: CLIENTS }, () => get(session, '/'));
  await waitFor(() => cache.waiting.count === CLIENTS - 1, 'all others to wait');
  await waitFor(() => waiting.length === 1, 'the server to be asked');
  waiting[0]?.setHeader('cache-control', 'max-age=60').end('x'.repeat(50_000));
  for (const text of await Promise.all(answers)) assert.equal(text, 'x'.repeat(50_000));
  assert.deepEqual(asked, ['/']);
  session.destroy();
});

test('A server that was killed is stood in for by stale answers', async () => {
  await serve((_target, response) =>
    response.setHeader('cache-control', 'max-age=60, stale-if-error=600').end('content'),
  );
  await ask('h2', front.port, '/');
  await upstream?.close();
  passedMs += 61_000;
  const told = await ask('h2', front.port, '/');
  assert.deepEqual([told.status, told.body], [200, 'content']);
  passedMs += 600_000;
  assert.equal((await ask('h2', front.port, '/')).status, 502);
});

test('An answer that the server breaks off is not kept', async () => {
  let isCut = true;
  await serve((_target, response) => {
    response.setHeader('cache-control', 'max-age=60');
    response.write('half');
    if (isCut) setImmediate(() => response.destroy());
    else response.end(' and half');
  });
  const cut: Told = await ask('h2', front.port, '/');
  assert.equal(cut.isWhole, false);
  isCut = false;
  for (let i = 0; i < 2; i++) assert.equal((await ask('h2', front.port, '/')).body, 'half and half');
  assert.equal(asked.length, 2);
});

test('A long answer goes through at the pace of its client, and is not kept', async () => {
  const size = 12 * 1024 * 1024;
  const sent = { bytes: 0 };
  await serve((_target, response) => {
    response.setHeader('cache-control', 'max-age=60');
    const piece = Buffer.alloc(64 * 1024, 'x');
    const write = (): void => {
      while (sent.bytes < size) {
        sent.bytes += piece.length;
        if (!response.write(piece)) {
          response.once('drain', write);
          return;
        }
      }
      response.end();
    };
    write();
  });
  const session = connect(`https://127.0.0.1:${front.port}`, { rejectUnauthorized: false });
  const stream = session.request({ ':path': '/' });
  await new Promise((resolve) => stream.once('response', resolve));
  stream.pause();
  await waitFor(() => sent.bytes > 1024 * 1024, 'the server to send what may be kept');
  let bytes = 0;
  stream.on('data', (piece: Buffer) => {
    bytes += piece.length;
  });
  stream.resume();
  await new Promise((resolve) => stream.once('close', resolve));
  assert.equal(bytes, size);
  assert.deepEqual([cache.store.entries, cache.recording.bytes], [0, 0]);
  session.destroy();
});

test('A slow client holds up neither the server nor those who wait for the same answer', async () => {
  const body = 'x'.repeat(1024 * 1024);
  await serve((_target, response) => response.setHeader('cache-control', 'max-age=60').end(body));
  const session = connect(`https://127.0.0.1:${front.port}`, { rejectUnauthorized: false });
  const slow = session.request({ ':path': '/' });
  await new Promise((resolve) => slow.once('response', resolve));
  slow.pause();
  assert.equal((await ask('h2', front.port, '/')).body.length, body.length);
  assert.equal(asked.length, 1);
  let bytes = 0;
  slow.on('data', (piece: Buffer) => {
    bytes += piece.length;
  });
  slow.resume();
  await new Promise((resolve) => slow.once('close', resolve));
  assert.equal(bytes, body.length);
  session.destroy();
});

test('What the cache has done for a request is known for the access log', async () => {
  let [tag, age] = ['"1"', 'max-age=100'];
  await serve((_target, response) => {
    const isKnown = response.req.headers['if-none-match'] === tag;
    response.writeHead(isKnown ? 304 : 200, { etag: tag, 'cache-control': age });
    response.end(isKnown ? undefined : `content ${tag}`);
  });
  const outcomes: unknown[] = [];
  const take = async (body?: string): Promise<void> => {
    await ask('h2', front.port, '/page', body);
    outcomes.push(last?.cacheOutcome);
  };
  await take();
  await take();
  passedMs += 101_000;
  await take();
  passedMs += 101_000;
  [tag, age] = ['"2"', 'max-age=100, stale-while-revalidate=60'];
  await take();
  passedMs += 101_000;
  await take();
  await take('changes it');
  assert.deepEqual(outcomes, ['miss', 'hit', 'revalidated', 'expired', 'stale', 'bypass']);
});
