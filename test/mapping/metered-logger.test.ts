/** MeteredLogger: the rate, the burst, what it counts, and the longest line. */
import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import { createLogger } from '../../src/base/logger.ts';
import { MeteredLogger } from '../../src/mapping/metered-logger.ts';
import { MAPPING_METRICS, type MappingCounterName } from '../../src/metrics/mapping-metrics.ts';
import { MetricRow } from '../../src/metrics/metric-row.ts';

interface Metered {
  readonly logger: MeteredLogger;
  readonly lines: string[];
  readonly counters: MetricRow<MappingCounterName>;
  now: number;
}

function metered(bytesPerSecond: number): Metered {
  const lines: string[] = [];
  const counters = new MetricRow(MAPPING_METRICS);
  const made = { lines, counters, now: 0 };
  const logger = new MeteredLogger({
    logger: createLogger('info', 'test', (line) => lines.push(line)),
    mapping: '/app',
    bytesPerSecond,
    counters,
    now: () => made.now,
  });
  return Object.assign(made, { logger });
}

test('A mapping may write four seconds of its rate at once, and its rate from then on', () => {
  const one = metered(1000);
  // each line counts 128 bytes in addition to its text
  for (let i = 0; i < 100; i++) one.logger.info('x'.repeat(72));
  assert.equal(one.lines.length, 20);
  assert.equal(one.logger.exhausted, true);
  one.now += 1000;
  for (let i = 0; i < 100; i++) one.logger.error('x'.repeat(72));
  assert.equal(one.lines.length, 25);
  const { logLinesTotal, logBytesTotal, logLinesDroppedTotal } = one.counters.snapshot();
  assert.deepEqual([logLinesTotal, logBytesTotal, logLinesDroppedTotal], [25, 5000, 175]);
});

test('Dropped lines are told of once in five seconds, with their number', () => {
  mock.timers.enable({ apis: ['setTimeout'] });
  try {
    const one = metered(1000);
    for (let i = 0; i < 30; i++) one.logger.info('x'.repeat(72));
    assert.equal(one.lines.length, 20);
    mock.timers.tick(5000);
    assert.match(
      one.lines[20] ?? '',
      /warn test Log lines of a mapping were dropped: .* mapping=\/app lines=10 bytes=2000 bytesPerSecond=1000$/,
    );
    mock.timers.tick(5000);
    assert.equal(one.lines.length, 21);
  } finally {
    mock.timers.reset();
  }
});

test('Without a limit nothing is dropped, and lines that the level leaves out do not count', () => {
  const one = metered(Number.POSITIVE_INFINITY);
  for (let i = 0; i < 1000; i++) one.logger.info('x'.repeat(10_000));
  for (let i = 0; i < 1000; i++) one.logger.debug('x');
  assert.deepEqual(
    [one.lines.length, one.counters.get('logLinesTotal'), one.logger.exhausted],
    [1000, 1000, false],
  );
});

test('A message is cut at 64 KiB and a value at 32 KiB, and what is missing is said', () => {
  const lines: string[] = [];
  const logger = createLogger('info', 'test', (line) => lines.push(line));
  logger.info('x'.repeat(65_536), { value: 'y'.repeat(32_768) });
  logger.info(`${'x'.repeat(65_536)}é`, { value: 'y'.repeat(32_769) });
  const [whole, cut] = lines.map((line) => line.slice(line.indexOf('info ')));
  assert.ok(whole === `info test ${'x'.repeat(65_536)} value=${'y'.repeat(32_768)}`);
  const message = `${'x'.repeat(65_536)}… (2 bytes more)`;
  assert.ok(cut === `info test ${message} value="${'y'.repeat(32_768)}… (1 bytes more)"`);
});
