/** Threads that use the same dictionaries, and end in the middle of operations, leave them valid and lose no increment. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { SharedDictionary } from '../../src/shared/shared-dictionary.ts';
import { createSharedMemory, releaseOwner } from '../../src/shared/shared-memory.ts';
import { SharedStore } from '../../src/shared/shared-store.ts';
import { inForm } from '../support/test-form.ts';
import { checkDictionary } from './check-dictionary.ts';
import type { StressThreadData } from './stress-thread.ts';

const THREADS = 3;
const DEATHS = inForm(4, 25);
const PAUSE_MS_MAX = 30;
/** What the threads have to have done. */
const STEPS_MIN = 1000;

test('Threads that are terminated at any moment leave dictionaries whole and counters exact', async () => {
  const memory = createSharedMemory([
    { name: 'entries', bytes: 64 * 1024 },
    { name: 'counters', bytes: 64 * 1024 },
  ]);
  const ending = new SharedArrayBuffer(4);
  const progress: Int32Array[] = [];
  const errors: unknown[] = [];
  let owner = 0;
  const start = async (): Promise<{ worker: Worker; owner: number }> => {
    owner += 1;
    const mine = owner;
    const buffer = new SharedArrayBuffer(8);
    progress.push(new Int32Array(buffer));
    const data: StressThreadData = { access: { memory, owner: mine }, progress: buffer, ending };
    const worker = new Worker(new URL('./stress-thread.js', import.meta.url), { workerData: data });
    worker.on('error', (error) => errors.push(error));
    await once(worker, 'message');
    return { worker, owner: mine };
  };
  const sum = (index: number): number =>
    progress.reduce((total, counts) => total + (counts[index] as number), 0);
  const threads = await Promise.all(Array.from({ length: THREADS }, start));
  try {
    for (let i = 0; i < DEATHS; i++) {
      await new Promise((resolve) => setTimeout(resolve, Math.random() * PAUSE_MS_MAX));
      const victim = threads.shift();
      assert.ok(victim !== undefined);
      await victim.worker.terminate();
      for (const report of releaseOwner(memory, victim.owner)) assert.equal(report.outcome, 'repaired');
      threads.push(await start());
    }
    // a busy machine lets them do little in the meantime
    while (sum(1) <= STEPS_MIN) await new Promise((resolve) => setTimeout(resolve, PAUSE_MS_MAX));
  } finally {
    Atomics.store(new Int32Array(ending), 0, 1);
    for (const { worker } of threads) if (worker.threadId !== -1) await once(worker, 'exit');
  }
  assert.deepEqual(errors, []);
  for (const { buffer } of memory.declared) checkDictionary(buffer);
  const counter = new SharedDictionary(new SharedStore({ memory, owner: owner + 1 }).open('counters'));
  const value = Number(counter.get('counter'));
  assert.ok(value >= sum(1) && value <= sum(0), `${sum(1)} ≤ ${value} ≤ ${sum(0)}`);
});

test('An undeclared dictionary is the same in all threads', () => {
  const memory = createSharedMemory([]);
  const first = new SharedStore({ memory, owner: 1 });
  const second = new SharedStore({ memory, owner: 2 });
  new SharedDictionary(first.open('a')).set('key', 'a');
  new SharedDictionary(second.open('b')).set('key', 'b');
  assert.equal(new SharedDictionary(second.open('a')).get('key'), 'a');
  assert.equal(new SharedDictionary(first.open('b')).get('key'), 'b');
});
