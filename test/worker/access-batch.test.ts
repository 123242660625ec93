/** AccessBatch: which messages carry the lines of the access log, and which lines are dropped. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type LineBuffer, writeText } from '../../src/access/line-buffer.ts';
import { giveBack } from '../../src/base/lent-block.ts';
import { AccessBatch } from '../../src/worker/access-batch.ts';

interface Message {
  readonly text: string;
  readonly count: number;
}

/** `gives`: whoever takes a batch gives its bytes back. */
function batchOf(
  onTheWay = new SharedArrayBuffer(8),
  gives = true,
): {
  readonly batch: AccessBatch;
  readonly messages: Message[];
  /** What was told, and each line that was counted. */
  readonly dropped: number[];
  readonly counted: { lines: number };
} {
  const messages: Message[] = [];
  const dropped: number[] = [];
  const counted = { lines: 0 };
  const batch = new AccessBatch(
    onTheWay,
    (bytes, count) => {
      messages.push({ text: Buffer.from(bytes).toString(), count });
      if (gives) giveBack(bytes);
    },
    (count) => dropped.push(count),
    () => {
      counted.lines += 1;
    },
  );
  return { batch, messages, dropped, counted };
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

test('Whoever has lines that are not written is asked for them when the batch leaves, and before another source', (context) => {
  context.mock.timers.enable({ apis: ['setTimeout'] });
  const { batch, messages } = batchOf();
  const asked: string[] = [];
  const sourceOf = (name: string) => ({
    writeLines: (lines: LineBuffer): void => {
      asked.push(name);
      writeText(lines, name);
    },
  });
  const [first, second] = [sourceOf('first'), sourceOf('second')];
  batch.willWrite(first);
  batch.willWrite(first);
  assert.deepEqual(asked, []);
  batch.willWrite(second);
  assert.deepEqual(asked, ['first']);
  context.mock.timers.tick(50);
  assert.deepEqual(messages, [{ text: 'first\nsecond\n', count: 2 }]);
  // nobody is asked again who has not said that there is more
  batch.flush();
  assert.deepEqual(asked, ['first', 'second']);
  batch.willWrite(first);
  batch.flush();
  assert.equal(messages.at(-1)?.text, 'first\n');
});

test('Lines that are not taken are dropped beyond 4 MiB and told of after five seconds', (context) => {
  context.mock.timers.enable({ apis: ['setTimeout'] });
  const onTheWay = new SharedArrayBuffer(8);
  const { batch, messages, dropped, counted } = batchOf(onTheWay, false);
  const line = 'x'.repeat(1023);
  for (let i = 0; i < 5000; i++) writeText(batch, line);
  batch.flush();
  const sent = messages.reduce((sum, { count }) => sum + count, 0);
  assert.ok(sent * 1024 <= 4 * 1024 * 1024 && sent * 1024 > 3.5 * 1024 * 1024, `${sent} lines`);
  assert.equal(new Int32Array(onTheWay)[1], sent * 1024);
  context.mock.timers.tick(5000);
  assert.deepEqual([dropped, counted.lines], [[5000 - sent], 5000 - sent]);
  new Int32Array(onTheWay)[1] = 0;
  writeText(batch, 'again');
  batch.flush();
  assert.equal(messages.at(-1)?.text, 'again\n');
});

test('Long batches leave in blocks that come back: eight at most, and beyond them in memory of their own', (context) => {
  context.mock.timers.enable({ apis: ['setTimeout'] });
  const sent: Uint8Array[] = [];
  const batch = new AccessBatch(
    new SharedArrayBuffer(8),
    (bytes) => sent.push(bytes),
    () => undefined,
    () => undefined,
  );
  const line = 'x'.repeat(1023);
  const sendLong = (): Uint8Array => {
    for (let i = 0; i < 64; i++) writeText(batch, line);
    batch.flush();
    return sent.at(-1) as Uint8Array;
  };
  for (let i = 0; i < 10; i++) sendLong();
  const shared = sent.map(({ buffer }) => buffer instanceof SharedArrayBuffer);
  assert.deepEqual(shared, [...Array(8).fill(true), false, false]);
  const third = sent[2] as Uint8Array;
  giveBack(third);
  assert.equal(sendLong().buffer, third.buffer);
  writeText(batch, 'short');
  batch.flush();
  assert.ok(sent.at(-1)?.buffer instanceof ArrayBuffer);
});
