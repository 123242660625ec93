/** LogBatch: how it combines lines into messages. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatLine } from '../../src/base/logger.ts';
import { LogBatch } from '../../src/worker/log-batch.ts';

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('LogBatch sends the lines of one turn together and in order', async () => {
  const messages: (readonly string[])[] = [];
  const batch = new LogBatch(
    'test',
    formatLine,
    new SharedArrayBuffer(4),
    (lines) => messages.push(lines),
    () => undefined,
  );
  for (const line of ['a', 'b', 'c']) batch.write(line);
  assert.deepEqual(messages, []);
  await nextTurn();
  batch.write('d');
  await nextTurn();
  assert.deepEqual(messages, [['a', 'b', 'c'], ['d']]);
});

test('LogBatch sends at once when 256 lines wait', () => {
  const messages: (readonly string[])[] = [];
  const batch = new LogBatch(
    'test',
    formatLine,
    new SharedArrayBuffer(4),
    (lines) => messages.push(lines),
    () => undefined,
  );
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

test('LogBatch drops what the other side does not take, says how much once it takes again, and loses nothing before', () => {
  const onTheWay = new SharedArrayBuffer(4);
  const sent: string[] = [];
  let size = 0;
  let dropped = 0;
  const batch = new LogBatch(
    'test',
    formatLine,
    onTheWay,
    (lines, taken) => {
      sent.push(...lines);
      size += taken;
    },
    () => {
      dropped += 1;
    },
  );
  const line = 'x'.repeat(64 * 1024);
  for (let i = 0; i < 1000; i++) batch.write(line);
  batch.flush();
  assert.deepEqual([sent.length, size], [32, 2 * 1024 * 1024]);
  assert.equal(new Int32Array(onTheWay)[0], size);
  batch.write('x');
  batch.flush();
  assert.equal(sent.length, 32);
  Atomics.sub(new Int32Array(onTheWay), 0, size);
  batch.write('again');
  batch.flush();
  assert.equal(dropped, 969);
  assert.match(sent[32] ?? '', /warn test 969 log lines were dropped: /);
  assert.deepEqual(sent.slice(33), ['again']);
});
