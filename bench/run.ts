/** `npm run bench`: measures lgateway and its peers, prints a table, writes JSON. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { PACKAGE_ROOT } from '../src/base/package-info.ts';
import { machineFacts } from './machine.ts';
import { type Bench, type Effort, MEBIBYTE } from './measures/measure.ts';
import { profileLoad } from './measures/profile.ts';
import { type BenchOptions, parseOptions, USAGE, UsageError } from './options.ts';
import { findPeer } from './peers/find-peer.ts';
import { listPeers, type Peer } from './peers/peers.ts';
import { CHARTED, publish } from './publish.ts';
import { formatGoals, formatHeading, formatScenario } from './report.ts';
import type { BenchResult, ScenarioResult } from './result.ts';
import { runScenario } from './run-scenario.ts';
import type { Scenario } from './scenario.ts';
import { SCENARIOS } from './scenarios.ts';
import { killServers } from './server-process.ts';
import { Workspace } from './workspace.ts';

const EXIT_OK = 0;
const EXIT_FAILURE = 1;
const EXIT_USAGE = 2;

const FULL_EFFORT: Effort = {
  loadSeconds: 1.5,
  warmUpRequests: 10_000,
  latencySeconds: 2,
  payloadBytes: 256 * MEBIBYTE,
  smallReadBytes: MEBIBYTE,
  slowSeconds: 3,
  idleConnections: 1000,
};
const QUICK_EFFORT: Effort = {
  loadSeconds: 0.1,
  warmUpRequests: 500,
  // the first 0.11 s of a measurement do not count
  latencySeconds: 0.3,
  // larger than what curl reads in one second at the slow rate plus all buffers on the path
  payloadBytes: 64 * MEBIBYTE,
  smallReadBytes: MEBIBYTE / 16,
  slowSeconds: 1,
  idleConnections: 50,
};

async function main(options: BenchOptions): Promise<number> {
  const scenarios = chooseScenarios(options);
  const { peers, versions } = findPeers(options);
  const result = {
    format: 1 as const,
    startedAt: new Date().toISOString(),
    machine: machineFacts(),
    quick: options.quick,
    peers: versions,
    scenarios: [] as ScenarioResult[],
  };
  console.log(formatHeading(result));
  await runAll(scenarios, peers, options, result.scenarios);
  if (options.goals) console.log(formatGoals(result.scenarios));
  console.log(`Result written to ${writeResult(result, options.json)}`);
  if (options.publish) console.log(`Published in ${publish(result, PACKAGE_ROOT).join(', ')}`);
  if (result.scenarios.some(({ failures }) => failures.length > 0)) return EXIT_FAILURE;
  const missed = result.scenarios.some(({ verdicts }) =>
    verdicts.some(({ outcome }) => outcome === 'missed'),
  );
  return options.check && missed ? EXIT_FAILURE : EXIT_OK;
}

function chooseScenarios({ only, goals, publish: publishes }: BenchOptions): Scenario[] {
  const named = SCENARIOS.filter(({ name }) => only.length === 0 || only.some((word) => name.includes(word)));
  const scenarios = named.filter(
    (scenario) =>
      (!goals && !publishes) ||
      (goals && holdsGoal(scenario)) ||
      (publishes && CHARTED.includes(scenario.name)),
  );
  if (scenarios.length > 0) return scenarios;
  throw new UsageError(`No scenario ${goals ? 'with a goal ' : ''}is named like "${only.join('", "')}"`);
}

function holdsGoal({ thresholds }: Scenario): boolean {
  return thresholds.some(({ goal }) => goal !== undefined);
}

/** Chooses the peers that can run the scenario; with `--goals` only lgateway and the peers of its goals. */
function choosePeers(scenario: Scenario, peers: readonly Peer[], options: BenchOptions): Peer[] {
  const { name, handler, thresholds } = scenario;
  const able = peers.filter(
    (peer) => peer.handlers.includes(handler) && (scenario.peers?.includes(peer.name) ?? true),
  );
  if (!options.goals || (options.publish && CHARTED.includes(name))) return able;
  const compared = thresholds.flatMap(({ goal, of }) => (goal === undefined || of === undefined ? [] : [of]));
  return able.filter(
    (peer) => peer.name === 'lgateway' || peer.name === 'against' || compared.includes(peer.name),
  );
}

