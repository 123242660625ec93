/** What workers know in common of a server: three failures in ten seconds, one request that tries it again, and what checks say. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import fc from 'fast-check';
import { FAILURES_MAX, FAILURES_WINDOW_MS, type HealthRow } from '../../../src/proxy/upstreams/health-row.ts';
import {
  createHealthMemory,
  HEALTH_ROWS_MAX,
  HealthTable,
} from '../../../src/proxy/upstreams/health-table.ts';

const TICKS_PER_SECOND = 100;
const WINDOW = (FAILURES_WINDOW_MS / 1000) * TICKS_PER_SECOND;

function newRow(): HealthRow {
  return new HealthTable().row('x');
}

test('Three failures within the window take a server out, and two do not', () => {
  const row = newRow();
  assert.deepEqual([row.failed(1000), row.failed(1001), row.state(1001)], [false, false, 'up']);
  assert.equal(row.failed(1000 + WINDOW), true);
  assert.equal(row.state(1000 + WINDOW), 'rests');
  const slow = newRow();
  for (let i = 0; i < 10; i++) assert.equal(slow.failed(1000 + i * (WINDOW / 2 + 1)), false);
  assert.equal(slow.state(1000), 'up');
});

test('Failures take a server out exactly when the last three lie within the window', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: WINDOW }), { maxLength: 30 }), (gaps) => {
      const row = newRow();
      const times: number[] = [];
      let now = 5000;
      for (const gap of gaps) {
        now += gap;
        times.push(now);
        const oldest = times.at(-FAILURES_MAX);
        const expected = oldest !== undefined && now - oldest <= WINDOW;
        assert.equal(row.failed(now), expected);
        if (expected) return;
      }
    }),
  );
});

test('When the time is over one request tries it, of all workers; its success brings the server back, its failure does not', () => {
  const memory = createHealthMemory();
  const [one, other] = [new HealthTable(memory).row('k'), new HealthTable(memory).row('k')];
  for (let i = 0; i < FAILURES_MAX; i++) one.failed(1000);
  assert.equal(other.state(1000 + WINDOW - 1), 'rests');
  const due = 1000 + WINDOW;
  assert.equal(other.state(due), 'due');
  assert.deepEqual([other.claim(due, 0), one.claim(due, 0)], [true, false]);
  assert.equal(one.state(due), 'rests');
  assert.equal(other.failed(due + 5), false);
  assert.equal(one.state(due + WINDOW), 'rests');
  assert.equal(one.claim(due + 5 + WINDOW, 0), true);
  assert.deepEqual([one.succeeded(), one.succeeded(), other.state(due + 5 + WINDOW)], [true, false, 'up']);
  // a request that cannot be sent twice waits longer
  for (let i = 0; i < FAILURES_MAX; i++) one.failed(9000);
  assert.equal(one.claim(9000 + WINDOW, FAILURES_WINDOW_MS), false);
  assert.equal(one.claim(9000 + 2 * WINDOW, FAILURES_WINDOW_MS), true);
});

test('Times that go round in 32 bits change nothing', () => {
  const row = newRow();
  const start = 0x7fff_ffff - 10;
  for (let i = 0; i < FAILURES_MAX; i++) row.failed((start + i) | 0);
  assert.equal(row.state((start + 20) | 0), 'rests');
  assert.equal(row.state((start + 3 + WINDOW) | 0), 'due');
});

test('Checks take a server out after `fall` in a row and bring it back after `rise`, also one that rests', () => {
  const row = newRow();
  assert.deepEqual(
    [false, false, true, false, false, false].map((passed) => row.checked(passed, 2, 3)),
    [undefined, undefined, undefined, undefined, undefined, 'down'],
  );
  assert.equal(row.state(1), 'down');
  assert.deepEqual([row.checked(true, 2, 3), row.checked(true, 2, 3), row.state(1)], [undefined, 'up', 'up']);
  for (let i = 0; i < FAILURES_MAX; i++) row.failed(1000);
  assert.deepEqual([row.checked(true, 2, 3), row.state(1001)], ['up', 'up']);
  for (let i = 0; i < 3; i++) row.checked(false, 2, 3);
  row.uncheck();
  assert.equal(row.state(1), 'up');
});

test('One worker of all checks in each interval', () => {
  const memory = createHealthMemory();
  const rows = [1, 2, 3].map(() => new HealthTable(memory).row('k'));
  const claims = (now: number): number => rows.filter((row) => row.claimCheck(now, 5000)).length;
  assert.deepEqual(
    [claims(100), claims(101), claims(599), claims(600), claims(1099), claims(1100)],
    [1, 0, 0, 1, 0, 1],
  );
});

test('Threads that take rows at the same time get the same ones, and rows of their own when all are taken', async () => {
  const memory = createHealthMemory();
  const url = new URL('../../../src/proxy/upstreams/health-table.js', import.meta.url).href;
  const code = `const { parentPort, workerData } = require('node:worker_threads');
    import(${JSON.stringify(url)}).then(({ HealthTable }) => {
      const table = new HealthTable(workerData);
      for (let i = 0; i < 300; i++) for (let n = 0; n < 3; n++) table.row('key ' + i).failed(1000);
      parentPort.postMessage('done');
    });`;
  const threads = [1, 2].map(() => new Worker(code, { eval: true, workerData: memory }));
  await Promise.all(
    threads.map(
      (thread) => new Promise((resolve, reject) => thread.once('exit', resolve).once('error', reject)),
    ),
  );
  const table = new HealthTable(memory);
  for (let i = 0; i < 300; i++) assert.equal(table.row(`key ${i}`).state(1001), 'rests', `key ${i}`);
  for (let i = 0; i < HEALTH_ROWS_MAX; i++) table.row(`other ${i}`);
  const own = table.row('one too many');
  for (let i = 0; i < FAILURES_MAX; i++) own.failed(1000);
  assert.equal(own.state(1001), 'rests');
  assert.equal(new HealthTable(memory).row('one too many').state(1001), 'up');
});
