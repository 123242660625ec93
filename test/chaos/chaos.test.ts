/** A minute of `npm run chaos`: whoever behaves gets right answers, whatever happens to the gateway meanwhile. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatReport } from './report.ts';
import { runChaos } from './run-chaos.ts';
import { TROUBLES } from './troubles.ts';

const SECONDS = process.env['LGATEWAY_TEST_LONG'] === '1' ? 600 : 60;
/** Always the same order: a failure can be tried again. */
const SEED = 20_261;

test('Bystanders get their answers while the gateway is in trouble, and nothing leaks', async () => {
  const lines: string[] = [];
  const report = await runChaos(SECONDS, SEED, (line) => lines.push(line));
  assert.deepEqual(report.faults, [], `${lines.join('\n')}\n${formatReport(report)}`);
  for (const [name, { answers }] of Object.entries(report.bystanders)) assert.ok(answers > 20, name);
  assert.ok(Object.values(report.troubles).filter((count) => count > 0).length > TROUBLES.length / 2);
});
