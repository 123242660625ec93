/** Ticket keys change with time, and those of the sessions that can still be resumed stay. */
import { deepEqual, equal, notDeepEqual } from 'node:assert/strict';
import { test } from 'node:test';
import { TICKET_KEY_BYTES, TICKET_KEYS_MAX, TicketKeyRing } from '../../src/tls/ticket-keys.ts';

test('TicketKeyRing makes new keys in each period, and keeps those before up to its limit', async () => {
  const ring = new TicketKeyRing(1);
  const first = ring.keys;
  equal(first.length, 1);
  equal(first[0]?.length, TICKET_KEY_BYTES);
  const seen: (readonly Uint8Array[])[] = [];
  await new Promise<void>((resolve) => {
    const keepsRunning = setInterval(() => undefined, 1000);
    ring.start(() => {
      seen.push(ring.keys);
      if (seen.length < TICKET_KEYS_MAX + 2) return;
      ring.stop();
      clearInterval(keepsRunning);
      resolve();
    });
  });
  equal(first.length, 1);
  deepEqual(
    seen.map((keys) => keys.length),
    [2, 3, 4, 5, 5, 5, 5],
  );
  for (const [i, keys] of seen.entries()) {
    const before = seen[i - 1] ?? first;
    deepEqual(keys.slice(1), before.slice(0, TICKET_KEYS_MAX - 1));
    notDeepEqual(keys[0], before[0]);
  }
});
