/** What a scenario is: what is measured, on which peers, and what lgateway has to reach. */
import type { Measure, PreparedMeasure } from './measures/measure.ts';
import type { ProfiledLoad } from './measures/profile.ts';
import type { HandlerName, PeerName } from './peers/peers.ts';

export interface Metric {
  /** Key in the samples. */
  readonly key: string;
  readonly label: string;
  readonly digits: number;
  /** How the rounds become one value: what matters of memory is the worst. */
  readonly combine: 'median' | 'max';
}

/** Holds for lgateway, or for `by`; with `of`, for the median of its ratio to that peer in the same round. */
export interface Threshold {
  readonly metric: string;
  readonly bound: 'at most' | 'at least';
  readonly value: number;
  readonly of?: PeerName;
  readonly by?: PeerName;
  /** Set where it is one of the goals of the project (`--goals`): the words of its row. */
  readonly goal?: string;
}

export interface Scenario {
  readonly name: string;
  readonly title: string;
  /** Peers without this handler are left out. */
  readonly handler: HandlerName;
  /** Where only some peers are of interest. */
  readonly peers?: readonly PeerName[];
  readonly measure: Measure | PreparedMeasure;
  /** The first one is compared between peers. */
  readonly metrics: readonly [Metric, ...Metric[]];
  readonly thresholds: readonly Threshold[];
  /** What lgateway does when its profile is taken. */
  readonly profile?: ProfiledLoad;
  /** For a scenario that is slow or hardly varies. */
  readonly roundsMax?: number;
}
