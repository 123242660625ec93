/** The seam between a cache and whoever answers what it does not keep. */
import type { Exchange } from './exchange.ts';

export interface AnswerSource {
  /** Tells its answers from those of other sources behind the same cache; empty where there is only one. */
  readonly part: string;
  /** Tags by which its answers can be purged, beside those that they name themselves. */
  readonly tags: readonly string[];
  /** Answers the exchange, which it owns from now on. */
  ask(exchange: Exchange): void;
}

/** A cache before sources of which each request names its own. */
export interface AnswerFront {
  /** Answers the exchange, which it owns from now on, or has the source answer it. */
  answer(exchange: Exchange, source: AnswerSource): void;
  /** The sources end soon: nothing is looked for elsewhere any more. */
  retire(): void;
  /** What is kept is not used any more. */
  close(): void;
}
