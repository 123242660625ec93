/** Sealed entries: their stamps, and what is too long for one. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { SEALED_BYTES_MAX, SealedEntries } from '../../src/fleet/sealed-entries.ts';
import { RedisProcess } from '../support/redis-process.ts';
import { patientClient, refusalOf, TestStore } from '../support/test-store.ts';

let redis: RedisProcess;
let store: TestStore;
before(async () => {
  redis = await RedisProcess.start();
  store = new TestStore(redis.address);
  await store.until(/^available/);
});
after(async () => {
  store?.close();
  await redis?.stop();
});

test('An entry has another stamp each time that it is written, with the same content, too', async () => {
  const entries = new SealedEntries(patientClient(store.client), 's'.repeat(32));
  assert.equal(await entries.stamp('a'), '');
  const content = Buffer.alloc(100_000, 'x');
  const stamp = await entries.put('a', content);
  assert.equal(await entries.stamp('a'), stamp);
  const read = await entries.read('a');
  assert.equal(read.stamp, stamp);
  assert.deepEqual(Buffer.from(read.bytes ?? []), content);
  assert.notEqual(await entries.put('a', content, 10_000), stamp);
  assert.ok(Number(redis.cli('pttl', 'lg::sealed:a')) <= 10_000);
});

test('An entry that is too long is neither written nor read', async () => {
  const entries = new SealedEntries(patientClient(store.client), 's'.repeat(32));
  await entries.put('b', Buffer.alloc(SEALED_BYTES_MAX - 28));
  assert.equal((await entries.get('b'))?.length, SEALED_BYTES_MAX - 28);
  assert.match(
    await refusalOf(entries.put('b', Buffer.alloc(SEALED_BYTES_MAX - 27))),
    /^limit: The entry "lg::sealed:b" .+ would have \d+ bytes .+ the limit is 262144/,
  );
  redis.cli('append', 'lg::sealed:b', 'x');
  assert.match(await refusalOf(entries.get('b')), /^invalid: .+ is longer than 262144 bytes/);
});
