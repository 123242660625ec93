/** A request body between wire and readers: when the wire is held back, whose callback runs, and which bytes count as held. */
import { deepStrictEqual, strictEqual } from 'node:assert/strict';
import { test } from 'node:test';
import { GatewayError } from '../../../src/base/errors.ts';
import { type BodyFlow, QueuedBody } from '../../../src/http/exchange/request-body.ts';

const READ_AHEAD_BYTES = 1000;

/** Makes a body whose wire records the calls it gets. */
function body(
  declaredLength?: number,
  ended = false,
): { body: QueuedBody; told: string[]; held: () => number } {
  const told: string[] = [];
  let held = 0;
  const flow: BodyFlow = {
    isOverBudget: false,
    readAheadBytes: READ_AHEAD_BYTES,
    bodyHolds: (bytes) => {
      held += bytes;
    },
    startBody: () => told.push('start'),
    pauseBody: () => told.push('pause'),
    resumeBody: () => told.push('resume'),
    bodyAwaited: (awaited) => told.push(awaited ? 'awaited' : 'not awaited'),
    refuseBody: (reason) => {
      told.push(`refuse ${reason.code}`);
      return true;
    },
  };
  return { body: new QueuedBody(flow, declaredLength, ended), told, held: () => held };
}

/** Makes a chunk in its own memory. */
const bytes = (size: number): Uint8Array => new Uint8Array(new ArrayBuffer(size)).fill(120);

test('QueuedBody asks the wire to begin with the first reader, and once', () => {
  const { body: one, told } = body();
  one.request(1, () => undefined);
  one.cancelRequest();
  one.request(1, () => undefined);
  deepStrictEqual(told, ['awaited', 'start', 'not awaited', 'awaited']);
});

test('QueuedBody pauses the wire at its read-ahead, and resumes it at half of that', () => {
  const { body: one, told } = body();
  one.receive(bytes(READ_AHEAD_BYTES - 1));
  deepStrictEqual(told, []);
  one.receive(bytes(1));
  deepStrictEqual(told, ['pause']);
  one.queue.take(READ_AHEAD_BYTES / 2 - 1);
  one.consumed();
  deepStrictEqual(told, ['pause']);
  one.queue.take(1);
  one.consumed();
  deepStrictEqual(told, ['pause', 'resume']);
});

test('QueuedBody takes more than its read-ahead for a reader who wants more', () => {
  const { body: one, told } = body();
  let calls = 0;
  one.request(3 * READ_AHEAD_BYTES, () => {
    calls += 1;
  });
  one.receive(bytes(3 * READ_AHEAD_BYTES - 1));
  strictEqual(told.includes('pause'), false);
  strictEqual(calls, 0);
  one.receive(bytes(1));
  strictEqual(calls, 1);
  strictEqual(told.filter((word) => word === 'pause').length, 1);
});

test('QueuedBody calls every reader when the body ends, and those that come later in their own time', async () => {
  const { body: one } = body();
  const calls: string[] = [];
  one.request(10, () => calls.push('first'));
  one.request(20, () => calls.push('second'));
  one.receive(bytes(5));
  deepStrictEqual([...calls], []);
  one.finish();
  deepStrictEqual([...calls], ['first', 'second']);
  one.request(10, () => calls.push('late'));
  deepStrictEqual([...calls], ['first', 'second'], 'nobody is called before its request has returned');
  await new Promise((resolve) => setImmediate(resolve));
  deepStrictEqual([...calls], ['first', 'second', 'late']);
});

test('QueuedBody that breaks off keeps what has arrived, and its first error', () => {
  const { body: one } = body(10);
  one.receive(bytes(4));
  strictEqual(one.expected, 10);
  const error = new GatewayError('LGW_CLIENT_GONE', 'The client has gone');
  one.fail(error);
  one.fail(new GatewayError('LGW_CLIENT_GONE', 'Again'));
  one.receive(bytes(6));
  deepStrictEqual([one.ended, one.error, one.queue.length, one.bytesReceived], [true, error, 4, 4]);
});

test('QueuedBody tells the memory it holds, and none once it is dropped', () => {
  const { body: one, held } = body();
  one.receive(bytes(300));
  strictEqual(held(), one.queue.memory);
  one.queue.take(300);
  one.consumed();
  strictEqual(held(), one.queue.memory);
  one.receive(bytes(200));
  one.drop();
  strictEqual(held(), 0);
  one.receive(bytes(200));
  strictEqual(held(), 0);
});

test('QueuedBody copies what is only lent, and what would keep much more memory', () => {
  const { body: one } = body();
  const lent = bytes(100);
  one.receive(lent, true);
  const large = new Uint8Array(new ArrayBuffer(10_000)).fill(120);
  one.receive(large.subarray(0, 100));
  lent.fill(0);
  large.fill(0);
  deepStrictEqual([...new Set(one.queue.take(200))], [120]);
});

test('QueuedBody gives its taker what comes while the queue is empty, and keeps what that leaves', () => {
  const { body: one, held } = body();
  const offered: number[] = [];
  let used = 3;
  one.taker = (given) => {
    offered.push(given.length);
    return Math.min(used, given.length);
  };
  one.request(1, () => offered.push(-1));
  one.receive(bytes(3));
  deepStrictEqual(offered, [3]);
  strictEqual(held(), 0);
  used = 1;
  one.receive(bytes(5));
  strictEqual(one.queue.length, 4);
  // the reader is told, and what comes behind waits as well
  deepStrictEqual(offered, [3, 5, -1]);
  one.receive(bytes(2));
  strictEqual(one.queue.length, 6);
  deepStrictEqual(offered, [3, 5, -1]);
});
