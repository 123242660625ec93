/** What is counted of the requests that one mapping has answered in one worker: a row in shared memory with one writer. */
import { HISTOGRAM_SLOTS, Histogram } from './histogram.ts';

/** Versions of HTTP, in the order of the row. */
export const REQUEST_PROTOCOLS = ['HTTP/1.0', 'HTTP/1.1', 'HTTP/2'] as const;
/** Classes of statuses, in the order of the row. `none`: the client had gone, or the stream was reset, before there was one. */
export const STATUS_CLASSES = ['none', '1xx', '2xx', '3xx', '4xx', '5xx'] as const;

const CLASSES = STATUS_CLASSES.length;
const DURATIONS = REQUEST_PROTOCOLS.length * CLASSES;
const HEADS: number = DURATIONS + HISTOGRAM_SLOTS;
/** Doubles of a row. */
const LENGTH: number = HEADS + HISTOGRAM_SLOTS;

/** The row of what no mapping has answered; those of mappings stand behind it. */
export const NO_MAPPING_ROW = 0;

/** Where requests of a mapping are counted whose other counters have this row. */
export function requestRowOf(mappingRow: number): number {
  return NO_MAPPING_ROW + 1 + mappingRow;
}

/** Memory for rows of so many mappings, and that of none. Pages of rows that nobody writes to take no memory. */
export function createRequestMemory(mappings: number): SharedArrayBuffer {
  return new SharedArrayBuffer(requestRowOf(mappings) * LENGTH * Float64Array.BYTES_PER_ELEMENT);
}

export class RequestRow {
  readonly #values: Float64Array;

  constructor(memory: SharedArrayBuffer, row: number) {
    this.#values = new Float64Array(memory, row * LENGTH * Float64Array.BYTES_PER_ELEMENT, LENGTH);
  }

  /** Counts one that is over; `protocol` is one of REQUEST_PROTOCOLS, `status` 0 where there was none. */
  count(protocol: string, status: number): void {
    const version = protocol === 'HTTP/2' ? 2 : protocol === 'HTTP/1.1' ? 1 : 0;
    const statusClass = status < 100 || status > 599 ? 0 : Math.floor(status / 100);
    const slot = version * CLASSES + statusClass;
    this.#values[slot] = (this.#values[slot] as number) + 1;
  }

  /** How long one took, and how long until its head was sent (ms). */
  observe(durationMs: number, headMs: number): void {
    Histogram.add(this.#values, DURATIONS, durationMs);
    Histogram.add(this.#values, HEADS, headMs);
  }

  /** Another mapping gets the row. */
  clear(): void {
    this.#values.fill(0);
  }

  /** By indexes of the two lists. */
  get(version: number, statusClass: number): number {
    return this.#values[version * CLASSES + statusClass] as number;
  }

  get durations(): Histogram {
    return new Histogram(this.#values, DURATIONS);
  }

  get heads(): Histogram {
    return new Histogram(this.#values, HEADS);
  }
}
