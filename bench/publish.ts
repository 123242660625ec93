/**
 * Writes what the documents show of one run: its figures, the charts drawn from them, and the tables of README.md and
 * docs/performance.md.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { barsOf, drawChart, formatUs, PEER_TITLES } from './chart.ts';
import type { PeerName } from './peers/peers.ts';
import { listGoals } from './report.ts';
import type { BenchResult, ScenarioResult } from './result.ts';

/** Scenarios of the chart in docs/performance.md; the bench measures every peer in these. */
export const CHARTED: readonly string[] = ['hello-h2-20', 'hello-h2-1', 'hello-h1', 'hello-h1-pipelined'];
/** Scenarios of the chart in README.md. */
const CHARTED_IN_README = ['hello-h2-20', 'hello-h1'];

const FIGURES = 'docs/performance.json';
const PAGE = 'docs/performance.md';
/** The lines around the part of a document that the bench writes. */
const BEGIN = '<!-- measured: npm run bench -- --publish -->\n\n';
const END = '\n\n<!-- end of what was measured -->';
/** Facts of the machine, and their names in the document. */
const MACHINE_WORDS: Readonly<Record<string, string>> = {
  cpu: 'processor',
  cores: 'cores',
  memoryGib: 'memory, GiB',
  system: 'system',
  node: 'Node.js',
  openssl: "Node's OpenSSL",
  loadBefore: 'load of the machine before the run',
};
/** More digits than the measurements are exact to, and few enough for a small file. */
const SIGNIFICANT_DIGITS = 4;

/** Throws when the run lacks a value that the documents show. */
export function publish(result: BenchResult, root: string): readonly string[] {
  for (const name of CHARTED) {
    const scenario = result.scenarios.find((one) => one.scenario === name);
    if (!scenario?.peers.some(({ peer }) => peer === 'lgateway'))
      throw new Error(`Nothing is published: ${name} was not measured on lgateway`);
  }
  writeFileSync(join(root, FIGURES), formatFigures(result));
  const written = publishedFiles(root);
  for (const [name, content] of written) writeFileSync(join(root, name), content);
  return [FIGURES, ...written.keys()];
}

/** Returns path and text of each file made from docs/performance.json; in the documents only the tables change. */
export function publishedFiles(root: string): Map<string, string> {
  const read = (name: string): string => readFileSync(join(root, name), 'utf8');
  const result = JSON.parse(read(FIGURES)) as BenchResult;
  return new Map([
    ['docs/cpu-per-request.svg', drawChart(result, CHARTED_IN_README)],
    ['docs/performance.svg', drawChart(result, CHARTED)],
    ['README.md', putBetween(read('README.md'), formatCpuTable(result, CHARTED_IN_README))],
    [PAGE, putBetween(read(PAGE), formatPage(result))],
  ]);
}

/** Writes lists and objects of values on one line: a line for each value would make the file four times as long. */
function formatFigures(result: BenchResult): string {
  const rounded = (_key: string, value: unknown): unknown =>
    typeof value === 'number' ? Number(value.toPrecision(SIGNIFICANT_DIGITS)) : value;
  const scenarios = result.scenarios.map(({ profile: _, ...scenario }) => scenario);
  const { startedAt, machine, peers } = result;
  const head = JSON.stringify({ format: 1, startedAt, machine, quick: result.quick, peers }, rounded, 2);
  const rows = scenarios.map((scenario) => `    ${JSON.stringify(scenario, rounded)}`);
  return `${head.slice(0, -2)},\n  "scenarios": [\n${rows.join(',\n')}\n  ]\n}\n`;
}

function putBetween(document: string, table: string): string {
  const begin = document.indexOf(BEGIN);
  const end = document.indexOf(END);
  if (begin < 0 || end < begin) throw new Error('The document has no place for what was measured');
  return document.slice(0, begin + BEGIN.length) + table + document.slice(end);
}

function formatPage(result: BenchResult): string {
  const { machine, startedAt, peers } = result;
  const facts = Object.entries(MACHINE_WORDS).map(([key, words]) => [words, String(machine[key] ?? '')]);
  const versions = Object.entries(peers)
    .filter(([name]) => name in PEER_TITLES)
    .map(([name, version]) => [PEER_TITLES[name as PeerName] ?? name, version]);
  const goals = result.scenarios.flatMap(listGoals);
  const parts = [
    `Measured on ${startedAt.slice(0, 10)}.`,
    formatMarkdown(['of the machine', ''], facts),
    formatMarkdown(['server', 'version'], versions),
    '### CPU µs of the server for one request',
    formatCpuTable(result, CHARTED),
  ];
  if (goals.length > 0)
    parts.push('### Goals of the project', formatMarkdown(['', 'wanted', 'measured', ''], goals));
  return parts.join('\n\n');
}

/** Makes a row for each server and a column for each scenario; the first scenario decides the order of the rows. */
function formatCpuTable(result: BenchResult, names: readonly string[]): string {
  const scenarios = names.flatMap((name) => result.scenarios.filter(({ scenario }) => scenario === name));
  const order = new Set(scenarios.flatMap((scenario) => barsOf(scenario).map(({ peer }) => peer)));
  const rows = [...order].map((peer) => [
    PEER_TITLES[peer] ?? peer,
    ...scenarios.map((scenario) => cellOf(scenario, peer)),
  ]);
  return formatMarkdown(['CPU µs for one request', ...scenarios.map(({ title }) => title)], rows);
}

function cellOf(scenario: ScenarioResult, peer: PeerName): string {
  const bar = barsOf(scenario).find((one) => one.peer === peer);
  return bar === undefined ? '–' : formatUs(bar.value);
}

function formatMarkdown(heads: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  return [line(heads), `|${heads.map(() => '---|').join('')}`, ...rows.map(line)].join('\n');
}
