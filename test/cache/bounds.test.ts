/** What a server, a client or time can make the cache hold has bounds, and no client can make it keep what others should not get. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TAGS_MAX } from '../../src/base/answer-tags.ts';
import {
  BACKGROUND_MAX,
  KEY_BYTES_MAX,
  LENT_BYTES_MAX,
  RECORDING_BYTES_MAX,
  STORED_BODY_BYTES_MAX,
  TEXT_BODY_BYTES_MAX,
  UNKEPT_MAX,
  VARIANTS_MAX,
  VARY_FIELDS_MAX,
  VARY_VALUES_BYTES_MAX,
} from '../../src/cache/cache-limits.ts';
import { purgeAnswers } from '../../src/cache/purge-answers.ts';
import { createPurgeMemory } from '../../src/cache/purge-marks.ts';
import type { Exchange } from '../../src/http/exchange/exchange.ts';
import { CacheWorld, give, ROUTE } from '../support/cache-world.ts';
import { FakeExchange } from '../support/fake-exchange.ts';

const FRESH = ['cache-control', 'max-age=60'];

test('What was not asked for longest goes first when there is no room', () => {
  const world = new CacheWorld({ bytesMax: 100_000 });
  world.backend = () => ({ fields: FRESH, body: 'x'.repeat(30_000) });
  for (const target of ['/1', '/2', '/3']) world.ask(target);
  world.ask('/1');
  world.ask('/4');
  assert.equal(world.asked.length, 4);
  world.ask('/1');
  world.ask('/3');
  assert.equal(world.asked.length, 4);
  world.ask('/2');
  assert.equal(world.asked.length, 5);
  assert.equal(world.counters.get('cacheEvictionsTotal'), 2);
  assert.equal(world.counters.get('cacheAnswers'), 3);
  assert.equal(world.counters.get('cacheBytes'), world.cache.store.bytes);
  world.handler.close();
  assert.deepEqual([world.counters.get('cacheAnswers'), world.counters.get('cacheBytes')], [0, 0]);
});

test('With less memory than before, what has no room any more goes at once', () => {
  const world = new CacheWorld({ bytesMax: 100_000 });
  world.backend = () => ({ fields: FRESH, body: 'x'.repeat(30_000) });
  for (const target of ['/1', '/2', '/3']) world.ask(target);
  world.cache.store.resize(70_000);
  assert.equal(world.cache.store.entries, 2);
  world.cache.store.resize(20_000);
  assert.deepEqual([world.cache.store.entries, world.cache.store.bytes], [0, 0]);
  world.ask('/1');
  assert.equal(world.cache.store.entries, 0);
  world.cache.store.resize(40_000);
  world.ask('/1');
  assert.equal(world.cache.store.entries, 1);
});

test('A body at the limit is kept, one above goes through', () => {
  for (const [length, isKept] of [
    [STORED_BODY_BYTES_MAX, true],
    [STORED_BODY_BYTES_MAX + 1, false],
  ] as const)
    for (const declares of [true, false]) {
      const world = new CacheWorld();
      const fields = declares ? [...FRESH, 'content-length', String(length)] : FRESH;
      world.backend = () => ({ fields, body: 'x'.repeat(length) });
      assert.equal(world.get().bytesWritten, length);
      assert.equal(world.get().bytesWritten, length);
      assert.equal(world.asked.length, isKept ? 1 : 2);
      assert.equal(world.cache.recording.bytes, 0);
    }
});

test('What is received to be kept has a bound for all together', () => {
  const world = new CacheWorld();
  world.backend = () => ({ fields: FRESH });
  world.cache.recording.bytes = RECORDING_BYTES_MAX;
  assert.equal(world.get().text, 'content');
  assert.equal(world.cache.store.entries, 0);
  assert.equal(world.cache.recording.bytes, RECORDING_BYTES_MAX);
});

test('No more answers are fetched behind stale ones than the limit says, and each client gets its stale one', () => {
  const world = new CacheWorld();
  world.backend = () => ({ fields: ['cache-control', 'max-age=60, stale-while-revalidate=600'] });
  const targets = Array.from({ length: BACKGROUND_MAX + 2 }, (_, i) => `/${i}`);
  for (const target of targets) world.ask(target);
  CacheWorld.pass(61);
  world.backend = () => undefined;
  const before = world.asked.length;
  for (const target of targets) assert.equal(world.ask(target).text, 'content');
  assert.equal(world.asked.length, before + BACKGROUND_MAX);
  assert.equal(world.cache.background.count, BACKGROUND_MAX);
  // when one has ended the next one may begin
  give(world.asked[before] as Exchange, { fields: FRESH });
  world.ask(targets.at(-1));
  world.ask(targets.at(-2));
  assert.equal(world.asked.length, before + BACKGROUND_MAX + 1);
  for (const exchange of world.asked.slice(before + 1)) give(exchange, { fields: FRESH });
  assert.equal(world.cache.background.count, 0);
});

test('When slow clients hold as much as the limit says, requests for large answers are passed on, and short ones answered', () => {
  const world = new CacheWorld();
  const length = TEXT_BODY_BYTES_MAX + 1;
  world.backend = ({ target }) => ({
    fields: FRESH,
    body: target === '/short' ? 'short' : 'x'.repeat(length),
  });
  for (const target of ['/short', '/long']) world.ask(target);
  const { loans } = world.cache.store;
  loans.add(LENT_BYTES_MAX);
  world.ask('/long');
  assert.equal(world.asked.length, 2);
  loans.add(1);
  assert.equal(world.ask('/long').bytesWritten, length);
  assert.equal(world.asked.length, 3);
  assert.equal(world.ask('/short').text, 'short');
  assert.equal(world.asked.length, 3);
  loans.add(-LENT_BYTES_MAX - 1);
  world.ask('/long');
  assert.equal(world.asked.length, 3);
});

test('Long targets, long lists of Vary and long values are passed on', () => {
  const world = new CacheWorld();
  world.backend = () => ({ fields: FRESH });
  const host = 'example.test'.length;
  for (const [length, asked] of [
    [KEY_BYTES_MAX - host, 1],
    [KEY_BYTES_MAX - host + 1, 3],
  ] as const) {
    const target = `/${'x'.repeat(length - 1)}`;
    world.ask(target);
    world.ask(target);
    assert.equal(world.asked.length, asked);
  }
  for (const [count, isKept] of [
    [VARY_FIELDS_MAX, true],
    [VARY_FIELDS_MAX + 1, false],
  ] as const) {
    const other = new CacheWorld();
    const vary = Array.from({ length: count }, (_, i) => `x-${i}`).join(', ');
    other.backend = () => ({ fields: [...FRESH, 'vary', vary] });
    other.get();
    other.get();
    assert.equal(other.asked.length, isKept ? 1 : 2);
  }
  const other = new CacheWorld();
  other.backend = () => ({ fields: [...FRESH, 'vary', 'x-a'] });
  for (let i = 0; i < 2; i++) other.get('x-a', 'x'.repeat(VARY_VALUES_BYTES_MAX + 1));
  assert.equal(other.asked.length, 2);
  assert.equal(other.cache.store.entries, 0);
});

test('A target has as many variants as the limit says', () => {
  const world = new CacheWorld();
  world.backend = () => ({ fields: [...FRESH, 'vary', 'x-a'] });
  for (let i = 0; i <= VARIANTS_MAX; i++) world.get('x-a', String(i));
  assert.equal(world.cache.store.entries, VARIANTS_MAX);
  world.get('x-a', String(VARIANTS_MAX));
  assert.equal(world.asked.length, VARIANTS_MAX + 1);
  world.get('x-a', '0');
  assert.equal(world.asked.length, VARIANTS_MAX + 2);
});

test('Another Vary makes the variants of before useless', () => {
  const world = new CacheWorld();
  world.backend = () => ({ fields: [...FRESH, 'vary', 'x-a'] });
  world.get('x-a', '1');
  world.backend = () => ({ fields: [...FRESH, 'vary', 'x-b'] });
  world.get('x-a', '2');
  assert.equal(world.cache.store.entries, 1);
  world.get('x-a', '1');
  assert.equal(world.asked.length, 2);
});

test('An answer with too many tags is not kept, since nobody could purge it by each of them', () => {
  for (const [count, isKept] of [
    [TAGS_MAX, true],
    [TAGS_MAX + 1, false],
  ] as const) {
    const world = new CacheWorld();
    const tags = Array.from({ length: count }, (_, i) => `t${i}`).join(' ');
    world.backend = () => ({ fields: [...FRESH, 'surrogate-key', tags] });
    world.get();
    world.get();
    assert.equal(world.asked.length, isKept ? 1 : 2);
  }
});

test('Targets that could not be kept are remembered up to the limit', () => {
  const world = new CacheWorld();
  world.backend = () => ({ fields: ['cache-control', 'no-store'], body: '' });
  for (let i = 0; i <= UNKEPT_MAX; i++) world.ask(`/${i}`);
  world.backend = () => undefined;
  // the first one is forgotten: its requests wait for each other again
  for (let i = 0; i < 2; i++) world.ask('/0');
  assert.equal(world.asked.length, UNKEPT_MAX + 2);
  for (let i = 0; i < 2; i++) world.ask('/1');
  assert.equal(world.asked.length, UNKEPT_MAX + 4);
});

test('A GET with a body is passed on as it is, and its answer is no answer for others', () => {
  const world = new CacheWorld();
  world.backend = ({ identity }) => ({ fields: FRESH, body: identity.hasBody ? 'poison' : 'content' });
  const fat = new FakeExchange('/', { method: 'GET', body: 'x' });
  Object.assign(fat.identity, { hasBody: true });
  world.handler.handle(fat, ROUTE);
  assert.equal(fat.text, 'poison');
  assert.equal(world.get().text, 'content');
});

test('Fields that some servers take for the target or the method do not get to the server', () => {
  const world = new CacheWorld();
  world.backend = () => ({ fields: FRESH });
  world.get(
    'X-Original-URL',
    '/admin',
    'x_http_method_override',
    'DELETE',
    'X-Forwarded-Port',
    '1',
    'x-kept',
    'yes',
  );
  assert.deepEqual(world.asked[0]?.fields, ['x-kept', 'yes']);
});

test('A request that changes the protocol is passed on', () => {
  const world = new CacheWorld();
  world.backend = () => ({ fields: FRESH });
  for (let i = 0; i < 2; i++) world.get('upgrade', 'websocket', 'connection', 'upgrade');
  assert.equal(world.asked.length, 2);
});

test('A purge holds in all threads at once, by tag, by target, and for everything', () => {
  const purges = createPurgeMemory();
  const [one, two] = [new CacheWorld({ purges }), new CacheWorld({ purges })];
  const fill = (): void => {
    for (const world of [one, two]) {
      world.backend = ({ target }) => ({ fields: [...FRESH, 'cache-tag', `all, tag-of-${target}`] });
      for (const target of ['/a', '/b']) world.ask(target);
      world.asked.length = 0;
    }
  };
  const kept = (world: CacheWorld): string[] => {
    for (const target of ['/a', '/b']) world.ask(target);
    return ['/a', '/b'].filter((target) => !world.asked.some((exchange) => exchange.target === target));
  };
  for (const [purge, left] of [
    [{ tag: 'tag-of-/a' }, ['/b']],
    [{ tag: 'all' }, []],
    [{ tag: 'none' }, ['/a', '/b']],
    [{ url: 'https://EXAMPLE.test:443/b' }, ['/a']],
    [{ url: 'http://example.test/b' }, ['/a', '/b']],
    [{ all: true }, []],
  ] as const) {
    fill();
    assert.equal(purgeAnswers(one.cache.marks, purge), true);
    assert.deepEqual([kept(one), kept(two)], [left, left], JSON.stringify(purge));
  }
  assert.equal(purgeAnswers(one.cache.marks, { url: 'example.test/b' }), false);
});

test('What was asked for before a purge is not kept behind it', () => {
  const world = new CacheWorld();
  world.backend = () => undefined;
  const clients = [world.get(), world.get()];
  purgeAnswers(world.cache.marks, { url: 'https://example.test/' });
  give(world.asked[0] as Exchange, { fields: FRESH, body: 'old' });
  assert.equal(clients[0]?.text, 'old');
  assert.equal(world.cache.store.entries, 0);
  // whoever has waited asks anew
  assert.equal(world.asked.length, 2);
});

test('Tags are between the server and the cache', () => {
  const world = new CacheWorld();
  world.backend = () => ({ fields: [...FRESH, 'Cache-Tag', 'a', 'Surrogate-Key', 'b'] });
  for (let i = 0; i < 2; i++) {
    const { responseFields } = world.get();
    assert.doesNotMatch(responseFields.join(), /tag|surrogate/i);
  }
});
