/** LogBatch: how lines become messages. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LogBatch } from '../../src/worker/log-batch.ts';

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('LogBatch sends the lines of one turn together and in order', async () => {
  const messages: (readonly string[])[] = [];
  const batch = new LogBatch((lines) => messages.push(lines));
  for (const line of ['a', 'b', 'c']) batch.write(line);
  assert.deepEqual(messages, []);
  await nextTurn();
  batch.write('d');
  await nextTurn();
  assert.deepEqual(messages, [['a', 'b', 'c'], ['d']]);
});

test('LogBatch sends at once when 256 lines wait', () => {
  const messages: (readonly string[])[] = [];
  const batch = new LogBatch((lines) => messages.push(lines));
  for (let i = 0; i < 300; i++) batch.write(`${i}`);
  assert.deepEqual(
    messages.map((lines) => lines.length),
    [256],
  );
  batch.flush();
  assert.deepEqual(
    messages.map((lines) => lines.length),
    [256, 44],
  );
});
