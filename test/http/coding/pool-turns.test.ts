/** Turns in the pool: so many at once, the rest in order. */
import { deepEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';
import { type PoolJob, PoolTurns, poolJobsMax } from '../../../src/http/coding/pool-turns.ts';

test('Jobs beyond the limit wait in order, and one that is withdrawn does not begin', () => {
  const turns = new PoolTurns(2);
  const begun: number[] = [];
  const jobs = [1, 2, 3, 4, 5].map((number): PoolJob => ({ begin: () => begun.push(number) }));
  for (const job of jobs) turns.take(job);
  deepEqual(begun, [1, 2]);
  equal(turns.withdraw(jobs[2] as PoolJob), true);
  equal(turns.withdraw(jobs[0] as PoolJob), false);
  turns.ended();
  deepEqual(begun, [1, 2, 4]);
  turns.ended();
  deepEqual(begun, [1, 2, 4, 5]);
  turns.ended();
  turns.ended();
  equal(turns.underWay, 0);
});

test('Workers share a job for each processor, as far as the pool has two threads more, and each has one', () => {
  equal(poolJobsMax(1, 4, 1), 2);
  equal(poolJobsMax(2, 4, 8), 1);
  equal(poolJobsMax(8, 4, 8), 1);
  equal(poolJobsMax(2, 16, 2), 1);
  equal(poolJobsMax(2, 52, 8), 4);
  equal(poolJobsMax(1, 1, 1), 1);
});
