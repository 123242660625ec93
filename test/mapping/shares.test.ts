/** Shares: how much one mapping may use, alone and beside others, and what counts. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { RESOURCES, type Share, Shares, type SharesOptions } from '../../src/mapping/shares.ts';

const FILES = 100;
const LIMITS = {
  files: FILES,
  processes: 10,
  fetches: 10,
  sockets: 10,
  tasks: 10,
  timers: 10,
  websockets: 10,
  subscriptions: 10,
  messageBytes: 10,
  storeCalls: 10,
};

function sharesOf(options: Partial<SharesOptions> = {}): Shares {
  return new Shares({ limits: LIMITS, percent: 50, ...options });
}

/** Takes files until the share is used up; returns their number and the last message. */
function takeAll(share: Share): [number, string] {
  for (let taken = 0; ; taken++) {
    const refusal = share.take('files');
    if (refusal !== undefined) return [taken, refusal];
  }
}

test('A mapping that is alone may take all', () => {
  assert.deepEqual(takeAll(sharesOf().of('/')), [100, '100 files are open and the limit is 100']);
});

test('Of several mappings each takes half of what the others leave, so that something is left for the next', () => {
  const shares = sharesOf();
  const [a, b, c] = [shares.of('/a'), shares.of('/b'), shares.of('/c')];
  assert.deepEqual(takeAll(a), [50, '50 files are open for "/a" and its share is 50 of 100']);
  assert.equal(takeAll(b)[0], 25);
  assert.equal(takeAll(c)[0], 16);
  assert.equal(a.take('processes'), undefined);
  a.give('files');
  assert.equal(a.take('files')?.includes('its share'), true);
  assert.equal(shares.total('files'), 90);
});

test('A mapping always gets an equal part of a half, whatever the others hold', () => {
  const shares = sharesOf({ percent: 100 });
  const [a, b] = [shares.of('/a'), shares.of('/b')];
  assert.equal(takeAll(a)[0], 100);
  assert.equal(takeAll(b)[0], 25);
});

test('Shares of the same name are one, and what an old state holds counts', () => {
  const shares = sharesOf();
  shares.of('/other');
  takeAll(shares.of('/a'));
  assert.equal(shares.of('/a'), shares.of('/a'));
  assert.notEqual(shares.of('/a').take('files'), undefined);
});

test('A script that is being loaded does not depend on what its mapping or others hold, and has a limit all the same', () => {
  const shares = sharesOf();
  const [a, b] = [shares.of('/a'), shares.of('/b')];
  takeAll(a);
  takeAll(b);
  assert.equal(a.take('files', true), undefined);
  let more = 1;
  while (a.take('files', true) === undefined) more += 1;
  assert.ok(a.used('files') <= FILES + 64 && more >= 64);
});

test('Counters of a mapping show what it holds, and how often it has come to a limit', () => {
  const told: unknown[] = [];
  const shares = sharesOf({
    onRefused: (share, resource, limit) => told.push([share.name, resource, limit]),
  });
  const share = shares.of('/');
  for (let i = 0; i < 10; i++) assert.equal(share.take('timers'), undefined);
  assert.notEqual(share.take('timers'), undefined);
  const { timers, limitsReachedTotal } = share.counters.snapshot();
  assert.deepEqual([timers, limitsReachedTotal, told], [10, 1, [['/', 'timers', 10]]]);
});

test('Whatever mappings take and give, no total passes its bound, and every mapping can have its equal part', () => {
  const step = fc.tuple(fc.nat(3), fc.constantFrom(...RESOURCES), fc.boolean());
  fc.assert(
    fc.property(fc.array(step, { maxLength: 300 }), fc.integer({ min: 1, max: 100 }), (steps, percent) => {
      const shares = sharesOf({ percent });
      const all = ['/a', '/b', '/c', '/d'].map((name) => shares.of(name));
      for (const [i, resource, takes] of steps) {
        const share = all[i] as Share;
        const isPoor = share.used(resource) < Math.floor(LIMITS[resource] / 8);
        if (!takes) {
          if (share.used(resource) > 0) share.give(resource);
        } else if (share.take(resource) !== undefined) assert.ok(!isPoor);
        assert.ok(shares.total(resource) <= 1.5 * LIMITS[resource]);
        assert.equal(
          shares.total(resource),
          all.reduce((sum, one) => sum + one.used(resource), 0),
        );
      }
    }),
  );
});

test('A mapping with a part of its own takes no more of what the others leave, also alone, and others keep theirs', () => {
  const shares = sharesOf();
  const own = shares.of('/own');
  own.percent = 5;
  const limit = (all: number): number => Math.floor((all * 5) / 100);
  assert.equal(shares.limitOf(own, 'files'), limit(FILES));
  const other = shares.of('/other');
  assert.equal(shares.limitOf(own, 'files'), limit(FILES));
  assert.equal(takeAll(own)[0], limit(FILES));
  assert.equal(shares.limitOf(other, 'files'), Math.floor((FILES - limit(FILES)) / 2));
  own.percent = 90;
  assert.equal(shares.limitOf(own, 'files'), Math.floor(FILES * 0.9));
  own.percent = undefined;
  assert.equal(shares.limitOf(own, 'files'), FILES / 2);
});

test('A mapping that cannot use a resource leaves it to the others', () => {
  const shares = sharesOf({});
  const script = shares.of('/script');
  const module = shares.of('/module', undefined, ['websockets']);
  assert.equal(shares.limitOf(script, 'files'), FILES);
  assert.equal(shares.limitOf(script, 'websockets'), LIMITS.websockets / 2);
  assert.equal(shares.limitOf(module, 'websockets'), LIMITS.websockets / 2);
  assert.equal(shares.of('/script'), script);
  assert.equal(shares.limitOf(script, 'files'), FILES);
});
