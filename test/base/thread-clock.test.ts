/** The processor time of a thread: what it includes and what it leaves out. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { threadCpuMs } from '../../src/base/thread-clock.ts';

/** Two ticks of a kernel with 100 Hz. */
const TICKS_MS = 20;
const WAIT_MS = 400;
const WAIT_MAX_MS = 20_000;

test('The processor time of a thread does not go on while it waits', () => {
  const cell = new Int32Array(new SharedArrayBuffer(4));
  const before = threadCpuMs();
  Atomics.wait(cell, 0, 0, WAIT_MS);
  const used = threadCpuMs() - before;
  assert(used >= 0 && used < WAIT_MS / 2, `${used} ms`);
});

test('The processor time of a thread goes on while it computes, and not faster than the wall clock', () => {
  const started = performance.now();
  const before = threadCpuMs();
  let used = 0;
  while (used < 100) {
    used = threadCpuMs() - before;
    const passed = performance.now() - started;
    assert(used <= passed + TICKS_MS, `${used} of ${passed} ms`);
    assert(passed < WAIT_MAX_MS, 'it goes on');
  }
});

test('What another thread computes does not count', async () => {
  // sends a message after this much computing, while this thread waits
  const code = `const until = performance.now() + ${WAIT_MS};
    while (performance.now() < until);
    const cell = require('node:worker_threads').workerData;
    Atomics.store(cell, 0, 1);
    Atomics.notify(cell, 0);`;
  const cell = new Int32Array(new SharedArrayBuffer(4));
  const worker = new Worker(code, { eval: true, workerData: cell });
  const before = threadCpuMs();
  assert.notEqual(Atomics.wait(cell, 0, 0, WAIT_MAX_MS), 'timed-out');
  const used = threadCpuMs() - before;
  await worker.terminate();
  assert(used < WAIT_MS / 2, `${used} ms`);
});
