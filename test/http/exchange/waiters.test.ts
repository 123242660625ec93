/** Several waiters for one event: their order, and what a callback may do to the other waiters. */
import { deepStrictEqual, strictEqual } from 'node:assert/strict';
import { test } from 'node:test';
import { Waiters } from '../../../src/http/exchange/waiters.ts';

test('Waiters.notify() calls those that wait now, in their order', () => {
  const waiters = new Waiters();
  const called: string[] = [];
  const again = (): void => {
    called.push('first');
    waiters.add(again);
  };
  waiters.add(again);
  waiters.add(() => called.push('second'));
  waiters.notify();
  deepStrictEqual(called, ['first', 'second']);
  strictEqual(waiters.size, 1, 'the one that waits again');
});

test('Waiters.notify() does not call one that another has removed', () => {
  const waiters = new Waiters();
  const called: string[] = [];
  const second = (): void => {
    called.push('second');
  };
  waiters.add(() => {
    called.push('first');
    waiters.remove(second);
  });
  waiters.add(second);
  waiters.notify();
  deepStrictEqual(called, ['first']);
  strictEqual(waiters.size, 0);
});

test('Waiters.remove() takes the first out when none is named', () => {
  const waiters = new Waiters();
  const called: string[] = [];
  waiters.add(() => called.push('first'));
  waiters.add(() => called.push('second'));
  waiters.remove();
  waiters.notify();
  deepStrictEqual(called, ['second']);
});
