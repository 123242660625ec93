/** Writes one line for each exchange that has ended, or for a part of them; what a line says, access-format.ts knows. */
import { nextRequestNumber, requestIdOf } from '../base/request-id.ts';
import type { Answerer } from '../http/exchange/exchange.ts';
import type { ExchangeObserver } from '../http/exchange/exchange-wire.ts';
import type { LogSettings } from '../settings/log-settings.ts';
import type { AccessFacts } from './access-fields.ts';
import { type AccessSettings, type AccessSurroundings, accessFormatter } from './access-format.ts';
import type { LineBuffer } from './line-buffer.ts';

const SERVER_ERROR = 500;
/** So often the clock of the day is compared with the steady one, ms: it may have been set. */
const COMPARE_CLOCKS_MS = 100;

/** Returns an observer that writes its lines to `lines`. */
export function createAccessLog(
  settings: AccessSettings & Pick<LogSettings, 'accessSample'>,
  surroundings: AccessSurroundings,
  lines: LineBuffer,
): ExchangeObserver {
  const writer = accessFormatter(settings, surroundings);
  const { worker } = surroundings;
  const { accessSample } = settings;
  let facts: AccessFacts | undefined;
  // the clock of the day is read seldom, as each look costs as much as a third of the line
  let comparedAt = Number.NEGATIVE_INFINITY;
  let offset = 0;
  return (exchange, startedAt, endedAt) => {
    if (accessSample < 1 && exchange.status < SERVER_ERROR && Math.random() >= accessSample) return;
    // whatever no script or module has answered has an id all the same
    exchange.answeredBy ??= nextAnswerer(worker);
    if (endedAt - comparedAt > COMPARE_CLOCKS_MS) {
      comparedAt = endedAt;
      offset = Date.now() - endedAt;
    }
    if (facts === undefined) facts = { exchange, startedAt, endedAt, time: 0 };
    facts.exchange = exchange;
    facts.startedAt = startedAt;
    facts.endedAt = endedAt;
    facts.time = offset + endedAt;
    writer.write(facts, lines);
  };
}

function nextAnswerer(worker: number): Answerer {
  const requestNumber = nextRequestNumber();
  return { requestId: requestIdOf(worker, requestNumber), requestNumber };
}
