/** What a script says: its lines and warnings in the log, for which it pays, and the reports of its errors. */

import { isUtf8 } from 'node:buffer';
import type { LogFields, Logger, LogLevel } from '../../base/logger.ts';
import type { CoroutineScheduler } from '../../lua/coroutine-scheduler.ts';
import type { Share } from '../../mapping/shares.ts';
import { MAPPING_COUNT, type MappingCounterName } from '../../metrics/mapping-metrics.ts';
import type { MetricRow } from '../../metrics/metric-row.ts';
import { COUNT, type Counters } from '../../metrics/worker-metrics.ts';
import { currentRun } from '../run/lua-run.ts';
import { RateLimit } from './rate-limit.ts';

/** A longer message or line of a script is cut (bytes). */
const MESSAGE_BYTES_MAX = 64 * 1024;
/** To write a line to the log, beside its bytes (10 µs). */
const UNITS_PER_LINE = 2000;
/** Error reports of one script in full per second; the rest are counted, so that a broken script cannot flood the log. */
const REPORTS_PER_SECOND_MAX = 20;

/** What Lua says when a state has no memory left, and the gateway where it takes some for the state. */
const NO_MEMORY = 'not enough memory';

export class ScriptLog {
  readonly #logger: Logger;
  readonly #counters: Counters;
  readonly #ofMapping: MetricRow<MappingCounterName>;
  readonly #scheduler: CoroutineScheduler;
  readonly #mapping: string;
  readonly #reports = new RateLimit(REPORTS_PER_SECOND_MAX);

  constructor(
    logger: Logger,
    counters: Counters,
    scheduler: CoroutineScheduler,
    { name, counters: own }: Share,
  ) {
    this.#logger = logger;
    this.#counters = counters;
    this.#ofMapping = own;
    this.#scheduler = scheduler;
    this.#mapping = name;
  }

  /** Writes a line of the script, bytes. */
  write(level: LogLevel, line: string): void {
    this.#pay(line);
    this.#logger[level](readable(line), this.#fields());
  }

  /** Writes what `warn` was given. */
  warn(line: string): void {
    this.#pay(line);
    this.#logger.warn(`Lua warning: ${readable(line)}`, this.#fields());
  }

  /** Reports a Lua error with its traceback, and counts it. */
  reportError(message: string, fields: LogFields): void {
    this.#counters.add(COUNT.luaErrorsTotal, 1);
    const { limit } = fields;
    if (limit === 'cpu') this.#ofMapping.add(MAPPING_COUNT.cpuLimitsTotal, 1);
    else if (limit === 'time') this.#ofMapping.add(MAPPING_COUNT.timeLimitsTotal, 1);
    else if (message.includes(NO_MEMORY)) this.#ofMapping.add(MAPPING_COUNT.memoryLimitsTotal, 1);
    const suppressed = this.#reports.admit();
    if (suppressed === undefined) return;
    this.#logger.error(
      `Lua error: ${readable(message)}`,
      suppressed === 0 ? fields : { ...fields, suppressed },
    );
  }

  #fields(): LogFields {
    return { mapping: this.#mapping, request: currentRun(this.#scheduler)?.requestId };
  }

  /** Whoever writes pays for it, unless nobody calls: a file that is closed with its state has a last line. */
  #pay(line: string): void {
    const { state, current, guard } = this.#scheduler;
    if (current !== undefined && !state.closed) guard.pay(line.length + UNITS_PER_LINE);
  }
}

/** Bytes of a script as text for people: UTF-8, unless they are something else. */
function readable(bytes: string): string {
  if (bytes.length > MESSAGE_BYTES_MAX) {
    let end = MESSAGE_BYTES_MAX;
    // not within a character
    while (end > 0 && (bytes.charCodeAt(end) & 0xc0) === 0x80) end -= 1;
    return `${readable(bytes.slice(0, end))}…`;
  }
  // biome-ignore lint/suspicious/noControlCharactersInRegex: ASCII is what it looks for
  if (/^[\x00-\x7f]*$/.test(bytes)) return bytes;
  const buffer = Buffer.from(bytes, 'latin1');
  return isUtf8(buffer) ? buffer.toString() : bytes;
}
