/** The cache for answers of one worker: what all handlers whose answers it keeps have in common. */

import type { Counters } from '../metrics/worker-metrics.ts';
import { AnswerStore } from './answer-store.ts';
import type { Recording } from './fill.ts';
import type { WaitingCount } from './fill-waiters.ts';
import { PurgeMarks } from './purge-marks.ts';
import { targetKey } from './request-facts.ts';

interface ResponseCacheOptions {
  readonly counters: Counters;
  /** What all threads have in common; undefined = this one is alone. */
  readonly purges?: SharedArrayBuffer | undefined;
  /** Bytes of all answers. */
  readonly bytesMax?: number;
  /** How long requests wait for the answer to another one. */
  readonly waitMs?: number;
}

/** What is not to be used any more. */
type Purge =
  | { readonly tag: string }
  /** `https://HOST/PATH?QUERY`, as clients ask for it. */
  | { readonly url: string }
  | { readonly all: true };

export class ResponseCache {
  readonly counters: Counters;
  readonly store: AnswerStore;
  readonly marks: PurgeMarks;
  readonly recording: Recording = { bytes: 0 };
  readonly waiting: WaitingCount = { count: 0 };
  readonly waitMs: number | undefined;
  /** Answers that are fetched while their clients have got a stale one. */
  readonly background: WaitingCount = { count: 0 };

  constructor({ counters, purges, bytesMax, waitMs }: ResponseCacheOptions) {
    this.counters = counters;
    this.store = new AnswerStore(counters, bytesMax);
    this.marks = new PurgeMarks(purges);
    this.waitMs = waitMs;
  }

  /** False: the URL is none. What is on its way from a server is not kept either. */
  purge(purge: Purge): boolean {
    if ('all' in purge) this.marks.purgeAll();
    else if ('tag' in purge) this.marks.purge(this.marks.ofTag(purge.tag));
    else {
      const key = keyOfUrl(purge.url);
      if (key === undefined) return false;
      this.marks.purge(this.marks.ofTarget(key));
    }
    return true;
  }
}

/** The target stays as it is written: servers may tell its spellings apart. */
function keyOfUrl(url: string): string | undefined {
  const [, scheme, authority, target = ''] = /^(https?):\/\/([^/?#@\s]+)([/?][^#\s]*)?$/i.exec(url) ?? [];
  if (scheme === undefined || authority === undefined) return undefined;
  return targetKey(scheme.toLowerCase(), authority, target.startsWith('/') ? target : `/${target}`);
}
