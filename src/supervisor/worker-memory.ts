/** What one worker counts, in memory that outlives its threads: they write, one after the other, and the main thread reads. */
import { MAPPING_METRICS, type MappingCounterName } from '../metrics/mapping-metrics.ts';
import { MetricRow } from '../metrics/metric-row.ts';
import { createRequestMemory, RequestRow } from '../metrics/request-row.ts';
import { Counters } from '../metrics/worker-metrics.ts';
import { createWaitingMemory } from '../proxy/upstreams/health-memory.ts';

/** Places in `logOnTheWay`. */
const LOG_LINES = 0;
const ACCESS_LINES = 1;

export class WorkerMemory {
  readonly counters: Counters = new Counters();
  /** Requests that wait for servers behind proxies, by row of what is known of their health. */
  readonly waiting: Int32Array<SharedArrayBuffer> = new Int32Array(createWaitingMemory());
  /** In the order of the mappings. */
  readonly mappingCounters: readonly MetricRow<MappingCounterName>[];
  /** In the order of the mappings, and one more for what none has answered; none at all where they are not counted. */
  readonly requests: readonly RequestRow[];
  readonly #mappings: SharedArrayBuffer;
  readonly #requests: SharedArrayBuffer | undefined;
  /** Messages of a thread come in before its end: nothing is left of one when the next begins. */
  readonly #logOnTheWay = new Int32Array(new SharedArrayBuffer(2 * Int32Array.BYTES_PER_ELEMENT));

  constructor(mappingCount: number, countsRequests: boolean) {
    const mappings = MAPPING_METRICS.rows(mappingCount);
    this.#mappings = mappings;
    const requests = countsRequests ? createRequestMemory(mappingCount + 1) : undefined;
    this.#requests = requests;
    this.requests =
      requests === undefined
        ? []
        : Array.from({ length: mappingCount + 1 }, (_, row) => new RequestRow(requests, row));
    this.mappingCounters = Array.from(
      { length: mappingCount },
      (_, row) => new MetricRow(MAPPING_METRICS, mappings, row),
    );
  }

  /** What a thread gets. */
  get shared(): {
    readonly counters: SharedArrayBuffer;
    readonly mappingCounters: SharedArrayBuffer;
    readonly requests: SharedArrayBuffer | undefined;
    readonly waiting: SharedArrayBuffer;
    readonly logOnTheWay: SharedArrayBuffer;
  } {
    return {
      counters: this.counters.memory,
      mappingCounters: this.#mappings,
      requests: this.#requests,
      waiting: this.waiting.buffer,
      logOnTheWay: this.#logOnTheWay.buffer,
    };
  }

  /** Log lines of so many characters have been taken. */
  tookLog(size: number): void {
    Atomics.sub(this.#logOnTheWay, LOG_LINES, size);
  }

  /** So many bytes of the access log have been taken. */
  tookAccess(bytes: number): void {
    Atomics.sub(this.#logOnTheWay, ACCESS_LINES, bytes);
  }

  /** Another thread begins: what counted for the one before is 0 again; totals and times go on. */
  beginThread(): void {
    for (const row of [this.counters, ...this.mappingCounters]) row.resetGauges();
    this.waiting.fill(0);
    Atomics.store(this.#logOnTheWay, LOG_LINES, 0);
  }
}
