/** Calls that are made in one turn of the loop leave in one write, whoever makes them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RedisProcess } from '../support/redis-process.ts';
import { TestStore } from '../support/test-store.ts';

const CALLS = 64;
/** redis-cli reads the counts, and is read itself; a PING may come between. */
const OTHER_READS_MAX = 20;

test('Calls of one turn reach the server in one read, and are answered each with its own value', async () => {
  const redis = await RedisProcess.start();
  const store = new TestStore(redis.address);
  try {
    await store.until(/^available/);
    const dictionary = store.dictionary('d');
    for (let i = 0; i < CALLS; i++) await dictionary.store('set', `k${i}`, `s${i}`);
    const before = readsOf(redis);
    const answers = await Promise.all(
      Array.from(
        { length: CALLS },
        (_, i) =>
          // as requests of several connections do: each in a callback of its own
          new Promise((resolve) => {
            setImmediate(() => resolve(dictionary.get(`k${i}`)));
          }),
      ),
    );
    assert.deepEqual(
      answers,
      Array.from({ length: CALLS }, (_, i) => String(i)),
    );
    const reads = readsOf(redis) - before;
    assert.ok(reads <= OTHER_READS_MAX, `${CALLS} calls were ${reads} reads`);
  } finally {
    store.close();
    await redis.stop();
  }
});

/** How often the server has read from a connection so far. */
function readsOf(redis: RedisProcess): number {
  const reads = /^total_reads_processed:(\d+)/m.exec(redis.cli('info', 'stats'))?.[1];
  assert.ok(reads !== undefined, 'Redis counts its reads');
  return Number(reads);
}
