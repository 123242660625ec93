/** The cache for answers of one worker: what all handlers whose answers it keeps have in common. */

import type { Counters } from '../metrics/worker-metrics.ts';
import { AnswerStore } from './answer-store.ts';
import { CommonAnswers } from './common-answers.ts';
import type { CommonEntries } from './common-entries.ts';
import type { Recording } from './fill.ts';
import type { WaitingCount } from './fill-waiters.ts';
import { PurgeMarks } from './purge-marks.ts';

interface ResponseCacheOptions {
  readonly counters: Counters;
  /** What all threads have in common; default: this one is alone. */
  readonly marks?: PurgeMarks;
  /** Bytes of all answers. */
  readonly bytesMax: number;
  /** How long requests wait for the answer to another one. */
  readonly waitMs?: number;
  /** A store that machines share; undefined: there is none. */
  readonly entries?: CommonEntries | undefined;
  /** That the machines have, and nobody else. */
  readonly entryKey?: Uint8Array | undefined;
  /** How long requests wait for the store. */
  readonly readMs?: number;
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

  /** What machines have in common; undefined: nothing. */
  readonly common: CommonAnswers | undefined;

  constructor({
    counters,
    marks = new PurgeMarks(),
    bytesMax,
    waitMs,
    entries,
    entryKey,
    readMs,
  }: ResponseCacheOptions) {
    this.counters = counters;
    this.store = new AnswerStore(counters, bytesMax);
    this.marks = marks;
    this.waitMs = waitMs;
    const { loans } = this.store;
    this.common = entries && new CommonAnswers({ entries, marks, counters, loans, key: entryKey, readMs });
  }
}
