/**
 * Runs the test suite: installs what it needs from Debian, then the tests of the parts, with --all every `*.test.js`, with words
 * those named (support/test-selection.ts) through node:test, those of a room in one process where they can share it
 * (support/test-groups.ts). With LGATEWAY_TEST_LONG=1, its long form. With --costs it prints the processor time of each file.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CERTIFICATES_VARIABLE, makeCertificates } from './support/certificate.ts';
import { installTestTools } from './support/install-tools.ts';
import { COSTS_VARIABLE, DURATIONS, notedCosts, rememberedDurations } from './support/test-durations.ts';
import { groupFiles, type TestUnit } from './support/test-groups.ts';
import { selectTestFiles } from './support/test-selection.ts';

const testRoot = fileURLToPath(new URL('.', import.meta.url));
/** Files that run groups of test files, for as long as this process. */
const groupFolder = mkdtempSync(join(tmpdir(), 'lgateway-groups-'));
process.once('exit', () => rmSync(groupFolder, { recursive: true, force: true }));
const RUN_FILES = join(testRoot, 'support', 'run-files.js');

/**
 * What takes longest begins first, so that none of it is alone at the end. What has never run here begins before all others, files
 * of their own first, as most of them are long.
 */
function longestFirst(units: readonly TestUnit[]): TestUnit[] {
  const known = rememberedDurations(DURATIONS);
  const costs = new Map<TestUnit, number>();
  for (const unit of units) {
    const sum = unit.files.reduce((ms, file) => ms + (known.get(file) ?? Number.NaN), 0);
    costs.set(unit, Number.isNaN(sum) ? Number.MAX_SAFE_INTEGER - unit.files.length : sum);
  }
  return units.toSorted((a, b) => (costs.get(b) ?? 0) - (costs.get(a) ?? 0));
}

/** Processes at a time: four more than there are processors, as many tests wait. */
const CONCURRENCY = availableParallelism() + 4;

function run(names: readonly string[], costs: string): Promise<number> {
  const units = longestFirst(groupFiles(names, testRoot, groupFolder));
  const child = spawn(process.execPath, [RUN_FILES, String(CONCURRENCY), JSON.stringify(units), DURATIONS], {
    stdio: 'inherit',
    // LGATEWAY_CHECK_STACK: what host functions do to Lua's stack is looked at (src/lua/stack-check.ts)
    env: { ...process.env, LGATEWAY_CHECK_STACK: '1', [COSTS_VARIABLE]: costs },
  });
  return new Promise((resolve) => child.on('exit', (code) => resolve(code ?? 1)));
}

/** Says what the run has cost in processor time, and with `--costs` which files cost a second or more. */
function printCosts(path: string, each: boolean): void {
  const costs = notedCosts(path);
  const seconds = (ms: number): string => (ms / 1000).toFixed(1);
  const sum = costs.reduce((ms, { processorMs }) => ms + processorMs, 0);
  console.log(`Processor time: ${seconds(sum)} s`);
  if (!each) return;
  const starts = costs.filter(({ name }) => !files.includes(name));
  const startMs = starts.reduce((ms, { processorMs }) => ms + processorMs, 0);
  console.log(`${starts.length} starts of processes: ${seconds(startMs)} s\n\nprocessor s    wall s  file`);
  for (const { name, processorMs, ms } of costs)
    if (files.includes(name) && processorMs >= COST_SHOWN_MS)
      console.log(`${seconds(processorMs).padStart(11)}${seconds(ms).padStart(10)}  ${name}`);
}

const COSTS_WORD = '--costs';
const ALL_WORD = '--all';
const COST_SHOWN_MS = 1000;
const given = process.argv.slice(2);
const words = given.filter((word) => word !== COSTS_WORD && word !== ALL_WORD);
const names = readdirSync(testRoot, { recursive: true, encoding: 'utf8' });
const files = selectTestFiles(names, { words, all: given.includes(ALL_WORD) });
if (files.length === 0) {
  console.error('No test file matches');
  process.exit(1);
}
installTestTools();
process.env[CERTIFICATES_VARIABLE] = makeCertificates();
const costs = join(groupFolder, 'costs');
const status = await run(files, costs);
printCosts(costs, process.argv.includes(COSTS_WORD));
process.exit(status);
