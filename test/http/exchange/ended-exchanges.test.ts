/** Exchanges that are over: those of one read are told of together, with one time of begin and one of end. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  beginTime,
  beginTurn,
  endTurn,
  exchangeEnded,
  tellEnded,
} from '../../../src/http/exchange/ended-exchanges.ts';
import type { Exchange } from '../../../src/http/exchange/exchange.ts';
import type { ExchangeObserver } from '../../../src/http/exchange/exchange-wire.ts';

interface Told {
  readonly exchange: Exchange;
  readonly startedAt: number | undefined;
  readonly endedAt: number;
}

function recorder(): { readonly told: Told[]; readonly observers: readonly ExchangeObserver[] } {
  const told: Told[] = [];
  return {
    told,
    observers: [(exchange, startedAt, endedAt) => told.push({ exchange, startedAt, endedAt })],
  };
}

const exchange = (): Exchange => ({}) as Exchange;

test('Without a turn an exchange that is over is told of at once, and each has its time', () => {
  const { told, observers } = recorder();
  const before = performance.now();
  const startedAt = beginTime();
  assert.ok(startedAt >= before);
  const one = exchange();
  exchangeEnded(one, startedAt, observers);
  assert.equal(told.length, 1);
  assert.equal(told[0]?.exchange, one);
  assert.ok((told[0]?.endedAt ?? 0) >= startedAt);
});

test('In a turn exchanges begin at one time, and are told of in their order at its end, with one time', () => {
  const { told, observers } = recorder();
  beginTurn();
  const all = Array.from({ length: 5 }, () => ({ one: exchange(), startedAt: beginTime() }));
  for (const { one, startedAt } of all) exchangeEnded(one, startedAt, observers);
  assert.equal(told.length, 0);
  const before = performance.now();
  endTurn();
  assert.deepEqual(
    told.map((each) => each.exchange),
    all.map(({ one }) => one),
  );
  assert.equal(new Set(told.map(({ startedAt }) => startedAt)).size, 1);
  assert.equal(new Set(told.map(({ endedAt }) => endedAt)).size, 1);
  assert.ok((told[0]?.endedAt ?? 0) >= before, 'the end is that of the turn');
  endTurn();
  assert.equal(told.length, 5);
  assert.ok(beginTime() >= before, 'the next turn has a time of its own');
});

test('A turn that begins ends the one before; other observers, and a wait of 128, are told before the end', () => {
  const [first, second] = [recorder(), recorder()];
  beginTurn();
  exchangeEnded(exchange(), 1, first.observers);
  exchangeEnded(exchange(), 1, second.observers);
  assert.deepEqual([first.told.length, second.told.length], [1, 0]);
  beginTurn();
  assert.equal(second.told.length, 1);
  for (let i = 0; i < 130; i++) exchangeEnded(exchange(), 1, second.observers);
  assert.equal(second.told.length, 129);
  tellEnded();
  assert.equal(second.told.length, 131);
  endTurn();
  exchangeEnded(exchange(), 1, []);
  assert.equal(second.told.length, 131);
});
