/** Counts each exchange that is over for the mapping that has answered it. */
import type { Exchange } from '../http/exchange/exchange.ts';
import type { ExchangeObserver } from '../http/exchange/exchange-wire.ts';
import { RequestRow } from '../metrics/request-row.ts';

export class RequestMetrics {
  readonly #rows: readonly RequestRow[];
  /** The row of what no mapping has answered. */
  readonly #none: RequestRow;
  /** A state that was replaced may still answer. */
  readonly #rowOf = new WeakMap<object, RequestRow>();
  /** Most requests are for the mapping of the one before. */
  #last: object | undefined;
  #lastRow: RequestRow;

  /** `memory`: a row for each mapping, and one more. */
  constructor(memory: SharedArrayBuffer, mappingCount: number) {
    this.#rows = Array.from({ length: mappingCount }, (_, i) => new RequestRow(memory, i));
    this.#none = new RequestRow(memory, mappingCount);
    this.#lastRow = this.#none;
  }

  /** A mapping has been loaded, the `index`th of the configuration. */
  add(mapping: object, index: number): void {
    const row = this.#rows[index];
    if (row !== undefined) this.#rowOf.set(mapping, row);
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
