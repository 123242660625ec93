/** OperationQueue: its bound, and the order between owners. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { OperationOwner, OperationQueue } from '../../src/file/operation-queue.ts';
import { type Share, Shares } from '../../src/mapping/shares.ts';

test('OperationQueue starts no more operations than its limit', () => {
  const queue = new OperationQueue(2);
  const owner = new OperationOwner();
  let started = 0;
  for (let i = 0; i < 5; i++) queue.submit(owner, { start: () => (started += 1) });
  assert.equal(started, 2);
  queue.finished();
  assert.deepEqual([started, queue.inFlight], [3, 2]);
});

test('OperationQueue gives owners their turns, however much one of them asks for', () => {
  const queue = new OperationQueue(1);
  const order: string[] = [];
  const submit = (owner: OperationOwner, name: string): void =>
    queue.submit(owner, { start: () => order.push(name) });
  const [a, b, c] = [new OperationOwner(), new OperationOwner(), new OperationOwner()];
  for (let i = 0; i < 4; i++) submit(a, `a${i}`);
  submit(b, 'b0');
  submit(b, 'b1');
  submit(c, 'c0');
  for (let i = 0; i < 7; i++) queue.finished();
  assert.deepEqual(order, ['a0', 'a1', 'b0', 'c0', 'a2', 'b1', 'a3']);
  assert.equal(queue.inFlight, 0);
});

test('OperationQueue gives mappings their turns, however many owners one of them has', () => {
  const queue = new OperationQueue(1);
  const shares = new Shares({
    limits: {
      files: 1,
      processes: 1,
      fetches: 1,
      sockets: 1,
      tasks: 1,
      timers: 1,
      subscriptions: 10,
      messageBytes: 10,
      websockets: 1,
    },
    percent: 50,
  });
  const order: string[] = [];
  const submit = (share: Share, name: string): void =>
    queue.submit(new OperationOwner(share), { start: () => order.push(name) });
  const [hog, honest] = [shares.of('/hog'), shares.of('/honest')];
  for (let i = 0; i < 5; i++) submit(hog, `hog ${i}`);
  submit(honest, 'honest 0');
  submit(honest, 'honest 1');
  for (let i = 0; i < 7; i++) queue.finished();
  assert.deepEqual(order, ['hog 0', 'hog 1', 'honest 0', 'hog 2', 'honest 1', 'hog 3', 'hog 4']);
  assert.equal(queue.inFlight, 0);
});

test('OperationQueue.withdraw() takes back what has not started, and only that', () => {
  const queue = new OperationQueue(1);
  const owner = new OperationOwner();
  const first = { start: (): void => {} };
  const second = { start: assert.fail };
  queue.submit(owner, first);
  queue.submit(owner, second);
  assert.equal(queue.withdraw(owner, first), false);
  assert.equal(queue.withdraw(owner, second), true);
  queue.finished();
  assert.equal(queue.inFlight, 0);
});

test('OperationQueue starts ten thousand operations that finish at once without nesting', () => {
  const queue = new OperationQueue(1);
  const owner = new OperationOwner();
  let started = 0;
  queue.submit(owner, { start: () => {} });
  for (let i = 0; i < 10_000; i++) {
    queue.submit(owner, {
      start: () => {
        started += 1;
        queue.finished();
      },
    });
  }
  queue.finished();
  assert.equal(started, 10_000);
});
