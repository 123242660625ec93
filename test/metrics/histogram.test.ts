/** Times in buckets: the bucket of each time, and the values read from the buckets. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HISTOGRAM_SLOTS, Histogram } from '../../src/metrics/histogram.ts';

/** The upper ends of buckets by their definition: 16 µs, then a quarter of the octave more each. */
function bucketEnds(): number[] {
  const ends: number[] = [];
  for (let start = 16; start < 2 ** 27; start *= 2)
    for (let quarter = 1; quarter <= 4; quarter++) ends.push(start + (start / 4) * quarter);
  return ends;
}

function histogramOf(...ms: number[]): Histogram {
  const values = new Float64Array(HISTOGRAM_SLOTS + 3);
  for (const one of ms) Histogram.add(values, 2, one);
  assert.equal((values[0] as number) + (values[1] as number), 0, 'nothing is written before the slot');
  assert.equal(values[HISTOGRAM_SLOTS + 2], 0, 'nothing is written behind it');
  return new Histogram(values, 2);
}

test('What lies below, at and above the end of each bucket is told by the right end', () => {
  const ends = bucketEnds();
  assert.equal(ends.length + 2, HISTOGRAM_SLOTS, 'buckets, the one for what is longer, the sum');
  for (const [i, end] of ends.entries()) {
    assert.equal(histogramOf((end - 0.5) / 1000).quantile(1), end / 1000);
    const next = ends[i + 1] ?? Number.POSITIVE_INFINITY;
    assert.equal(histogramOf(end / 1000).quantile(1), next / 1000);
  }
});

test('What is shorter than the first bucket is in it, and what is longer than the last has no end', () => {
  for (const ms of [0, -5, 1e-9, 0.0159]) assert.equal(histogramOf(ms).quantile(1), 0.02);
  for (const ms of [134_218, 1e9, Number.POSITIVE_INFINITY])
    assert.equal(histogramOf(ms).quantile(1), Number.POSITIVE_INFINITY);
});

test('Quantiles, count and sum are those of what was counted, within a quarter of an octave', () => {
  const all = Array.from({ length: 1000 }, (_, i) => (i + 1) / 10);
  const histogram = histogramOf(...all);
  assert.equal(histogram.count, 1000);
  assert.ok(Math.abs(histogram.sumMs - 50_050) < 1e-6);
  for (const share of [0.5, 0.9, 0.99, 1]) {
    const exact = share * 100;
    const told = histogram.quantile(share);
    assert.ok(told >= exact && told <= exact * 1.25, `${told} for ${exact}`);
  }
  assert.equal(histogramOf().quantile(0.5), 0);
});
