/** OperationQueue: its bound, and the order between owners. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { OperationOwner, OperationQueue } from '../../src/file/operation-queue.ts';
import { NOTHING, type Share, Shares } from '../../src/mapping/shares.ts';

test('OperationQueue starts no more operations than its limit', () => {
  const queue = new OperationQueue(2);
  const owner = new OperationOwner();
  let started = 0;
  for (let i = 0; i < 5; i++) queue.submit(owner, { start: () => (started += 1) });
  assert.equal(started, 2);
  queue.finished(owner);
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
  for (let i = 0; i < 7; i++) queue.finished(a);
  assert.deepEqual(order, ['a0', 'a1', 'b0', 'c0', 'a2', 'b1', 'a3']);
  assert.equal(queue.inFlight, 0);
});

test('OperationQueue gives mappings their turns, however many owners one of them has', () => {
  const queue = new OperationQueue(1);
  const shares = new Shares({ limits: NOTHING, percent: 50 });
  const order: string[] = [];
  const running: OperationOwner[] = [];
  const submit = (share: Share, name: string): void => {
    const owner = new OperationOwner(share);
    const start = (): void => {
      order.push(name);
      running.push(owner);
    };
    queue.submit(owner, { start });
  };
  const [hog, honest] = [shares.of('/hog'), shares.of('/honest')];
  for (let i = 0; i < 5; i++) submit(hog, `hog ${i}`);
  submit(honest, 'honest 0');
  submit(honest, 'honest 1');
  for (let i = 0; i < 7; i++) queue.finished(running.shift() as OperationOwner);
  assert.deepEqual(order, ['hog 0', 'hog 1', 'honest 0', 'hog 2', 'honest 1', 'hog 3', 'hog 4']);
  assert.equal(queue.inFlight, 0);
});

test('OperationQueue leaves places to others while the operations of one mapping do not end', () => {
  const queue = new OperationQueue(4, 3);
  const shares = new Shares({ limits: NOTHING, percent: 50 });
  const [hung, other] = [shares.of('/hung'), shares.of('/other')];
  const begun: string[] = [];
  const submit = (owner: OperationOwner, name: string): OperationOwner => {
    queue.submit(owner, { start: () => begun.push(name) });
    return owner;
  };
  const [first] = Array.from({ length: 6 }, (_, i) => submit(new OperationOwner(hung), `hung ${i}`));
  assert.deepEqual(begun, ['hung 0', 'hung 1', 'hung 2']);
  const one = submit(new OperationOwner(other), 'other 0');
  submit(new OperationOwner(other), 'other 1');
  assert.deepEqual([begun.at(-1), queue.inFlight], ['other 0', 4]);
  queue.finished(one);
  assert.deepEqual([begun.at(-1), queue.inFlight], ['other 1', 4]);
  queue.finished(one);
  // a load and the gateway itself are not held up either
  submit(new OperationOwner(hung, true), 'load');
  assert.deepEqual([begun.at(-1), queue.inFlight], ['load', 4]);
  queue.finished(first as OperationOwner);
  assert.deepEqual([begun.at(-1), queue.inFlight], ['hung 3', 4]);
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
  queue.finished(owner);
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
        queue.finished(owner);
      },
    });
  }
  queue.finished(owner);
  assert.equal(started, 10_000);
});
