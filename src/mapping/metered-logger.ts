/** Bounds what one mapping writes to the log: bytes per second with some at once. What is dropped is counted, and told. */

import { keepsLevel, type LogFields, type Logger, type LogLevel } from '../base/logger.ts';
import { MAPPING_COUNT, type MappingCounterName } from '../metrics/mapping-metrics.ts';
import type { MetricRow } from '../metrics/metric-row.ts';

/** What may be written at once, in seconds of the rate: a request that tells much does so in one go. */
const BURST_SECONDS = 4;
/** What a line costs beside its text: time, level, source, fields and the work for it (bytes). */
const LINE_OVERHEAD_BYTES = 128;
/** Dropped lines are told of once in so many milliseconds. */
const NOTICE_MS = 5000;
const MS_PER_SECOND = 1000;

export interface MeteredLoggerOptions {
  /** Where the lines go. */
  readonly logger: Logger;
  /** Prefix of the mapping, for the notice. */
  readonly mapping: string;
  /** At first; Infinity: no limit. */
  readonly bytesPerSecond: number;
  readonly counters: MetricRow<MappingCounterName>;
  /** Milliseconds; default: performance.now. */
  readonly now?: () => number;
}

/** The logger of one mapping in one worker. */
export class MeteredLogger implements Logger {
  readonly #options: MeteredLoggerOptions;
  readonly #now: () => number;
  #bytesPerSecond: number;
  #left: number;
  #at: number;
  #droppedLines = 0;
  #droppedBytes = 0;

  constructor(options: MeteredLoggerOptions) {
    this.#options = options;
    this.#bytesPerSecond = options.bytesPerSecond;
    this.#now = options.now ?? (() => performance.now());
    this.#left = BURST_SECONDS * options.bytesPerSecond;
    this.#at = this.#now();
  }

  get level(): LogLevel {
    return this.#options.logger.level;
  }

  /** From now on. What may be written at once is what the new rate allows. */
  setRate(bytesPerSecond: number): void {
    if (bytesPerSecond === this.#bytesPerSecond) return;
    this.#bytesPerSecond = bytesPerSecond;
    this.#left = BURST_SECONDS * bytesPerSecond;
    this.#at = this.#now();
  }

  /** Nothing more can be written for now: whoever has much to say should wait. */
  get exhausted(): boolean {
    this.#refill();
    return this.#left < LINE_OVERHEAD_BYTES;
  }

  error(message: string, fields?: LogFields): void {
    this.#write('error', message, fields);
  }

  warn(message: string, fields?: LogFields): void {
    this.#write('warn', message, fields);
  }

  info(message: string, fields?: LogFields): void {
    this.#write('info', message, fields);
  }

  debug(message: string, fields?: LogFields): void {
    this.#write('debug', message, fields);
  }

  /** Counts text that nobody has made lines of. */
  drop(bytes: number): void {
    if (this.#droppedLines === 0) setTimeout(this.#tell, NOTICE_MS).unref();
    this.#droppedLines += 1;
    this.#droppedBytes += bytes;
    this.#options.counters.add(MAPPING_COUNT.logLinesDroppedTotal, 1);
  }

  #write(level: LogLevel, message: string, fields: LogFields | undefined): void {
    if (!keepsLevel(this.level, level)) return;
    const { counters, logger } = this.#options;
    const bytes = message.length + LINE_OVERHEAD_BYTES;
    this.#refill();
    if (bytes > this.#left) {
      this.drop(bytes);
      return;
    }
    this.#left -= bytes;
    counters.add(MAPPING_COUNT.logLinesTotal, 1);
    counters.add(MAPPING_COUNT.logBytesTotal, bytes);
    logger[level](message, fields);
  }

  #refill(): void {
    const now = this.#now();
    const bytesPerSecond = this.#bytesPerSecond;
    if (bytesPerSecond === Number.POSITIVE_INFINITY) return;
    const gained = ((now - this.#at) / MS_PER_SECOND) * bytesPerSecond;
    this.#left = Math.min(BURST_SECONDS * bytesPerSecond, this.#left + gained);
    this.#at = now;
  }

  readonly #tell = (): void => {
    const { logger, mapping } = this.#options;
    logger.warn('Log lines of a mapping were dropped: it writes more than it may', {
      mapping,
      lines: this.#droppedLines,
      bytes: this.#droppedBytes,
      bytesPerSecond: this.#bytesPerSecond,
    });
    this.#droppedLines = 0;
    this.#droppedBytes = 0;
  };
}
