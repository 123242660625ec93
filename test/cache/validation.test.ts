/** Answers that are not fresh any more: the server is asked whether they are still true, and they stand in for it where it fails. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Exchange } from '../../src/http/exchange/exchange.ts';
import { fieldValue } from '../../src/http/semantics/fields.ts';
import { CacheWorld, give } from '../support/cache-world.ts';

const KEPT = ['cache-control', 'max-age=60', 'etag', '"a"', 'x-version', '1', 'content-type', 'text/plain'];

function conditionOf(exchange: Exchange | undefined): string | undefined {
  return fieldValue(exchange?.fields ?? [], 'if-none-match');
}

test('An answer of 304 makes what is kept fresh again, with the fields that it brings', () => {
  const world = new CacheWorld();
  world.backend = (exchange) =>
    conditionOf(exchange) === undefined
      ? { fields: KEPT }
      : {
          status: 304,
          fields: [
            'etag',
            '"a"',
            'x-version',
            '2',
            'x-new',
            '3',
            'content-type',
            'text/wrong',
            'set-cookie',
            'a=b',
          ],
        };
  world.get();
  CacheWorld.pass(61);
  // the conditions of the client are its own
  const again = world.get('if-none-match', '"z"', 'cookie-free', 'yes');
  assert.deepEqual([again.status, again.text], [200, 'content']);
  assert.equal(conditionOf(world.asked[1]), '"a"');
  for (const [name, value] of [
    ['x-version', '2'],
    ['x-new', '3'],
    ['content-type', 'text/plain'],
    ['set-cookie', undefined],
    ['age', '0'],
  ] as const)
    assert.equal(again.field(name), value, name);
  CacheWorld.pass(59);
  assert.equal(world.get().field('x-version'), '2');
  assert.equal(world.asked.length, 2);
});

test('An answer of 304 that speaks of something else makes the cache ask once more', () => {
  const world = new CacheWorld();
  let answers = 0;
  world.backend = (exchange) => {
    answers += 1;
    return conditionOf(exchange) === undefined
      ? { fields: KEPT, body: `answer ${answers}` }
      : { status: 304, fields: ['etag', '"b"'] };
  };
  world.get();
  CacheWorld.pass(61);
  assert.equal(world.get().text, 'answer 3');
  assert.equal(world.get().text, 'answer 3');
});

test('A changed answer takes the place of the old one', () => {
  const world = new CacheWorld();
  let body = 'old';
  world.backend = () => ({ fields: KEPT, body });
  world.get();
  body = 'new';
  CacheWorld.pass(61);
  assert.equal(world.get().text, 'new');
  assert.equal(world.get().text, 'new');
  assert.equal(world.counters.get('cacheAnswers'), 1);
});

test('While a stale answer is fetched again, one request goes to the server', () => {
  const world = new CacheWorld();
  world.backend = () => ({ fields: ['cache-control', 'max-age=60, stale-while-revalidate=60'], body: 'old' });
  world.get();
  CacheWorld.pass(70);
  world.backend = () => undefined;
  for (let i = 0; i < 10; i++) {
    const stale = world.get();
    assert.equal(stale.text, 'old');
    assert.equal(stale.field('cache-status'), 'lgateway; hit; ttl=-10');
  }
  assert.equal(world.asked.length, 2);
  give(world.asked[1] as Exchange, { fields: ['cache-control', 'max-age=60'], body: 'new' });
  assert.equal(world.get().text, 'new');
  assert.equal(world.counters.get('cacheStaleTotal'), 10);
});

test('A stale answer stands in for a server that fails, for as long as it says', () => {
  for (const failure of ['status', 'reset'] as const) {
    const world = new CacheWorld();
    world.backend = () => ({ fields: ['cache-control', 'max-age=60, stale-if-error=60', 'etag', '"a"'] });
    world.get();
    world.backend = (exchange) => {
      if (failure === 'status') return { status: 503, body: 'failed' };
      exchange.reset(502);
      return undefined;
    };
    CacheWorld.pass(119);
    assert.equal(world.get().text, 'content');
    CacheWorld.pass(2);
    assert.equal(world.get().status, failure === 'status' ? 503 : 502);
  }
});

test('An answer that must be validated never stands in', () => {
  const world = new CacheWorld();
  world.backend = () => ({ fields: ['cache-control', 'max-age=60, stale-if-error=60, must-revalidate'] });
  world.get();
  world.backend = () => ({ status: 503 });
  CacheWorld.pass(61);
  assert.equal(world.get().status, 503);
});

test('A failure that is not masked is told, and what is kept stays', () => {
  const world = new CacheWorld();
  world.backend = () => ({ fields: KEPT });
  world.get();
  CacheWorld.pass(61);
  world.backend = () => ({ status: 500, body: 'failed' });
  assert.equal(world.get().text, 'failed');
  world.backend = (exchange) => ({
    status: conditionOf(exchange) === '"a"' ? 304 : 200,
    fields: ['etag', '"a"'],
  });
  assert.equal(world.get().text, 'content');
});
