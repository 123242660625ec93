/** What workers know in common of a server: three failures in ten seconds, one request that tries it again, and what checks say. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import fc from 'fast-check';
import {
  createHealthMemory,
  createWaitingMemory,
  HEALTH_ROWS_MAX,
  healthNow,
  ROW_KEPT_MS,
  ROW_NAME_BYTES_MAX,
  TICK_MS,
} from '../../../src/proxy/upstreams/health-memory.ts';
import { FAILURES_MAX, FAILURES_WINDOW_MS, type HealthRow } from '../../../src/proxy/upstreams/health-row.ts';
import { HealthTable } from '../../../src/proxy/upstreams/health-table.ts';
import { readUpstreams } from '../../../src/proxy/upstreams/upstream-view.ts';

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

test('What is known of servers can be seen: failures and checks of all workers, and the requests that wait in each', () => {
  const memory = createHealthMemory();
  const waiting = [createWaitingMemory(), createWaitingMemory()];
  const [one, other] = waiting.map((counts) => new HealthTable(memory, counts).of('/api', 'http://a:1')) as [
    HealthRow,
    HealthRow,
  ];
  one.waits(1);
  other.waits(1);
  other.waits(1);
  other.waits(-1);
  one.failed(1000);
  other.failed(1001);
  other.checked(true, 1, 1);
  other.checked(false, 1, 2);
  const view = (): unknown =>
    readUpstreams(
      memory,
      waiting.map((counts) => new Int32Array(counts)),
    );
  const expected = {
    mapping: '/api',
    name: 'http://a:1',
    healthy: true,
    inFlight: 2,
    fails: 2,
    checks: 2,
    failedChecks: 1,
  };
  assert.deepEqual(view(), [expected]);
  one.checked(false, 1, 2);
  assert.deepEqual(view(), [{ ...expected, healthy: false, checks: 3, failedChecks: 2 }]);
  const table = new HealthTable(memory, waiting[0]);
  assert.equal(table.view('/api')[0]?.inFlight, 1);
  assert.deepEqual(table.view('/'), []);
});

test('The name of a row is cut off at its limit', () => {
  const memory = createHealthMemory();
  new HealthTable(memory).of('/', 'x'.repeat(ROW_NAME_BYTES_MAX));
  assert.deepEqual(
    readUpstreams(memory, []).map(({ mapping, name }) => [mapping, name.length]),
    [['/', ROW_NAME_BYTES_MAX - 2]],
  );
});

test('Rows that were held are given back at once behind the last one of all workers, and the next key finds nothing in them', () => {
  const memory = createHealthMemory();
  const [one, other] = [new HealthTable(memory), new HealthTable(memory)];
  for (let i = 0; i < HEALTH_ROWS_MAX; i++) {
    const row = one.row(`old\0${i}`);
    row.hold();
    row.checked(false, 1, 1);
  }
  // a place of its own: nobody else sees it
  other.row('new\0early').checked(false, 1, 1);
  assert.equal(new HealthTable(memory).row('new\0early').state(1), 'up');
  const held = other.row('old\x007');
  held.hold();
  for (let i = 0; i < HEALTH_ROWS_MAX; i++) one.row(`old\0${i}`).release();
  // a worker that still holds one says so in its next round
  other.stamp();
  assert.deepEqual(
    readUpstreams(memory, []).map(({ name }) => name),
    ['7'],
  );
  const next = one.row('new\0late');
  assert.equal(next.state(1), 'up');
  next.checked(false, 1, 1);
  assert.equal(new HealthTable(memory).row('new\0late').state(1), 'down');
  assert.equal(held.state(1), 'down');
});

test('A row that nobody uses any more is taken over at its limit of time, and whoever had it gets another', () => {
  const memory = createHealthMemory();
  const waiting = createWaitingMemory();
  const counts = new Int32Array(waiting);
  const table = new HealthTable(memory, waiting);
  const rows = Array.from({ length: HEALTH_ROWS_MAX }, (_, i) => table.row(`old\0${i}`));
  const first = rows[0] as HealthRow;
  first.checked(false, 1, 1);
  const now = healthNow();
  const justKept = now - ROW_KEPT_MS / TICK_MS + 100;
  table.stamp(justKept);
  const refused = new HealthTable(memory);
  refused.row('new\0a').checked(false, 1, 1);
  assert.equal(new HealthTable(memory).row('new\0a').state(1), 'up');
  for (const row of rows) row.waits(1);
  table.stamp(justKept - 200);
  const taker = new HealthTable(memory);
  for (let i = 0; i < HEALTH_ROWS_MAX; i++) taker.row(`new\0${i}`);
  assert.equal(first.isUp, true);
  assert.ok(readUpstreams(memory, []).every(({ mapping }) => mapping === 'new'));
  // what waits goes with the row, here to a place of its own
  for (const row of rows) row.waits(-1);
  assert.ok(counts.every((count) => count === 0));
});
