import { deepEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';
import { createLogger } from '../../../src/base/logger.ts';
import {
  type BodyHolder,
  CONNECTION_BYTES_MIN,
  READ_AHEAD_BYTES,
  TIGHT_READ_AHEAD_BYTES,
  UnreadBodies,
} from '../../../src/http/exchange/unread-bodies.ts';
import { Counters } from '../../../src/metrics/worker-metrics.ts';

const KIB = 1024;
const BUDGET = 1024 * KIB;

/** A connection that accepts to be held back, unless a handler waits for its client. */
class Holder implements BodyHolder {
  unreadBytes = 0;
  isHeldBack = false;
  awaited = false;

  holdBack(): void {
    this.isHeldBack = !this.awaited;
  }

  letGo(): void {
    this.isHeldBack = false;
  }
}

function budget(bytesMax = BUDGET): { bodies: UnreadBodies; counters: Counters; lines: string[] } {
  const lines: string[] = [];
  const counters = new Counters();
  return {
    bodies: new UnreadBodies(
      bytesMax,
      counters,
      createLogger('debug', 'test', (line) => lines.push(line)),
    ),
    counters,
    lines,
  };
}

test('Below half of the budget bodies are read far ahead, from there on less far, until much of it is free again', () => {
  const { bodies, counters } = budget();
  const holder = new Holder();
  bodies.change(holder, BUDGET / 2 - 1);
  equal(bodies.readAheadBytes, READ_AHEAD_BYTES);
  bodies.change(holder, 1);
  equal(bodies.readAheadBytes, TIGHT_READ_AHEAD_BYTES);
  bodies.change(holder, -BUDGET / 8);
  equal(bodies.readAheadBytes, TIGHT_READ_AHEAD_BYTES);
  bodies.change(holder, -1);
  equal(bodies.readAheadBytes, READ_AHEAD_BYTES);
  equal(counters.get('unreadBodyBytes'), bodies.bytes);
  bodies.change(holder, -bodies.bytes);
  equal(counters.get('unreadBodyBytes'), 0);
  equal(holder.unreadBytes, 0);
});

test('One byte below the budget nobody is held back; with it those are that hold more than a little, as they bring more', () => {
  const { bodies, lines } = budget();
  const [large, small, awaited] = [new Holder(), new Holder(), new Holder()];
  awaited.awaited = true;
  bodies.change(large, BUDGET - CONNECTION_BYTES_MIN - 1);
  bodies.change(small, CONNECTION_BYTES_MIN);
  equal(bodies.isFull, false);
  deepEqual([large.isHeldBack, small.isHeldBack, lines.length], [false, false, 0]);
  bodies.change(awaited, 2 * CONNECTION_BYTES_MIN);
  equal(bodies.isFull, true);
  equal(lines.length, 1);
  equal(lines[0]?.includes('--max-unread-bodies'), true);
  deepEqual([large.isHeldBack, small.isHeldBack, awaited.isHeldBack], [false, false, false]);
  bodies.change(large, 1);
  bodies.change(small, 1);
  deepEqual([large.isHeldBack, small.isHeldBack, awaited.isHeldBack], [true, true, false]);
});

test('A connection is read again when somebody waits for it, and when it holds but a little', () => {
  const { bodies } = budget();
  const [one, other] = [new Holder(), new Holder()];
  bodies.change(one, BUDGET);
  bodies.change(other, 2 * CONNECTION_BYTES_MIN);
  deepEqual([one.isHeldBack, other.isHeldBack], [true, true]);
  bodies.letGo(one);
  equal(one.isHeldBack, false);
  bodies.letGo(one);
  bodies.change(other, -CONNECTION_BYTES_MIN);
  equal(other.isHeldBack, false);
  bodies.change(one, 1);
  equal(one.isHeldBack, true);
});

test('When there is room again, connections are read again a few at a time, and all of them in the end', () => {
  const { bodies } = budget();
  const holders = Array.from({ length: 16 }, () => new Holder());
  for (const holder of holders) bodies.change(holder, 64 * KIB);
  for (const holder of holders) bodies.change(holder, 1);
  const heldBack = (): number => holders.filter(({ isHeldBack }) => isHeldBack).length;
  equal(heldBack(), 16);
  const last = new Holder();
  bodies.change(last, 1);
  // up to seven eighths of the budget, which leaves room for two reads
  const away = holders[0] as Holder;
  bodies.change(away, -CONNECTION_BYTES_MIN);
  bodies.change(holders[1] as Holder, -CONNECTION_BYTES_MIN);
  bodies.change(holders[2] as Holder, -CONNECTION_BYTES_MIN);
  equal(bodies.isFull, true);
  equal(heldBack(), 16);
  bodies.change(holders[3] as Holder, -CONNECTION_BYTES_MIN - 18);
  equal(bodies.isFull, false);
  equal(heldBack(), 13);
  for (let sweeps = 0; sweeps < 8; sweeps++) bodies.sweep();
  equal(heldBack(), 0);
});
