/** Runs the bench as a command: a small run writes a well-formed result, and wrong options are refused. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { BenchResult } from '../../bench/result.ts';
import { longTest } from '../support/test-form.ts';

const RUNNER = fileURLToPath(new URL('../../bench/run.js', import.meta.url));
const RUN_TIMEOUT_MS = 240_000;

interface Run {
  readonly status: number;
  readonly output: string;
  /** The temporary folder of the run. */
  readonly folder: string;
  /** The file for the result. */
  readonly file: string;
}

/** Runs the bench with its own temporary folder, which has to be empty afterwards. */
function runBench(t: TestContext, ...words: string[]): Promise<Run> {
  const [folder, results] = ['bench-test-', 'bench-result-'].map((name) => {
    const path = mkdtempSync(join(tmpdir(), name));
    t.after(() => rmSync(path, { recursive: true, force: true }));
    return path;
  }) as [string, string];
  const file = join(results, 'result.json');
  const options = { timeout: RUN_TIMEOUT_MS, env: { ...process.env, TMPDIR: folder } };
  return new Promise((resolve) => {
    execFile(process.execPath, [RUNNER, '--json', file, ...words], options, (error, stdout, stderr) => {
      const status = error === null ? 0 : typeof error.code === 'number' ? error.code : -1;
      resolve({ status, output: stdout + stderr, folder, file });
    });
  });
}

test('bench writes a table and a well-formed result of lgateway and bare node', async (t) => {
  const words = ['--quick', '--only', 'hello-h2-20', '--peer', 'lgateway', '--peer', 'node'];
  const { status, output, folder, file } = await runBench(t, ...words);
  assert.equal(status, 0, output);
  assert.match(output, /^ {2}lgateway +\d+\.\d +\d+/m);
  const result = JSON.parse(readFileSync(file, 'utf8')) as BenchResult;
  assert.equal(result.format, 1);
  assert.equal(result.quick, true);
  assert.equal(result.machine['node'], process.version);
  const [scenario] = result.scenarios;
  assert.equal(scenario?.scenario, 'hello-h2-20');
  assert.deepEqual(scenario.failures, []);
  assert.deepEqual(
    scenario.peers.map(({ peer }) => peer),
    ['lgateway', 'node'],
  );
  for (const { values, samples } of scenario.peers) {
    assert.equal(samples.length, 1);
    assert.ok((values['requestsPerSecond'] ?? 0) > 0);
    assert.ok((values['cpuUs'] ?? 0) > 0);
  }
  assert.ok((scenario.peers[0]?.ratios['node'] ?? 0) > 0);
  const outcomes = Object.fromEntries(scenario.verdicts.map(({ of, outcome }) => [of, outcome]));
  assert.ok(['ok', 'missed'].includes(outcomes['node'] ?? ''), outcomes['node']);
  assert.equal(outcomes['nginx-lua'], 'not measured');
  assert.match(output, /^ {2}not measured: lgateway CPU µs\/request, wanted at most 0\.35 × nginx-lua$/m);
  assert.deepEqual(readdirSync(folder), [], 'the folder of the run is removed');
});

