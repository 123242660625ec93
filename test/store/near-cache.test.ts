/** What is kept near is as good as the store's, or it is not served. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NearCache } from '../../src/store/near-cache.ts';
import { NEAR_BYTES_MAX, NEAR_ENTRIES_MAX, NEAR_VALUE_BYTES_MAX } from '../../src/store/store-limits.ts';

const LATER = Number.POSITIVE_INFINITY;

function filled(near: NearCache, key: string, value: string, expires = LATER): void {
  near.fill(key, near.begin(key, true), value, expires);
}

test('A value is served until it is changed, its time is over, or nobody tells of changes any more', () => {
  const near = new NearCache();
  filled(near, 'a', 'one');
  assert.equal(near.fresh('a'), 'one');
  near.invalidate([Buffer.from('a')]);
  assert.equal(near.fresh('a'), undefined);
  filled(near, 'a', 'two', performance.now() - 1);
  assert.equal(near.fresh('a'), undefined);
  filled(near, 'a', 'three');
  near.invalidate(null);
  assert.equal(near.fresh('a'), undefined);
  assert.equal(near.old('a'), 'three');
  near.switchOff();
  filled(near, 'a', 'four');
  assert.equal(near.fresh('a'), undefined);
});

test('A value that was changed while it was being read is not kept', () => {
  const near = new NearCache();
  for (const change of [
    () => near.invalidate([Buffer.from('a')]),
    () => near.invalidate(null),
    () => near.forget('a'),
    () => near.begin('a', true),
  ]) {
    const placeholder = near.begin('a', true);
    change();
    near.fill('a', placeholder, 'old', LATER);
    assert.equal(near.fresh('a'), undefined);
    near.forget('a');
  }
});

test('An old value is no fresh one while the new one is on its way', () => {
  const near = new NearCache();
  filled(near, 'a', 'old');
  near.invalidate(null);
  const placeholder = near.begin('a', true);
  assert.deepEqual([near.fresh('a'), near.old('a')], [undefined, 'old']);
  near.fill('a', placeholder, 'new', LATER);
  assert.deepEqual([near.fresh('a'), near.old('a')], ['new', 'new']);
});

test('What nobody tells of is never fresh', () => {
  const near = new NearCache();
  near.fill('a', near.begin('a', false), 'one', LATER);
  assert.deepEqual([near.fresh('a'), near.old('a')], [undefined, 'one']);
});

test('Entries and bytes are bounded, and what is used stays', () => {
  const near = new NearCache();
  filled(near, 'used', 'x');
  for (let i = 0; i < NEAR_ENTRIES_MAX + 1000; i++) {
    filled(near, `key ${i}`, 'x');
    assert.equal(near.fresh('used'), 'x');
  }
  assert.ok(near.size <= NEAR_ENTRIES_MAX);
  const large = 'x'.repeat(NEAR_VALUE_BYTES_MAX);
  for (let i = 0; i < 100; i++) filled(near, `large ${i}`, large);
  assert.ok(near.size <= NEAR_BYTES_MAX / NEAR_VALUE_BYTES_MAX);
  filled(near, 'too large', `${large}x`);
  assert.equal(near.fresh('too large'), undefined);
});
