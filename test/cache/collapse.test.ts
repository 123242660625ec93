/** Requests for the same wait for one answer, and go their own way where there is none for them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WAIT_MS_MAX, WAITING_MAX } from '../../src/cache/cache-limits.ts';
import type { Exchange } from '../../src/http/exchange/exchange.ts';
import { CacheWorld, give } from '../support/cache-world.ts';
import type { FakeExchange } from '../support/fake-exchange.ts';

const FRESH = ['cache-control', 'max-age=60'];

/** So many requests while the server takes its time. */
function askMany(world: CacheWorld, count: number, ...fields: string[]): FakeExchange[] {
  world.backend = () => undefined;
  return Array.from({ length: count }, () => world.get(...fields));
}

function leaderOf(world: CacheWorld): Exchange {
  assert.equal(world.asked.length, 1);
  return world.asked[0] as Exchange;
}

test('A hundred clients that wait are one request to the server', () => {
  const world = new CacheWorld();
  const clients = askMany(world, 100);
  give(leaderOf(world), { fields: FRESH });
  for (const client of clients) assert.deepEqual([client.status, client.text], [200, 'content']);
  assert.equal(world.asked.length, 1);
  assert.equal(world.counters.get('cacheCollapsedTotal'), 99);
  assert.equal(world.cache.waiting.count, 0);
});

test('An answer that must not be kept sends all who wait to the server, as soon as its head is there', () => {
  const world = new CacheWorld();
  const clients = askMany(world, 5);
  leaderOf(world).head(200, ['cache-control', 'private']);
  assert.equal(world.asked.length, 5);
  for (const exchange of world.asked.slice(1)) give(exchange, { body: 'own' });
  assert.deepEqual(
    clients.map(({ finished, text }) => [finished, text]),
    [[false, ''], ...Array.from({ length: 4 }, () => [true, 'own'])],
  );
  // for a while nobody waits for such a target
  world.get();
  world.get();
  assert.equal(world.asked.length, 7);
});

test('A request that fails sends all who wait to the server', () => {
  const world = new CacheWorld();
  const clients = askMany(world, 3);
  leaderOf(world).reset(502);
  assert.equal(clients[0]?.status, 502);
  assert.equal(world.asked.length, 3);
});

test('An answer that is cut off is neither kept nor given to those who wait', () => {
  const world = new CacheWorld();
  const clients = askMany(world, 2);
  const leader = leaderOf(world);
  leader.head(200, [...FRESH, 'content-length', '10']);
  leader.write(Buffer.from('half'));
  leader.reset();
  assert.equal(clients[0]?.broken, true);
  assert.equal(world.asked.length, 2);
  assert.equal(clients[1]?.finished, false);
  assert.equal(world.cache.store.entries, 0);
  assert.equal(world.cache.recording.bytes, 0);
});

test('An answer that ends before its length is one that is cut off', () => {
  const world = new CacheWorld();
  const [client] = askMany(world, 1);
  give(leaderOf(world), { fields: [...FRESH, 'content-length', '10'] });
  assert.equal(client?.broken, true);
  assert.equal(world.cache.store.entries, 0);
});

test('A client that goes away does not take the answer from those who wait', () => {
  const world = new CacheWorld();
  const [first, second] = askMany(world, 2);
  first?.abort();
  give(leaderOf(world), { fields: FRESH });
  assert.equal(second?.text, 'content');
});

test('Where nobody waits, the request ends with its client', async () => {
  const world = new CacheWorld();
  const [client] = askMany(world, 1);
  const leader = leaderOf(world);
  const ended = new Promise((resolve) => {
    leader.onAbort = resolve;
  });
  client?.abort();
  await ended;
  assert.equal(leader.finished, true);
  // and the next one asks anew
  world.get();
  assert.equal(world.asked.length, 2);
});

test('A client that waits and goes away is not waited for', () => {
  const world = new CacheWorld();
  const clients = askMany(world, 3);
  clients[1]?.abort();
  assert.equal(world.cache.waiting.count, 1);
  give(leaderOf(world), { fields: FRESH });
  assert.equal(clients[2]?.text, 'content');
});

test('Whoever has waited for too long goes to the server, and nobody waits for this answer any more', async () => {
  const world = new CacheWorld({ waitMs: 20 });
  const clients = askMany(world, 3);
  await new Promise<void>((resolve) => {
    world.backend = () => {
      if (world.asked.length === 3) resolve();
      return undefined;
    };
  });
  world.get();
  assert.equal(world.asked.length, 4);
  assert.equal(clients.filter(({ finished }) => finished).length, 0);
});

test('As many wait as the limit says', () => {
  const world = new CacheWorld();
  askMany(world, 1);
  world.cache.waiting.count = WAITING_MAX;
  world.get();
  assert.equal(world.asked.length, 2);
});

test('Clients whose requests differ by Vary get answers of their own, each asked for once', () => {
  const world = new CacheWorld();
  world.backend = () => undefined;
  const clients = Array.from({ length: 9 }, (_, i) => world.get('accept-language', 'abc'[i % 3] as string));
  assert.equal(world.asked.length, 1);
  const answer = { fields: [...FRESH, 'vary', 'accept-language'] };
  give(world.asked[0] as Exchange, { ...answer, body: 'a' });
  assert.equal(world.asked.length, 3);
  give(world.asked[1] as Exchange, { ...answer, body: 'b' });
  give(world.asked[2] as Exchange, { ...answer, body: 'c' });
  assert.deepEqual(
    clients.map(({ text }) => text),
    [...'abcabcabc'],
  );
});

test('Requests that say who asks neither wait nor are waited for', () => {
  const world = new CacheWorld();
  askMany(world, 2, 'cookie', 'a=b');
  assert.equal(world.asked.length, 2);
});

test('A stale answer is validated once for all who wait', () => {
  const world = new CacheWorld();
  world.backend = () => ({ fields: [...FRESH, 'etag', '"a"'] });
  world.get();
  CacheWorld.pass(61);
  const clients = askMany(world, 10);
  assert.equal(world.asked.length, 2);
  give(world.asked[1] as Exchange, { status: 304, fields: ['etag', '"a"'] });
  for (const { text } of clients) assert.equal(text, 'content');
  assert.equal(world.asked.length, 2);
});

test('Those who wait for a server that fails get the stale answer, too', () => {
  const world = new CacheWorld();
  world.backend = () => ({ fields: ['cache-control', 'max-age=60, stale-if-error=60'] });
  world.get();
  CacheWorld.pass(61);
  const clients = askMany(world, 10);
  (world.asked[1] as Exchange).reset(502);
  for (const { text } of clients) assert.equal(text, 'content');
  assert.equal(world.asked.length, 2);
});

test('Who has waited for the longest wait asks the server, not a millisecond before', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const world = new CacheWorld();
  const clients = askMany(world, 3);
  t.mock.timers.tick(WAIT_MS_MAX - 1);
  assert.equal(world.asked.length, 1);
  t.mock.timers.tick(1);
  assert.equal(world.asked.length, 3);
  for (const exchange of world.asked.slice(1)) give(exchange, { body: 'own' });
  assert.deepEqual(
    clients.map(({ text }) => text),
    ['', 'own', 'own'],
  );
  assert.equal(world.cache.waiting.count, 0);
});