longTest('bench profiles a worker behind the rounds, and names lines of the source', async (t) => {
  const words = ['--quick', '--profile', '--only', 'luars', '--only', 'luvit'];
  const { status, output, file } = await runBench(t, ...words);
  assert.equal(status, 0, output);
  assert.match(output, /where the time of lgateway's worker went; it was busy for \d+ %/);
  const { scenarios } = JSON.parse(readFileSync(file, 'utf8')) as BenchResult;
  assert.deepEqual(
    scenarios.map(({ scenario }) => scenario),
    ['luars-hello', 'luvit-hello'],
  );
  for (const { peers, profile, failures, verdicts } of scenarios) {
    assert.deepEqual(failures, []);
    assert.ok((peers[0]?.values['timesHello'] ?? 0) > 0);
    assert.notEqual(verdicts[0]?.outcome, 'not measured');
    assert.equal(profile?.functions.length, 10);
    assert.ok(profile.busyPercent > 0 && profile.busyPercent <= 100);
    const percents = profile.functions.map(({ percent }) => percent);
    assert.deepEqual(
      percents,
      percents.toSorted((a, b) => b - a),
    );
    assert.ok(profile.functions.some(({ place }) => /^src\/.*\.ts:\d+$/.test(place)));
  }
});

longTest('bench measures a handler that fetches against undici alone', async (t) => {
  const { status, output, file, folder } = await runBench(t, '--quick', '--only', 'fetch');
  assert.equal(status, 0, output);
  const [scenario] = (JSON.parse(readFileSync(file, 'utf8')) as BenchResult).scenarios;
  assert.deepEqual(
    scenario?.peers.map(({ peer }) => peer),
    ['lgateway', 'undici'],
  );
  assert.notEqual(scenario?.verdicts[0]?.outcome, 'not measured');
  assert.ok(
    scenario?.peers.every(({ values }) => (values['cpuUs'] ?? 0) > 0),
    output,
  );
  assert.deepEqual(readdirSync(folder), []);
});

longTest('bench starts a Redis for the scenarios of stores, and ends it', async (t) => {
  const { status, output, file, folder } = await runBench(t, '--quick', '--only', 'store-');
  assert.equal(status, 0, output);
  const { scenarios } = JSON.parse(readFileSync(file, 'utf8')) as BenchResult;
  assert.deepEqual(
    scenarios.map(({ scenario }) => scenario),
    ['store-calls', 'store-incr', 'store-publish'],
  );
  for (const { verdicts, failures, peers } of scenarios) {
    assert.deepEqual(failures, []);
    for (const { metric } of verdicts) assert.ok((peers[0]?.values[metric] ?? 0) > 0, `${metric}\n${output}`);
  }
  assert.deepEqual(readdirSync(folder), []);
});

longTest('bench sends to all peers at the same rate to see how long they take', async (t) => {
  const words = ['--quick', '--only', 'latency', '--peer', 'lgateway', '--peer', 'node'];
  const { status, output, file } = await runBench(t, ...words);
  assert.equal(status, 0, output);
  const [scenario] = (JSON.parse(readFileSync(file, 'utf8')) as BenchResult).scenarios;
  const [lgateway, node] = scenario?.peers.map(({ values }) => values) ?? [];
  for (const values of [lgateway, node]) {
    const { p99Ms = Number.NaN, medianMs = Number.NaN } = values ?? {};
    assert.ok(medianMs > 0 && p99Ms >= medianMs, output);
  }
  assert.equal(scenario?.verdicts[0]?.outcome, 'not measured');
});

longTest('bench says which peer failed and exits 1 when the gateway does not start', async (t) => {
  const broken = fileURLToPath(new URL('does-not-serve.js', import.meta.url));
  const words = [
    '--quick',
    '--only',
    'hello-h1',
    '--peer',
    'node',
    '--peer',
    'lgateway',
    '--gateway',
    broken,
  ];
  const { status, output } = await runBench(t, ...words);
  assert.equal(status, 1, output);
  assert.match(output, /FAILED lgateway: Cannot start lgateway: Cannot serve anything/);
  assert.match(output, /^ {2}node +\d/m);
});

longTest('bench --goals measures what has a goal, and prints what was wanted and measured', async (t) => {
  const words = ['--quick', '--goals', '--only', 'hello-plain-h1-pipelined', '--only', 'ab'];
  const { status, output, file } = await runBench(t, ...words, '--peer', 'lgateway', '--peer', 'node');
  assert.equal(status, 0, output);
  const { scenarios } = JSON.parse(readFileSync(file, 'utf8')) as BenchResult;
  // ab has no goal, and no peer has a goal against node here
  assert.deepEqual(
    scenarios.map(({ scenario, peers }) => [scenario, peers.map(({ peer }) => peer)]),
    [['hello-plain-h1-pipelined', ['lgateway']]],
  );
  assert.match(
    output,
    /^ {2}hello, HTTP\/1\.1 cleartext, 14 pipelined +≤ 0\.50 × nginx-lua +– +not measured$/m,
  );
});

longTest('bench drives HTTP/1.1 with ab, wrk, curl and idle connections', async (t) => {
  const names = ['ab', 'wrk', 'download-h1', 'upload-plain-h1', 'idle-h1'];
  const words = names.flatMap((name) => ['--only', name]);
  const { status, output, file } = await runBench(t, '--quick', ...words, '--peer', 'lgateway');
  assert.equal(status, 0, output);
  const { scenarios } = JSON.parse(readFileSync(file, 'utf8')) as BenchResult;
  assert.deepEqual(
    scenarios.map(({ scenario }) => scenario),
    names,
  );
  for (const { peers, scenario } of scenarios) assert.equal(peers.length, 1, scenario);
});

test('bench refuses to publish what was measured in haste', async (t) => {
  const { status, output } = await runBench(t, '--publish', '--quick');
  assert.equal(status, 2);
  assert.match(output, /--publish measures this build and every peer in earnest/);
});

test('bench refuses an option it does not know with exit 2', async (t) => {
  const { status, output } = await runBench(t, '--rounds', 'many');
  assert.equal(status, 2);
  assert.match(output, /--rounds wants a whole number from 1 to 1000, not "many"/);
});