async function runAll(
  scenarios: readonly Scenario[],
  peers: readonly Peer[],
  options: BenchOptions,
  results: ScenarioResult[],
): Promise<void> {
  const workspace = new Workspace();
  const bench = { workspace, effort: options.quick ? QUICK_EFFORT : FULL_EFFORT };
  process.once('exit', () => {
    killServers();
    workspace.remove();
  });
  for (const scenario of scenarios) {
    const able = choosePeers(scenario, peers, options);
    if (able.length === 0) continue;
    const measured = await runScenario(scenario, able, options.rounds, bench, showProgress);
    const result = await addProfile(measured, scenario, able, options, bench);
    showProgress('');
    results.push(result);
    console.log(formatScenario(result));
  }
}

/** Takes the profile after the rounds, in its own process. */
async function addProfile(
  result: ScenarioResult,
  { name, profile }: Scenario,
  peers: readonly Peer[],
  { quick, profile: isAsked }: BenchOptions,
  bench: Bench,
): Promise<ScenarioResult> {
  const gateway = peers.find((peer) => peer.name === 'lgateway');
  if (profile === undefined || gateway === undefined) return result;
  if (!isAsked && (quick || profile.when === 'asked')) return result;
  showProgress(`${name}: profile`);
  try {
    return { ...result, profile: await profileLoad(gateway, bench, profile) };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return { ...result, failures: [...result.failures, `profile: ${reason}`] };
  }
}

function peersOf({ gateway, against }: BenchOptions): Peer[] {
  const built = join(PACKAGE_ROOT, 'dist', 'src', 'main.js');
  return listPeers(resolve(gateway ?? built), against === undefined ? undefined : resolve(against));
}

function findPeers(options: BenchOptions): { peers: Peer[]; versions: Record<string, string> } {
  const all = peersOf(options);
  const unknown = options.peers.find((name) => !all.some((peer) => peer.name === name));
  if (unknown !== undefined) throw new UsageError(`No peer is named "${unknown}"`);
  const wanted = all.filter(({ name }) => options.peers.length === 0 || options.peers.includes(name));
  const versions: Record<string, string> = {};
  const peers = wanted.filter((peer) => {
    const found = findPeer(peer);
    versions[peer.name] = found.installed ? found.version : found.reason;
    return found.installed;
  });
  return { peers, versions };
}

/** Returns the path of the file. */
function writeResult(result: BenchResult, file: string | undefined): string {
  const name = `${result.startedAt.replaceAll(':', '-').slice(0, 'YYYY-MM-DDTHH-MM-SS'.length)}.json`;
  const path = resolve(file ?? join(PACKAGE_ROOT, 'bench', 'results', name));
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, `${JSON.stringify(result, null, 2)}\n`);
  return path;
}

/** Overwrites one line of the terminal; prints nothing when stderr is no terminal. */
function showProgress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${text}`);
}

function list(options: BenchOptions): string {
  const names = (all: readonly { name: string; title?: string }[]): string =>
    all.map(({ name, title }) => `  ${name.padEnd(16)}  ${title ?? ''}`.trimEnd()).join('\n');
  return `Scenarios\n${names(SCENARIOS)}\nPeers\n${names(peersOf(options))}`;
}

async function runCommand(words: readonly string[]): Promise<number> {
  try {
    const options = parseOptions(words);
    if (!options.help && !options.list) return await main(options);
    console.log(options.help ? USAGE : list(options));
    return EXIT_OK;
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    console.error(`bench: ${error.message}\nTry "npm run bench -- --help"`);
    return EXIT_USAGE;
  }
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(EXIT_FAILURE));
process.exit(await runCommand(process.argv.slice(2)));
