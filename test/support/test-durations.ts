/** Remembers how long each test file took, so that a run can begin with the longest files, and what it cost in processor time. */
import { appendFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { PACKAGE_ROOT } from '../../src/base/package-info.ts';
import { inForm } from './test-form.ts';

export const DURATIONS: string = join(
  PACKAGE_ROOT,
  'node_modules/.cache/lgateway',
  inForm('test-ms.json', 'test-long-ms.json'),
);
/** The environment variable with the path of a file that each process of a run appends the costs of its test files to. */
export const COSTS_VARIABLE = 'LGATEWAY_TEST_COSTS';
/** Linux counts processor time for /proc in hundredths of a second. */
const TICK_MS = 10;
/** Places of the four times in /proc/self/stat behind the name of the program: of the process, and of the children it has waited for. */
const TIMES_AT = [11, 12, 13, 14];

/** Returns milliseconds for each file; empty before the first run. */
export function rememberedDurations(path: string): ReadonlyMap<string, number> {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch {
    return new Map(); // without durations only the order of the files is worse
  }
  return new Map(Object.entries(JSON.parse(text) as Record<string, number>));
}

/** Adds the measured durations to the remembered ones. */
export function rememberDurations(path: string, measured: ReadonlyMap<string, number>): void {
  const all = new Map([...rememberedDurations(path), ...measured]);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, JSON.stringify(Object.fromEntries(all)));
}

/** Returns the milliseconds of processor time that this process, its threads and the children that have ended have used. */
export function processorMs(): number {
  let text: string;
  try {
    text = readFileSync('/proc/self/stat', 'latin1');
  } catch {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1000; // without /proc nobody tells what children have used
  }
  const words = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return TIMES_AT.reduce((ms, at) => ms + Number(words[at]) * TICK_MS, 0);
}

/** What a test file, or the start of a process of tests, has cost. */
export interface TestCost {
  readonly name: string;
  readonly processorMs: number;
  readonly ms: number;
}

/** Writes down a cost, where somebody asks for it. */
export function noteCost(cost: TestCost): void {
  const path = process.env[COSTS_VARIABLE];
  if (path !== undefined) appendFileSync(path, `${JSON.stringify(cost)}\n`);
}

/** Returns the costs that have been written down, the dearest first. */
export function notedCosts(path: string): TestCost[] {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch {
    return [];
  }
  const costs = text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as TestCost);
  return costs.sort((a, b) => b.processorMs - a.processorMs);
}
