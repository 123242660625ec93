/** What one worker counts, in memory that outlives its threads: they write, one after the other, and the main thread reads. */
import { LISTENER_METRICS, type ListenerCounterName } from '../metrics/listener-metrics.ts';
import { MAPPING_METRICS, type MappingCounterName } from '../metrics/mapping-metrics.ts';
import { MetricRow } from '../metrics/metric-row.ts';
import { createRequestMemory, NO_MAPPING_ROW, RequestRow, requestRowOf } from '../metrics/request-row.ts';
import { Counters } from '../metrics/worker-metrics.ts';
import { createWaitingMemory } from '../proxy/upstreams/health-memory.ts';

/** Places in `logOnTheWay`. */
const LOG_LINES = 0;
const ACCESS_LINES = 1;

export class WorkerMemory {
  readonly counters: Counters = new Counters();
  /** Requests that wait for servers behind proxies, by row of what is known of their health. */
  readonly waiting: Int32Array<SharedArrayBuffer> = new Int32Array(createWaitingMemory());
  readonly #listeners: SharedArrayBuffer;
  readonly #listenerCount: number;
  readonly #rows: { readonly capacity: number; readonly used: number };
  readonly #mappings: SharedArrayBuffer;
  readonly #requests: SharedArrayBuffer | undefined;
  /** Messages of a thread come in before its end: nothing is left of one when the next begins. */
  readonly #logOnTheWay = new Int32Array(new SharedArrayBuffer(2 * Int32Array.BYTES_PER_ELEMENT));

  constructor(
    rows: { readonly capacity: number; readonly used: number },
    listenerCount: number,
    countsRequests: boolean,
  ) {
    this.#rows = rows;
    this.#listenerCount = listenerCount;
    this.#listeners = LISTENER_METRICS.rows(listenerCount);
    this.#mappings = MAPPING_METRICS.rows(rows.capacity);
    this.#requests = countsRequests ? createRequestMemory(rows.capacity) : undefined;
  }

  /** What the mapping uses whose row this is. */
  mapping(row: number): MetricRow<MappingCounterName> {
    return new MetricRow(MAPPING_METRICS, this.#mappings, row);
  }

  /** The connections of a listener, by its number. */
  listener(index: number): MetricRow<ListenerCounterName> {
    return new MetricRow(LISTENER_METRICS, this.#listeners, index);
  }

  /** The requests of a mapping, by its row, or with undefined of none; undefined where they are not counted. */
  requests(row: number | undefined): RequestRow | undefined {
    const memory = this.#requests;
    if (memory === undefined) return undefined;
    return new RequestRow(memory, row === undefined ? NO_MAPPING_ROW : requestRowOf(row));
  }

  /** Another mapping gets the row. */
  clear(row: number): void {
    this.mapping(row).clear();
    this.requests(row)?.clear();
  }

  /** What a thread gets. */
  get shared(): {
    readonly counters: SharedArrayBuffer;
    readonly mappingCounters: SharedArrayBuffer;
    readonly listenerCounters: SharedArrayBuffer;
    readonly requests: SharedArrayBuffer | undefined;
    readonly waiting: SharedArrayBuffer;
    readonly logOnTheWay: SharedArrayBuffer;
  } {
    return {
      counters: this.counters.memory,
      mappingCounters: this.#mappings,
      listenerCounters: this.#listeners,
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
    this.counters.resetGauges();
    for (let index = 0; index < this.#listenerCount; index++) this.listener(index).resetGauges();
    for (let row = 0; row < this.#rows.used; row++) this.mapping(row).resetGauges();
    this.waiting.fill(0);
    this.#logOnTheWay.fill(0);
  }
}
