/** The text of metrics in its two forms: names, types, escapes, numbers, histograms, and the choice between the forms. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MetricText } from '../../src/admin/metric-text.ts';
import { HISTOGRAM_SLOTS, Histogram } from '../../src/metrics/histogram.ts';

const OPEN = 'application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5';

function write(accept: string): string {
  const text = new MetricText(accept);
  text.family({ name: 'a_total', kind: 'counter', help: 'Says "a"\nand \\b' });
  text.sample({ mapping: 'x"y\\z\n' }, 1e21);
  text.family({ name: 'c_info', kind: 'info', help: 'Facts' });
  text.sample({ version: '1' }, 1);
  text.family({ name: 'd', kind: 'gauge', help: 'D' });
  text.sample({}, -0.5);
  return text.end();
}

test('OpenMetrics names a counter without its suffix, escapes quotes of a help text, has infos, and ends with EOF', () => {
  assert.equal(
    write(OPEN),
    [
      '# HELP a Says \\"a\\"\\nand \\\\b',
      '# TYPE a counter',
      'a_total{mapping="x\\"y\\\\z\\n"} 1e+21',
      '# HELP c Facts',
      '# TYPE c info',
      'c_info{version="1"} 1',
      '# HELP d D',
      '# TYPE d gauge',
      'd -0.5',
      '# EOF',
      '',
    ].join('\n'),
  );
});

test('The older text names a counter in full, leaves quotes of a help text, has gauges for infos, and no end', () => {
  assert.equal(
    write('*/*'),
    [
      '# HELP a_total Says "a"\\nand \\\\b',
      '# TYPE a_total counter',
      'a_total{mapping="x\\"y\\\\z\\n"} 1e+21',
      '# HELP c_info Facts',
      '# TYPE c_info gauge',
      'c_info{version="1"} 1',
      '# HELP d D',
      '# TYPE d gauge',
      'd -0.5',
      '',
    ].join('\n'),
  );
});

test('Who names OpenMetrics gets it; a wildcard, another type or a quality of 0 gets the older text', () => {
  const isOpen = (accept: string): boolean =>
    new MetricText(accept).type.startsWith('application/openmetrics-text; version=1.0.0');
  for (const accept of [
    OPEN,
    'application/openmetrics-text',
    'text/plain, APPLICATION/OpenMetrics-Text; q=0.1',
  ])
    assert.ok(isOpen(accept), accept);
  for (const accept of [
    '',
    '*/*',
    'text/plain',
    'application/*',
    'application/openmetrics-text;q=0',
    'application/openmetrics-text; q=0.000',
  ])
    assert.ok(!isOpen(accept), accept);
});

test('A histogram has rising counts up to all, canonical bounds, a sum in seconds and a count', () => {
  const values = new Float64Array(HISTOGRAM_SLOTS);
  const observed = [0.1, 0.5, 0.6, 3, 3, 90, 9000, 20_000];
  for (const ms of observed) Histogram.add(values, 0, ms);
  const text = new MetricText(OPEN);
  text.family({ name: 'h_seconds', kind: 'histogram', help: 'H' });
  text.histogram({ x: 'y' }, new Histogram(values, 0));
  const lines = text.end().split('\n').slice(2, -2);
  const buckets = lines.flatMap((line) => {
    const [, le = '', count] = /^h_seconds_bucket\{x="y",le="([^"]+)"\} (\d+)$/.exec(line) ?? [];
    return count === undefined ? [] : [{ le, count: Number(count) }];
  });
  assert.equal(buckets.length, 17);
  for (const { le, count } of buckets) {
    assert.match(le, /^(\d+\.\d+|\+Inf)$/);
    const end = le === '+Inf' ? Number.POSITIVE_INFINITY : Number(le) * 1000;
    assert.equal(count, observed.filter((ms) => ms < end).length, le);
  }
  assert.deepEqual(
    [buckets[0]?.le, buckets.at(-2)?.le, buckets.at(-1)?.le],
    ['0.000512', '10.48576', '+Inf'],
  );
  const sum = observed.reduce((total, ms) => total + ms, 0) / 1000;
  assert.ok(Math.abs(Number(/^h_seconds_sum\{x="y"\} (.*)$/.exec(lines.at(-2) ?? '')?.[1]) - sum) < 1e-9);
  assert.equal(lines.at(-1), `h_seconds_count{x="y"} ${observed.length}`);
});

test('Histograms of several workers add up', () => {
  const one = new Float64Array(HISTOGRAM_SLOTS);
  const other = new Float64Array(HISTOGRAM_SLOTS);
  Histogram.add(one, 0, 2);
  Histogram.add(other, 0, 2);
  Histogram.add(other, 0, 200);
  const sum = Histogram.sum([new Histogram(one, 0), new Histogram(other, 0)]);
  assert.deepEqual([sum.count, sum.sumMs, sum.below(4.096)], [3, 204, 2]);
  assert.equal(Histogram.sum([]).count, 0);
});
