/** OnceRegistry: who is granted a run, and what becomes of runs whose worker dies. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { OnceRegistry } from '../../src/supervisor/once-registry.ts';
import type { OnceClaim } from '../../src/worker/messages.ts';

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

test('OnceRegistry hands over: the predecessor grants nothing more, and the successor knows the periods', () => {
  const old = new OnceRegistry();
  const ended: [string, boolean][] = [];
  assert.equal(old.claim(1, 1, every60, 1_000), true);
  assert.equal(old.claim(1, 2, { ...every60, name: 'b' }, 2_000), true);
  old.release(1, 2, true);
  const records = old.handOver(11_000, (name, completed) => ended.push([name, completed]));
  assert.deepEqual(records, [
    { name: 'a', running: true, ageMs: 10_000 },
    { name: 'b', running: false, ageMs: 9_000 },
  ]);
  const refused: boolean[] = [];
  old.ask(
    2,
    1,
    { ...every60, name: 'c' },
    (granted) => refused.push(granted),
    () => 11_000,
  );
  assert.deepEqual(refused, [false]);
  old.release(1, 1, true);
  assert.deepEqual(ended, [['a', true]]);

  const next = new OnceRegistry();
  next.awaitPredecessor();
  const answers: string[] = [];
  let now = 50_000;
  const ask = (claimId: number, claim: OnceClaim): void =>
    next.ask(
      1,
      claimId,
      claim,
      (granted) => answers.push(`${claimId} ${granted}`),
      () => now,
    );
  ask(1, { ...every60, name: 'b' });
  ask(2, { ...atLoad, name: 'b' });
  ask(3, { ...every60, name: 'new' });
  ask(4, atLoad);
  assert.deepEqual(answers, [], 'claims wait for the predecessor');
  next.takeOver(records, () => now);
  // b ran 9 s ago; what is due at load is due in the new process, but not while a run before the upgrade goes on
  assert.deepEqual(answers.splice(0), ['1 false', '2 true', '3 true']);
  ask(5, every60);
  assert.deepEqual(answers.splice(0), ['5 false']);
  next.predecessorEnded('a', true, () => now);
  assert.deepEqual(answers.splice(0), ['4 true']);
  next.release(1, 4, true);
  now += 60_000;
  ask(6, every60);
  assert.deepEqual(answers.splice(0), ['6 true']);
});

test('OnceRegistry grants again when the predecessor has ended, with or without a word', () => {
  const silent = new OnceRegistry();
  silent.awaitPredecessor();
  const answers: boolean[] = [];
  silent.ask(
    1,
    1,
    every60,
    (granted) => answers.push(granted),
    () => 0,
  );
  silent.ask(
    2,
    1,
    every60,
    () => assert.fail('the thread has ended'),
    () => 0,
  );
  silent.workerGone(2);
  silent.predecessorGone(() => 0);
  assert.deepEqual(answers, [true]);

  const lost = new OnceRegistry();
  lost.awaitPredecessor();
  lost.takeOver([{ name: 'a', running: true, ageMs: 5 }], () => 0);
  lost.ask(
    1,
    1,
    every60,
    (granted) => answers.push(granted),
    () => 1,
  );
  lost.predecessorGone(() => 2);
  lost.ask(
    1,
    2,
    every60,
    (granted) => answers.push(granted),
    () => 3,
  );
  assert.deepEqual(answers, [true, false, true], 'a run that ended with its process is made up for');
});
