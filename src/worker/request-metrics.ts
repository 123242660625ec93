/** Counts each exchange that is over for the mapping that has answered it. */
import type { Exchange } from '../http/exchange/exchange.ts';
import type { ExchangeObserver } from '../http/exchange/exchange-wire.ts';
import { NO_MAPPING_ROW, RequestRow, requestRowOf } from '../metrics/request-row.ts';

export class RequestMetrics {
  readonly #memory: SharedArrayBuffer;
  /** The row of what no mapping has answered. */
  readonly #none: RequestRow;
  /** A state that was replaced may still answer. */
  readonly #rowOf = new WeakMap<object, RequestRow>();
  /** Most requests are for the mapping of the one before. */
  #last: object | undefined;
  #lastRow: RequestRow;

  /** `memory`: as `WorkerStart.requests`. */
  constructor(memory: SharedArrayBuffer) {
    this.#memory = memory;
    this.#none = new RequestRow(memory, NO_MAPPING_ROW);
    this.#lastRow = this.#none;
  }

  /** A mapping has been loaded, whose row of counters this is. */
  add(mapping: object, row: number): void {
    this.#rowOf.set(mapping, new RequestRow(this.#memory, requestRowOf(row)));
  }

  readonly observe: ExchangeObserver = (
    exchange: Exchange,
    startedAt: number | undefined,
    endedAt: number,
  ): void => {
    const { servedFor } = exchange;
    if (servedFor !== this.#last) {
      this.#last = servedFor;
      this.#lastRow = (servedFor && this.#rowOf.get(servedFor)) ?? this.#none;
    }
    const row = this.#lastRow;
    row.count(exchange.protocol, exchange.status);
    if (startedAt === undefined) return;
    row.observe(endedAt - startedAt, (exchange.headSentAt ?? endedAt) - startedAt);
  };
}
