/** The charts and tables of the documents are made from the figures in docs/performance.json and from nothing else. */
import assert from 'node:assert/strict';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { drawChart } from '../../bench/chart.ts';
import { CHARTED, publish, publishedFiles } from '../../bench/publish.ts';
import { formatGoals } from '../../bench/report.ts';
import type { BenchResult, ScenarioResult, Verdict } from '../../bench/result.ts';
import { PACKAGE_ROOT } from '../../src/base/package-info.ts';

function scenarioOf(name: string, cpuUs: Readonly<Record<string, number>>): ScenarioResult {
  return {
    scenario: name,
    title: `hello <${name}>`,
    rounds: 1,
    peers: Object.entries(cpuUs).map(([peer, value]) => ({
      peer: peer as ScenarioResult['peers'][number]['peer'],
      values: { cpuUs: value },
      ratios: {},
      samples: [{ cpuUs: value }],
    })),
    verdicts: [],
    failures: [],
  };
}

function resultOf(...scenarios: ScenarioResult[]): BenchResult {
  const machine = { cpu: 'Abacus & Sons', cores: 2, node: 'v20.20.2' };
  const peers = { lgateway: 'lgateway 0.1.0', 'nginx-lua': 'nginx/1.22.1' };
  return { format: 1, startedAt: '2026-01-02T03:04:05Z', machine, quick: false, peers, scenarios };
}

test('drawChart() draws a bar for each server, as long as its figure says, cheapest first', () => {
  const svg = drawChart(resultOf(scenarioOf('one', { lgateway: 40, 'nginx-lua': 80, caddy: 20.04 })), [
    'one',
  ]);
  const bars = [...svg.matchAll(/<rect class="bar( own)?"[^>]* width="([\d.]+)"/g)];
  const widths = bars.map(([, , width]) => Number(width));
  const longest = Math.max(...widths);
  assert.deepEqual(
    widths.map((width) => Number((width / longest).toFixed(2))),
    [0.25, 0.5, 1],
  );
  assert.deepEqual(
    bars.map(([, own]) => own !== undefined),
    [false, true, false],
  );
  const labels = [...svg.matchAll(/<text class="(?:label|value)[^>]*>([^<]*)</g)].map(([, words]) => words);
  assert.deepEqual(labels, ['Caddy, static', '20.0', 'lgateway', '40.0', 'nginx + Lua', '80.0']);
  assert.match(svg, /hello &lt;one&gt;/);
  assert.match(svg, /Abacus &amp; Sons, 2 cores; Node.js v20.20.2; 2026-01-02/);
  assert.match(svg, /prefers-color-scheme: dark/);
  // the drawing loads nothing and runs no script
  assert.doesNotMatch(svg.replace('http://www.w3.org/2000/svg', ''), /https?:|url\(|@import|<script|href/);
});

test('drawChart() cuts the bar of a server far behind, and draws the others to scale', () => {
  const figures = { lgateway: 20, 'nginx-lua': 40, caddy: 80, 'apache-lua': 900 };
  const svg = drawChart(resultOf(scenarioOf('one', figures)), ['one']);
  const widths = [...svg.matchAll(/<rect class="bar[^>]* width="([\d.]+)"/g)].map(([, width]) =>
    Number(width),
  );
  const longest = Math.max(...widths);
  assert.deepEqual(
    widths.map((width) => Number((width / longest).toFixed(2))),
    [0.25, 0.5, 1, 1],
  );
  assert.equal(svg.match(/<path class="cut"/g)?.length, 1);
  assert.match(svg, />900</);
});

test('drawChart() leaves out what is no server and what was not measured', () => {
  const svg = drawChart(resultOf(scenarioOf('one', { lgateway: 40, module: 10, undici: 5 })), ['one', 'two']);
  assert.equal(svg.match(/<rect class="bar/g)?.length, 1);
});

test('formatGoals() names every goal with what was wanted, measured and reached', () => {
  const verdict: Verdict = {
    ...{ metric: 'cpuUs', bound: 'at most', value: 0.35, of: 'nginx-lua', goal: 'the goal' },
    ...{ actual: 0.361, outcome: 'missed' },
  };
  const { goal: _, ...noGoal } = verdict;
  const verdicts: Verdict[] = [
    verdict,
    noGoal,
    { ...verdict, bound: 'at least', actual: 0.36, outcome: 'ok' },
    { ...verdict, actual: null, outcome: 'not measured' },
  ];
  const rows = formatGoals([{ ...scenarioOf('one', {}), verdicts }])
    .split('\n')
    .slice(2, -1);
  assert.deepEqual(
    rows.map((row) => row.trim().replaceAll(/ {2,}/g, ' | ')),
    [
      'the goal | ≤ 0.35 × nginx-lua | 0.36 | not met',
      'the goal | ≥ 0.35 × nginx-lua | 0.36 | met',
      'the goal | ≤ 0.35 × nginx-lua | – | not measured',
    ],
  );
});

test('publish() writes figures from which the charts and tables come out again', (t) => {
  const root = mkdtempSync(join(tmpdir(), 'lgateway-publish-'));
  t.after(() => rmSync(root, { recursive: true, force: true }));
  mkdirSync(join(root, 'docs'));
  for (const name of ['README.md', 'docs/performance.md']) cpSync(join(PACKAGE_ROOT, name), join(root, name));
  const scenarios = CHARTED.map((name, i) => scenarioOf(name, { lgateway: 11.123456 + i, 'nginx-lua': 30 }));
  const written = publish(resultOf(...scenarios), root);
  assert.ok(written.includes('README.md') && written.includes('docs/performance.svg'));
  for (const [name, content] of publishedFiles(root))
    assert.equal(readFileSync(join(root, name), 'utf8'), content);
  assert.match(readFileSync(join(root, 'README.md'), 'utf8'), /\| lgateway \| 11\.1 \| 13\.1 \|/);
  assert.throws(() => publish(resultOf(...scenarios.slice(1)), root), /hello-h2-20 was not measured/);
});

test('The charts and tables of the documents are those of docs/performance.json', () => {
  for (const [name, content] of publishedFiles(PACKAGE_ROOT)) {
    const path = join(PACKAGE_ROOT, name);
    // after a change of the drawing; the figures stay the same
    if (process.env['LGATEWAY_WRITE_DOCS'] !== undefined) writeFileSync(path, content);
    else assert.equal(readFileSync(path, 'utf8'), content, `${name}: LGATEWAY_WRITE_DOCS=1 writes it`);
  }
});
