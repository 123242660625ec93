/** What can be seen of the servers behind proxies, from any thread. */
import {
  HEALTH_ROWS_MAX,
  healthNow,
  isAbandoned,
  ROW_BYTES,
  readName,
  WORD,
  wordsOf,
} from './health-memory.ts';
import { stateOf } from './health-row.ts';

/** One server, as all workers know it. */
export interface UpstreamView {
  /** As log lines name it. */
  readonly mapping: string;
  /** `http://HOST:PORT` or `unix:/SOCKET`, with the path of the target where it has one. */
  readonly name: string;
  /** Requests go there: neither failures nor checks speak against it. */
  readonly healthy: boolean;
  /** Requests that wait for its answer, in the workers that were asked for. */
  readonly inFlight: number;
  /** Requests that have failed there. */
  readonly fails: number;
  /** Checks that have come to their end, and those of them that have failed. */
  readonly checks: number;
  readonly failedChecks: number;
}

/**
 * The servers that a configuration names or that requests have gone to in the last ten minutes (`ROW_KEPT_MS`). `waiting`: of the workers
 * whose requests are counted.
 */
export function readUpstreams(memory: SharedArrayBuffer, waiting: readonly Int32Array[]): UpstreamView[] {
  const now = healthNow();
  const views: UpstreamView[] = [];
  const all = new Int32Array(memory, 0, (HEALTH_ROWS_MAX * ROW_BYTES) / Int32Array.BYTES_PER_ELEMENT);
  for (let place = 0; place < HEALTH_ROWS_MAX; place++) {
    if (Atomics.load(all, (place * ROW_BYTES) / Int32Array.BYTES_PER_ELEMENT + WORD.key) === 0) continue;
    const words = wordsOf(memory, place);
    if (isAbandoned(words, now)) continue;
    const [mapping = '', name] = readName(memory, place)?.split('\0') ?? [];
    if (name === undefined) continue;
    views.push({
      mapping,
      name,
      healthy: stateOf(words, now) === 'up',
      inFlight: waiting.reduce((sum, counts) => sum + Atomics.load(counts, place), 0),
      fails: Atomics.load(words, WORD.failuresTotal) >>> 0,
      checks: Atomics.load(words, WORD.checksTotal) >>> 0,
      failedChecks: Atomics.load(words, WORD.failedChecksTotal) >>> 0,
    });
  }
  return views;
}
