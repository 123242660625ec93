/** How many threads the pool has, and how many of them the files of one mapping may have. */
import { equal } from 'node:assert/strict';
import { test } from 'node:test';
import { operationsOfShareMax, poolThreads } from '../../src/base/pool-threads.ts';

test('One mapping leaves a thread to the others, also where it holds as many as it may in every worker', () => {
  for (const [workers, threads, each] of [
    [1, 4, 3],
    [2, 16, 6],
    [4, 13, 3],
    [1, 64, 6],
  ] as const) {
    equal(operationsOfShareMax(workers, threads), each);
    equal(workers * each < threads, true);
  }
});

test('A pool that is small for so many workers leaves a mapping two operations', () => {
  equal(operationsOfShareMax(2, 4), 2);
  equal(operationsOfShareMax(8, 4), 2);
  equal(operationsOfShareMax(1, 1), 2);
});

test('Nonsense counts as the default of libuv', () => {
  equal(poolThreads('7'), 7);
  for (const nonsense of [undefined, '', '0', '-1', 'many', '1.5']) equal(poolThreads(nonsense), 4, nonsense);
});
