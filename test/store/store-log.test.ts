/** What the log says of a store that is away. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLogger } from '../../src/base/logger.ts';
import { StoreLog } from '../../src/store/store-log.ts';

function startLog(): { log: StoreLog; lines: string[]; changes: boolean[] } {
  const lines: string[] = [];
  const changes: boolean[] = [];
  const logger = createLogger('info', 'test', (line) => lines.push(line));
  const log = new StoreLog('redis://a', 'Calls get nil', logger, (isAway) => changes.push(isAway));
  return { log, lines, changes };
}

test('Each reason is told once, also when the servers of a cluster give theirs in turns', () => {
  const { log, lines, changes } = startLog();
  for (let turn = 0; turn < 50; turn++)
    for (const name of ['a', 'b', 'c']) log.away(`${name}: refused`, false);
  assert.equal(lines.length, 3, lines.join('\n'));
  assert.match(lines[1] ?? '', /warn.*Store redis:\/\/a is away: b: refused\. Calls get nil meanwhile/);
  assert.equal(log.fault, 'store redis://a is away: c: refused');
  log.available('a');
  assert.match(lines[3] ?? '', /answers again/);
  assert.deepEqual([log.fault, log.isThere], [undefined, true]);
  log.away('a: refused', true);
  assert.match(lines[4] ?? '', /error.*until this is set right/);
  assert.deepEqual(changes, [true, false, true]);
});

test('However many reasons there are, the log stays short', () => {
  const { log, lines } = startLog();
  for (let i = 0; i < 10_000; i++) log.away(`port ${i}: refused`, false);
  assert.ok(lines.length <= 33, `${lines.length} lines`);
});
