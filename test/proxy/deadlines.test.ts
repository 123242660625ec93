import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Deadlines, type Waiting } from '../../src/proxy/deadlines.ts';

class Waiter implements Waiting {
  readonly deadline: number;
  readonly #deadlines: Deadlines;
  readonly #expired: (waiter: Waiter) => void;
  place = 0;

  constructor(deadlines: Deadlines, deadline: number, expired: (waiter: Waiter) => void) {
    this.deadline = deadline;
    this.#deadlines = deadlines;
    this.#expired = expired;
    deadlines.add(this);
  }

  remove(): void {
    this.#deadlines.remove(this);
  }

  expired(): void {
    this.remove();
    this.#expired(this);
  }
}

test('Deadlines ends all that are due, whoever has gone before them and between them', async () => {
  const deadlines = new Deadlines();
  const due = 8;
  const ended: Waiter[] = [];
  const waiters: Waiter[] = [];
  // the clock of the deadlines does not keep the process alive
  const alive = setInterval(() => undefined, 1000);
  await new Promise<void>((resolve) => {
    const end = (waiter: Waiter): void => {
      ended.push(waiter);
      if (ended.length === due) resolve();
    };
    for (let i = 0; i < 2 * due; i++)
      waiters.push(new Waiter(deadlines, i % 2 === 0 ? 0 : Number.POSITIVE_INFINITY, end));
    const more = [0, 1, 2].map(() => new Waiter(deadlines, 0, end));
    for (const waiter of more) waiter.remove();
    // one that has gone goes once
    more[0]?.remove();
  });
  clearInterval(alive);
  assert.deepEqual(new Set(ended), new Set(waiters.filter((_waiter, i) => i % 2 === 0)));
  assert.equal(deadlines.size, due);
  for (const waiter of waiters) waiter.remove();
  assert.equal(deadlines.size, 0);
});
