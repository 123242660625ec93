/** The cache for answers as a worker has it: what it purges counts in all workers, and on all machines. */
import type { CommonEntries } from '../cache/common-entries.ts';
import { LazyCache } from '../cache/lazy-cache.ts';
import { PurgeMarks, type PurgeNotice } from '../cache/purge-marks.ts';
import type { Counters } from '../metrics/worker-metrics.ts';
import type { FromWorker } from './messages.ts';

interface WorkerCacheOptions {
  readonly counters: Counters;
  /** What all workers have in common. */
  readonly purges: SharedArrayBuffer;
  /** Takes messages for the supervisor. */
  readonly tell: (message: FromWorker) => void;
  /** Resolves to the store that machines share; undefined: there is none. */
  readonly entries: () => Promise<CommonEntries | undefined>;
  /** Bytes of all answers. */
  readonly bytesMax: number;
  /** As of WorkerJob. */
  readonly entryKey?: Uint8Array | undefined;
}

export function createWorkerCache({ purges, tell, ...options }: WorkerCacheOptions): LazyCache {
  const marks = new PurgeMarks(purges);
  if (marks.isShared) marks.onPurge = tellPurges(tell);
  return new LazyCache({ ...options, marks });
}

/** Those of a turn in one message. */
function tellPurges(tell: (message: FromWorker) => void): PurgeNotice {
  let marks: number[] = [];
  let epochOfMarks = 0;
  const send = (): void => {
    if (marks.length > 0) tell({ type: 'purged', epoch: epochOfMarks, marks });
    marks = [];
  };
  return (mark, epoch) => {
    if (epoch !== epochOfMarks) send();
    epochOfMarks = epoch;
    if (marks.length === 0) process.nextTick(send);
    marks.push(mark);
  };
}
