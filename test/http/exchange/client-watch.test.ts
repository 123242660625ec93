/** How an exchange waits for its client: for how long, at which rate, and when the clock stops. */
import { deepStrictEqual, strictEqual } from 'node:assert/strict';
import { test } from 'node:test';
import type { GatewayError } from '../../../src/base/errors.ts';
import { ClientWatch } from '../../../src/http/exchange/client-watch.ts';
import { StallWatch } from '../../../src/http/exchange/stall-watch.ts';

const STALL_MS = 5_000;
const GRACE_MS = 20_000;

class Exchange {
  holdsBackBody = false;
  readonly body = { bytesReceived: 0 };
  readonly failures: string[] = [];

  fail(reason: GatewayError): void {
    this.failures.push(reason.code);
  }
}

function watched(): { exchange: Exchange; watch: ClientWatch; stalls: StallWatch } {
  const exchange = new Exchange();
  const stalls = new StallWatch(STALL_MS);
  const watch = new ClientWatch(exchange, {
    stalls,
    bodyRate: { bytesPerSecondMin: 100, graceMs: GRACE_MS },
  });
  return { exchange, watch, stalls };
}

test('A client that is silent for the time limit, and not before, ends the exchange', () => {
  const { exchange, watch, stalls } = watched();
  watch.start();
  stalls.sweep(watch.waitingSince + STALL_MS - 1);
  deepStrictEqual(exchange.failures, []);
  // the clock has fractions of a millisecond, and sums of them are rounded
  stalls.sweep(watch.waitingSince + STALL_MS + 1);
  deepStrictEqual(exchange.failures, ['LGW_CLIENT_STALLED']);
});

test('A client that we keep from sending the body does not run out of time', () => {
  const { exchange, watch, stalls } = watched();
  exchange.holdsBackBody = true;
  watch.bodyAwaited(true);
  watch.start();
  const startedAt = watch.waitingSince;
  stalls.sweep(startedAt + STALL_MS + 1);
  watch.waits(startedAt + GRACE_MS + STALL_MS);
  deepStrictEqual(exchange.failures, []);
});

test('A body that is waited for beyond its grace has to have come at the least rate', () => {
  const { exchange, watch } = watched();
  const before = performance.now();
  watch.bodyAwaited(true);
  const after = performance.now();
  exchange.body.bytesReceived = 1_000;
  watch.waits(before + GRACE_MS + 10_000 - 1);
  deepStrictEqual(exchange.failures, []);
  // sums of fractions are rounded
  watch.waits(after + GRACE_MS + 10_000 + 1);
  deepStrictEqual(exchange.failures, ['LGW_BODY_TOO_SLOW']);
});

test('No clock of a body runs while nobody waits for it', () => {
  const { exchange, watch } = watched();
  watch.bodyAwaited(true);
  watch.bodyAwaited(false);
  strictEqual(watch.awaitsBody, false);
  watch.waits(performance.now() + 10 * GRACE_MS);
  deepStrictEqual(exchange.failures, []);
});
