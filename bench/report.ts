/** Formats the results as the printed table. */
import type { ProfileSummary } from './cpu-profile.ts';
import { BASELINES, type BenchResult, type PeerResult, type ScenarioResult, type Verdict } from './result.ts';
import type { Metric } from './scenario.ts';
import { SCENARIOS } from './scenarios.ts';

const NONE = '–';

export function formatHeading({ machine, peers }: BenchResult): string {
  const facts = Object.entries(machine).map(([name, value]) => `${name} ${value}`);
  const width = Math.max(...Object.keys(peers).map((name) => name.length));
  const rows = Object.entries(peers).map(([name, version]) => `  ${name.padEnd(width)}  ${version}`);
  return [facts.join(' · '), ...rows, ''].join('\n');
}

export function formatScenario(result: ScenarioResult): string {
  const metrics = SCENARIOS.find(({ name }) => name === result.scenario)?.metrics ?? [];
  const baselines = BASELINES.filter((name) => result.peers.some(({ peer }) => peer === name));
  const rounds = result.rounds === 1 ? '1 round' : `${result.rounds} rounds`;
  const heads = ['', ...metrics.map(({ label }) => label), 'range', ...baselines.map((name) => `× ${name}`)];
  const rows = result.peers.map((peer) => [
    peer.peer,
    ...metrics.map((metric) => formatNumber(peer.values[metric.key], metric.digits)),
    formatRange(peer, metrics[0]),
    ...baselines.map((name) => formatNumber(peer.ratios[name], 2)),
  ]);
  return [
    `${result.scenario}: ${result.title} (${rounds})`,
    ...formatTable([heads, ...rows]),
    ...result.verdicts.map((verdict) => `  ${formatVerdict(verdict)}`),
    ...(result.profile === undefined ? [] : formatProfile(result.profile)),
    ...result.failures.map((failure) => `  FAILED ${failure}`),
    '',
  ].join('\n');
}

function formatProfile({ busyPercent, functions }: ProfileSummary): string[] {
  const width = Math.max(0, ...functions.map(({ name }) => name.length));
  return [
    `  where the time of lgateway's worker went; it was busy for ${formatNumber(busyPercent, 0)} %`,
    ...functions.map(({ percent, name, place }) =>
      `  ${formatNumber(percent, 1).padStart(6)} %  ${name.padEnd(width)}  ${place}`.trimEnd(),
    ),
  ];
}

/** Makes a row for each measured goal. */
export function formatGoals(results: readonly ScenarioResult[]): string {
  const rows = results.flatMap(listGoals);
  return ['Goals', ...formatTable([['', 'wanted', 'measured', ''], ...rows]), ''].join('\n');
}

/** Each row: name, wanted value, measured value, outcome. */
export function listGoals({ verdicts }: ScenarioResult): [string, string, string, string][] {
  return verdicts.flatMap(({ goal, bound, value, of, actual, outcome }) =>
    goal === undefined
      ? []
      : [
          [
            goal,
            `${bound === 'at most' ? '≤' : '≥'} ${value.toFixed(2)}${of === undefined ? '' : ` × ${of}`}`,
            formatNumber(actual ?? undefined, 2),
            outcome === 'ok' ? 'met' : outcome === 'missed' ? 'not met' : 'not measured',
          ],
        ],
  );
}

const OUTCOMES: Readonly<Record<Verdict['outcome'], string>> = {
  ok: 'ok  ',
  missed: 'over',
  'not measured': 'not measured:',
};

function formatVerdict({ outcome, metric, bound, value, of, by, actual }: Verdict): string {
  const name = SCENARIOS.flatMap(({ metrics }) => metrics).find(({ key }) => key === metric)?.label ?? metric;
  const limit = of === undefined ? String(value) : `${value} × ${of}`;
  const found = actual === null ? '' : ` ${formatNumber(actual, 2)}`;
  return `${OUTCOMES[outcome]} ${by ?? 'lgateway'} ${name}${found}, wanted ${bound} ${limit}`;
}

/** The smallest and the largest round of the first metric: the wider the range, the less exact the number. */
function formatRange({ samples }: PeerResult, metric: Metric | undefined): string {
  if (metric === undefined || samples.length < 2) return NONE;
  const values = samples.map((sample) => sample[metric.key] ?? Number.NaN);
  return `${formatNumber(Math.min(...values), metric.digits)}–${formatNumber(Math.max(...values), metric.digits)}`;
}

function formatNumber(value: number | undefined, digits: number): string {
  return value === undefined || Number.isNaN(value) ? NONE : value.toFixed(digits);
}

/** Aligns the first column to the left and numbers to the right. */
function formatTable(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows.map((row) =>
    row
      .map((cell, column) =>
        column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0),
      )
      .join('  ')
      .replace(/^/, '  ')
      .trimEnd(),
  );
}
