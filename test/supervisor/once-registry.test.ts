/** OnceRegistry: who is granted a run, and what becomes of runs whose worker dies. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { OnceRegistry } from '../../src/supervisor/once-registry.ts';

const atLoad = { name: 'a', generation: 0, waitMs: undefined };
const every60 = { name: 'a', generation: 0, waitMs: 60_000 };

test('OnceRegistry.claim() grants what is due at load to one worker of each generation', () => {
  const registry = new OnceRegistry();
  assert.equal(registry.claim(1, 1, atLoad, 0), true);
  assert.equal(registry.claim(2, 1, atLoad, 1), false);
  registry.release(1, 1, true);
  assert.equal(registry.claim(3, 1, atLoad, 2), false);
  assert.equal(registry.claim(2, 2, { ...atLoad, generation: 1 }, 3), true);
  assert.equal(registry.claim(1, 2, { ...atLoad, generation: 1 }, 4), false);
  // a worker that is late with the old generation
  assert.equal(registry.claim(1, 3, atLoad, 5), false);
});

test('OnceRegistry.claim() grants one run in each period, whoever is first', () => {
  const registry = new OnceRegistry();
  let granted = 0;
  // three workers, each with a phase of its own, timers a little early or late
  for (let round = 1; round <= 100; round++) {
    for (const [workerId, phase] of [
      [1, 0],
      [2, 20_000],
      [3, 45_000],
    ] as const) {
      const now = round * 60_000 + phase + ((round * 37) % 11) - 5;
      if (!registry.claim(workerId, round, every60, now)) continue;
      granted += 1;
      registry.release(workerId, round, true);
    }
  }
  assert.equal(granted, 100);
});

test('OnceRegistry.claim() grants no second run while one goes on', () => {
  const registry = new OnceRegistry();
  assert.equal(registry.claim(1, 1, every60, 0), true);
  assert.equal(registry.claim(2, 1, every60, 200_000), false);
  registry.release(2, 1, true);
  registry.release(1, 9, true);
  assert.equal(registry.claim(2, 2, every60, 200_001), false);
  registry.release(1, 1, true);
  assert.equal(registry.claim(2, 3, every60, 200_002), true);
});

test('OnceRegistry.workerGone() and a lost run let the next worker make up for it', () => {
  for (const lose of [
    (registry: OnceRegistry) => registry.workerGone(1),
    (registry: OnceRegistry) => registry.release(1, 1, false),
  ]) {
    const registry = new OnceRegistry();
    assert.equal(registry.claim(1, 1, atLoad, 0), true);
    lose(registry);
    assert.equal(registry.claim(2, 1, atLoad, 1), true);
    registry.release(2, 1, true);
    registry.workerGone(2);
    assert.equal(registry.claim(1, 1, atLoad, 2), false);
    assert.equal(registry.claim(1, 1, every60, 100_000), true);
    lose(registry);
    assert.equal(registry.claim(3, 1, every60, 100_001), true);
  }
});

test('OnceRegistry forgets the oldest of more than a thousand names', () => {
  const registry = new OnceRegistry();
  for (let i = 0; i <= 1000; i++) assert.equal(registry.claim(1, i, { ...atLoad, name: String(i) }, i), true);
  assert.equal(registry.claim(2, 0, { ...atLoad, name: '1' }, 2000), false);
  assert.equal(registry.claim(2, 0, { ...atLoad, name: '0' }, 2000), true);
});
