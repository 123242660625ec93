/** The order of turns: owners in rotation, what begins before what computes, and a slice for that in each round. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hasComputed, isRoundFull, takeSlice, takeTurn } from '../../src/lua/turns.ts';
import { eventually, turn } from '../support/script-harness.ts';

test('Owners take turns, and what one owner has waiting keeps its order', async () => {
  const order: string[] = [];
  const busy = {};
  for (let i = 1; i <= 4; i++) takeTurn(busy, () => order.push(`busy${i}`));
  takeTurn({}, () => order.push('other'));
  await eventually(() => assert.equal(order.length, 5));
  assert.deepEqual(order, ['busy1', 'other', 'busy2', 'busy3', 'busy4']);
});

test('What has left the queue does not run, and the others do', async () => {
  const order: string[] = [];
  const owner = {};
  const leave = takeTurn(owner, () => order.push('left'));
  takeTurn(owner, () => order.push('stays'));
  const leaveAlone = takeTurn({}, () => order.push('left'));
  leave();
  leave();
  leaveAlone();
  await eventually(() => assert.equal(order.length, 1));
  await turn();
  assert.deepEqual(order, ['stays']);
});

test('An owner whose turns were all taken out waits again, in its new place', async () => {
  const order: string[] = [];
  const [first, second] = [{}, {}];
  const leave = takeTurn(first, () => order.push('left'));
  takeTurn(second, () => order.push('second'));
  leave();
  takeTurn(first, () => order.push('first'));
  // a long queue, of which every other one is taken out
  const owner = {};
  const leaves = Array.from({ length: 5000 }, (_, i) => takeTurn(owner, () => order.push(String(i))));
  for (let i = 0; i < leaves.length; i += 2) leaves[i]?.();
  await eventually(() => assert.equal(order.length, 2502));
  assert.deepEqual(order.slice(0, 4), ['second', 'first', '1', '3']);
  assert.equal(order.at(-1), '4999');
});

test('What begins comes before slices, which get one of each round all the same', async () => {
  const order: string[] = [];
  const owner = {};
  const use = (name: string) => (): void => {
    order.push(name);
    // a whole round
    const until = performance.now() + 6;
    while (performance.now() < until);
  };
  for (const name of ['slice1', 'slice2']) takeSlice(owner, use(name));
  for (const name of ['begin1', 'begin2', 'begin3']) takeTurn(owner, use(name));
  await eventually(() => assert.equal(order.length, 5));
  assert.deepEqual(order, ['begin1', 'slice1', 'begin2', 'slice2', 'begin3']);
});

test('A round is full when its time has been computed, and the next one is not', async () => {
  await turn();
  const now = performance.now();
  hasComputed(now);
  hasComputed(now + 3);
  assert.equal(isRoundFull(), false);
  hasComputed(now + 4);
  assert.equal(isRoundFull(), true);
  await turn();
  await turn();
  assert.equal(isRoundFull(), false);
});
