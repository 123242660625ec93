/** The cache for answers of one worker: what all handlers whose answers it keeps have in common. */

import type { Counters } from '../metrics/worker-metrics.ts';
import { AnswerStore } from './answer-store.ts';
import type { Recording } from './fill.ts';
import type { WaitingCount } from './fill-waiters.ts';
import { PurgeMarks } from './purge-marks.ts';

interface ResponseCacheOptions {
  readonly counters: Counters;
  /** What all threads have in common; default: this one is alone. */
  readonly marks?: PurgeMarks;
  /** Bytes of all answers. */
  readonly bytesMax?: number;
  /** How long requests wait for the answer to another one. */
  readonly waitMs?: number;
}

export class ResponseCache {
  readonly counters: Counters;
  readonly store: AnswerStore;
  readonly marks: PurgeMarks;
  readonly recording: Recording = { bytes: 0 };
  readonly waiting: WaitingCount = { count: 0 };
  readonly waitMs: number | undefined;
  /** Answers that are fetched while their clients have got a stale one. */
  readonly background: WaitingCount = { count: 0 };

  constructor({ counters, marks = new PurgeMarks(), bytesMax, waitMs }: ResponseCacheOptions) {
    this.counters = counters;
    this.store = new AnswerStore(counters, bytesMax);
    this.marks = marks;
    this.waitMs = waitMs;
  }
}
