/** Defines the result as it is written to JSON, and computes it from the samples. */

import type { ProfileSummary } from './cpu-profile.ts';
import type { Sample } from './measures/measure.ts';
import { median } from './median.ts';
import type { PeerName } from './peers/peers.ts';
import type { Metric, Scenario, Threshold } from './scenario.ts';

export interface PeerResult {
  readonly peer: PeerName;
  /** Metric and its median over the rounds, or its largest value. */
  readonly values: Sample;
  /** Only for the first metric: for each other peer, the median of the ratios to its value in the same round. */
  readonly ratios: Readonly<Record<string, number>>;
  readonly samples: readonly Sample[];
}

export interface Verdict extends Threshold {
  /** Null where the value is not known: a ratio needs both peers. */
  readonly actual: number | null;
  readonly outcome: 'ok' | 'missed' | 'not measured';
}

export interface ScenarioResult {
  readonly scenario: string;
  readonly title: string;
  readonly rounds: number;
  readonly peers: readonly PeerResult[];
  readonly verdicts: readonly Verdict[];
  /** The profile of lgateway's worker under the load of the scenario, where the bench took one. */
  readonly profile?: ProfileSummary;
  /** One sentence for each peer that could not be measured. */
  readonly failures: readonly string[];
}

export interface BenchResult {
  readonly format: 1;
  readonly startedAt: string;
  readonly machine: Readonly<Record<string, string | number>>;
  readonly quick: boolean;
  /** The version of each peer, or the reason why it is missing. */
  readonly peers: Readonly<Record<string, string>>;
  readonly scenarios: readonly ScenarioResult[];
}

/** Peers that the ratios of the others refer to. */
export const BASELINES: readonly PeerName[] = ['against', 'node', 'nginx-lua', 'lighttpd-magnet', 'undici'];

/** Expects that the samples of all peers come from the same rounds. */
export function summarize(
  scenario: Scenario,
  samples: ReadonlyMap<PeerName, readonly Sample[]>,
  failures: readonly string[],
): ScenarioResult {
  const peers = [...samples].map(
    ([peer, own]): PeerResult => ({
      peer,
      samples: own,
      values: Object.fromEntries(scenario.metrics.map((metric) => [metric.key, combine(metric, own)])),
      ratios: Object.fromEntries(
        BASELINES.filter((baseline) => baseline !== peer && samples.has(baseline)).map((baseline) => [
          baseline,
          ratio(scenario.metrics[0].key, own, samples.get(baseline) ?? []),
        ]),
      ),
    }),
  );
  const verdicts = scenario.thresholds.map((threshold) => judge(threshold, scenario, samples));
  const rounds = Math.max(0, ...peers.map((peer) => peer.samples.length));
  return { scenario: scenario.name, title: scenario.title, rounds, peers, verdicts, failures };
}

function judge(
  threshold: Threshold,
  scenario: Scenario,
  samples: ReadonlyMap<PeerName, readonly Sample[]>,
): Verdict {
  const own = samples.get(threshold.by ?? 'lgateway');
  const other = threshold.of === undefined ? undefined : samples.get(threshold.of);
  const metric = scenario.metrics.find(({ key }) => key === threshold.metric);
  if (own === undefined || metric === undefined || (threshold.of !== undefined && other === undefined))
    return { ...threshold, actual: null, outcome: 'not measured' };
  const actual = other === undefined ? combine(metric, own) : ratio(metric.key, own, other);
  const isKept = threshold.bound === 'at most' ? actual <= threshold.value : actual >= threshold.value;
  return { ...threshold, actual, outcome: isKept ? 'ok' : 'missed' };
}

function combine({ key, combine: how }: Metric, samples: readonly Sample[]): number {
  const values = samples.map((sample) => sample[key] ?? Number.NaN);
  return how === 'max' ? Math.max(...values) : median(values);
}

/** Divides within each round, because the speed of a shared machine changes between rounds. */
function ratio(key: string, own: readonly Sample[], other: readonly Sample[]): number {
  return median(
    own.map((sample, round) => (sample[key] ?? Number.NaN) / (other[round]?.[key] ?? Number.NaN)),
  );
}
