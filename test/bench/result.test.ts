/** Tests the computations of the bench: from samples to values, and when a threshold holds. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Sample } from '../../bench/measures/measure.ts';
import type { PeerName } from '../../bench/peers/peers.ts';
import { type ScenarioResult, summarize } from '../../bench/result.ts';
import type { Scenario, Threshold } from '../../bench/scenario.ts';

function resultOf(thresholds: readonly Threshold[], samples: Record<string, number[]>): ScenarioResult {
  const scenario: Scenario = {
    name: 'made-up',
    title: 'numbers',
    handler: 'hello',
    measure: () => Promise.reject(new Error('Nothing is measured here')),
    metrics: [{ key: 'n', label: 'n', digits: 0, combine: 'median' }],
    thresholds,
  };
  const rounds = Object.entries(samples).map(([peer, values]): [PeerName, Sample[]] => [
    peer as PeerName,
    values.map((n) => ({ n })),
  ]);
  return summarize(scenario, new Map(rounds), []);
}

const half: Threshold = { metric: 'n', bound: 'at most', value: 0.5, of: 'nginx-lua' };

test('summarize() compares round by round, and takes the median of the ratios', () => {
  const { verdicts } = resultOf([half], { lgateway: [1, 50, 4], 'nginx-lua': [2, 100, 2] });
  assert.deepEqual(verdicts, [{ ...half, actual: 0.5, outcome: 'ok' }]);
});

test('summarize() says that a threshold is missed', () => {
  const least: Threshold = { ...half, bound: 'at least', value: 0.6 };
  const { verdicts } = resultOf([half, least], { lgateway: [51], 'nginx-lua': [100] });
  assert.deepEqual(
    verdicts.map(({ outcome }) => outcome),
    ['missed', 'missed'],
  );
});

test('summarize() never calls a threshold kept whose peer was not measured', () => {
  const plain: Threshold = { metric: 'n', bound: 'at most', value: 5 };
  const { verdicts } = resultOf([half, plain], { lgateway: [1] });
  assert.deepEqual(verdicts, [
    { ...half, actual: null, outcome: 'not measured' },
    { ...plain, actual: 1, outcome: 'ok' },
  ]);
  const without = resultOf([half, plain], { 'nginx-lua': [1] }).verdicts;
  assert.deepEqual(
    without.map(({ outcome }) => outcome),
    ['not measured', 'not measured'],
  );
  assert.equal(resultOf([plain], { lgateway: [Number.NaN] }).verdicts[0]?.outcome, 'missed');
});
