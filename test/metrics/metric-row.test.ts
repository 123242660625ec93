/** Rows of metrics in shared memory, and the document that describes them. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { PACKAGE_ROOT } from '../../src/base/package-info.ts';
import { MAPPING_METRICS } from '../../src/metrics/mapping-metrics.ts';
import { MetricRow, MetricTable } from '../../src/metrics/metric-row.ts';
import { WORKER_METRICS } from '../../src/metrics/worker-metrics.ts';
import { ALL_FAMILIES } from '../../src/supervisor/metric-families.ts';

const TABLE = new MetricTable<'open' | 'doneTotal', 'waits'>({
  open: { gauge: 'Open' },
  waits: { times: 'Waits' },
  doneTotal: { total: 'Done' },
});

test('Rows that share memory do not touch each other', () => {
  const memory = TABLE.rows(2);
  const [first, second] = [new MetricRow(TABLE, memory, 0), new MetricRow(TABLE, memory, 1)];
  first.add(TABLE.slots.doneTotal, 2);
  first.observe(TABLE.slots.waits, 1e9);
  second.add(TABLE.slots.open, 3);
  assert.deepEqual(first.snapshot(), { open: 0, doneTotal: 2 });
  assert.deepEqual(second.snapshot(), { open: 3, doneTotal: 0 });
  assert.equal(first.times().waits.count, 1);
  assert.equal(second.times().waits.count, 0);
  assert.throws(() => new MetricRow(TABLE, memory, 2), RangeError);
});

test('A thread that ends leaves totals and times, and no gauge', () => {
  const row = new MetricRow(TABLE);
  row.add(TABLE.slots.open, 5);
  row.add(TABLE.slots.doneTotal, 7);
  row.observe(TABLE.slots.waits, 3);
  row.resetGauges();
  assert.deepEqual(row.snapshot(), { open: 0, doneTotal: 7 });
  assert.equal(row.times().waits.count, 1);
});

test('Another thread reads what the writer has counted', async () => {
  const row = new MetricRow(TABLE);
  const source = `const { parentPort, workerData } = require('node:worker_threads');
    const values = new Float64Array(workerData);
    for (let i = 0; i < 100000; i++) values[${TABLE.slots.doneTotal}] += 1;
    parentPort.postMessage('done');`;
  const worker = new Worker(source, { eval: true, workerData: row.memory });
  await new Promise((resolve) => worker.once('message', resolve));
  assert.equal(row.get('doneTotal'), 100_000);
  await worker.terminate();
});

/** The tables in docs/metrics.md. */
function describeMetrics(): string {
  const lines: string[] = [];
  for (const [title, { metrics }] of [
    ['Of a worker', WORKER_METRICS],
    ['Of a mapping in a worker', MAPPING_METRICS],
  ] as const) {
    lines.push(`### ${title}`, '', '| name | kind | what |', '|---|---|---|');
    for (const [name, metric] of Object.entries(metrics)) {
      const [kind, what] = Object.entries(metric)[0] as [string, string];
      lines.push(`| \`${name}\` | ${kind} | ${what} |`);
    }
    lines.push('');
  }
  return lines.join('\n');
}

/** What the admin listener tells. */
function describeFamilies(): string {
  const rows = ALL_FAMILIES.map(({ name, kind, help }) => `| \`${name}\` | ${kind} | ${help} |`);
  return `${['| name | kind | what |', '|---|---|---|', ...rows].join('\n')}\n`;
}

test('docs/metrics.md shows the tables', () => {
  const path = join(PACKAGE_ROOT, 'docs/metrics.md');
  const document = readFileSync(path, 'utf8');
  const start = document.indexOf('### Of a worker');
  const [before = ''] = document.split(/(?<=metrics: begin -->\n)/);
  const last = document.slice(0, start).split('<!-- metrics: end')[1] ?? '';
  const expected = `${before}${describeFamilies()}<!-- metrics: end${last}${describeMetrics()}`;
  if (process.env['LGATEWAY_WRITE_DOCS'] !== undefined) writeFileSync(path, expected);
  else assert.equal(document, expected, 'LGATEWAY_WRITE_DOCS=1 writes it');
});
