/** AccessBatch: which messages carry the lines of the access log, and which lines are dropped. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { writeText } from '../../src/access/line-buffer.ts';
import { AccessBatch } from '../../src/worker/access-batch.ts';

interface Message {
  readonly text: string;
  readonly count: number;
}

function batchOf(onTheWay = new SharedArrayBuffer(8)): {
  readonly batch: AccessBatch;
  readonly messages: Message[];
  readonly dropped: number[];
} {
  const messages: Message[] = [];
  const dropped: number[] = [];
  const batch = new AccessBatch(
    onTheWay,
    (bytes, count) => messages.push({ text: Buffer.from(bytes).toString(), count }),
    (count) => dropped.push(count),
  );
  return { batch, messages, dropped };
}

test('Lines leave together 50 ms after the first of them, each with its line end', (context) => {
  context.mock.timers.enable({ apis: ['setTimeout'] });
  const { batch, messages } = batchOf();
  for (const line of ['a', 'b…', 'c']) writeText(batch, line);
  context.mock.timers.tick(49);
  assert.deepEqual(messages, []);
  context.mock.timers.tick(1);
  writeText(batch, 'd');
  context.mock.timers.tick(50);
  assert.deepEqual(messages, [
    { text: 'a\nb…\nc\n', count: 3 },
    { text: 'd\n', count: 1 },
  ]);
});

test('A batch leaves at once when the next line has no room in 256 KiB, and a longer line goes alone', (context) => {
  context.mock.timers.enable({ apis: ['setTimeout'] });
  const { batch, messages } = batchOf();
  const line = 'x'.repeat(40_000);
  // a text is given room for three bytes of each character
  for (let i = 0; i < 5; i++) writeText(batch, line);
  assert.deepEqual(
    messages.map(({ count }) => count),
    [4],
  );
  writeText(batch, 'y'.repeat(100_000));
  batch.flush();
  assert.deepEqual(
    messages.map(({ text, count }) => [text.length, count]),
    [
      [160_004, 4],
      [40_001, 1],
      [100_001, 1],
    ],
  );
});

test('Lines that are not taken are dropped beyond 4 MiB and told of after five seconds', (context) => {
  context.mock.timers.enable({ apis: ['setTimeout'] });
  const onTheWay = new SharedArrayBuffer(8);
  const { batch, messages, dropped } = batchOf(onTheWay);
  const line = 'x'.repeat(1023);
  for (let i = 0; i < 5000; i++) writeText(batch, line);
  batch.flush();
  const sent = messages.reduce((sum, { count }) => sum + count, 0);
  assert.ok(sent * 1024 <= 4 * 1024 * 1024 && sent * 1024 > 3.5 * 1024 * 1024, `${sent} lines`);
  assert.equal(new Int32Array(onTheWay)[1], sent * 1024);
  context.mock.timers.tick(5000);
  assert.deepEqual(dropped, [5000 - sent]);
  new Int32Array(onTheWay)[1] = 0;
  writeText(batch, 'again');
  batch.flush();
  assert.equal(messages.at(-1)?.text, 'again\n');
});
