/** Defines a scenario: what is measured, on which peers, and the thresholds for lgateway. */
import type { Measure, PreparedMeasure } from './measures/measure.ts';
import type { ProfiledLoad } from './measures/profile.ts';
import type { HandlerName, PeerName } from './peers/peers.ts';

export interface Metric {
  /** Key of the metric in the samples. */
  readonly key: string;
  readonly label: string;
  readonly digits: number;
  /** How the values of the rounds become one value: the median, or for memory the largest. */
  readonly combine: 'median' | 'max';
}

/** Holds for the value of lgateway, or of `by`. With `of`, holds for the median of its ratio to that peer in the same round. */
export interface Threshold {
  readonly metric: string;
  readonly bound: 'at most' | 'at least';
  readonly value: number;
  readonly of?: PeerName;
  readonly by?: PeerName;
  /** Set where the threshold is one of the goals of the project (`--goals`): the name of its row. */
  readonly goal?: string;
}

export interface Scenario {
  readonly name: string;
  readonly title: string;
  /** A peer without this handler is left out. */
  readonly handler: HandlerName;
  /** Set where only some peers are compared. */
  readonly peers?: readonly PeerName[];
  readonly measure: Measure | PreparedMeasure;
  /** The ratios between peers are those of the first metric. */
  readonly metrics: readonly [Metric, ...Metric[]];
  readonly thresholds: readonly Threshold[];
  /** The load under which the bench takes lgateway's profile. */
  readonly profile?: ProfiledLoad;
  /** Set for a scenario that is slow or whose values vary little. */
  readonly roundsMax?: number;
}
