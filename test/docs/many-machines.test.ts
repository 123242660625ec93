/** The rights that docs/many-machines.md gives the user of a store are enough for all that gateways do there, and no key of others is among them. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { PACKAGE_ROOT } from '../../src/base/package-info.ts';
import { Lease, type LeaseRefusal, Leases } from '../../src/fleet/leases.ts';
import { SealedEntries } from '../../src/fleet/sealed-entries.ts';
import { RedisProcess } from '../support/redis-process.ts';
import { eventually } from '../support/script-harness.ts';
import { TestGateway } from '../support/test-gateway.ts';
import { patientClient, refusalOf, TestStore } from '../support/test-store.ts';

const SCRIPT = `local httpd = require 'httpd'
local sub = httpd.subscribe('a')
httpd.register_handler('/hear', function() httpd.write(nil, tostring(sub:recv(20))) end)
httpd.register_handler('/purge', function() httpd.cache.purge{tag = 'a'} end)
httpd.register_handler('/say', function() httpd.publish('a', 'hello') end)`;

test('The rights of docs/many-machines.md are enough', async () => {
  const text = readFileSync(join(PACKAGE_ROOT, 'docs/many-machines.md'), 'utf8');
  const words = /^ +ACL (SETUSER .*)$/m.exec(text)?.[1]?.split(' ');
  assert.ok(words !== undefined);
  const redis = await RedisProcess.start();
  assert.equal(redis.cli('acl', ...words), 'OK');
  const address = `redis://gateway:PASSWORD@127.0.0.1:${redis.port}`;
  const store = new TestStore(address);
  const dictionary = store.dictionary('d', { near: true });
  await dictionary.store('set', 'a', 's1', 60_000);
  assert.equal(await dictionary.get('a'), '1');
  assert.equal(dictionary.dictionary.peek('a'), '1');
  assert.equal(await dictionary.incr('n', 1n, 5n, 0, 10n), 6n);
  assert.equal(await dictionary.incr('n', 1n, 5n, 0, 10n), 11n);
  assert.equal(await dictionary.incr('n', 0.5), 11.5);
  await dictionary.expire('n', 60_000);
  await dictionary.expire('n', 0);
  assert.equal(await dictionary.ttl('n'), 0);
  assert.deepEqual((await dictionary.keys()).toSorted(), ['a', 'n']);
  assert.equal(await dictionary.delete('a'), true);
  await dictionary.flush();
  const leases = new Leases(patientClient(store.client));
  const take = (): Promise<Lease | LeaseRefusal> =>
    new Promise((resolve) => leases.take('job', 0, resolve, () => undefined));
  const lease = await take();
  assert.ok(lease instanceof Lease);
  lease.release(true);
  await eventually(async () => assert.ok((await take()) instanceof Lease));
  const entries = new SealedEntries(patientClient(store.client), 's'.repeat(32));
  assert.deepEqual([...(await entries.agree('x', new Uint8Array([1]), 60_000))], [1]);
  assert.equal(store.failures, 0);
  // scripts stand in for functions where there are none
  redis.cli('acl', 'setuser', 'gateway', '-fcall');
  assert.equal(await store.dictionary('d').incr('m', 1n, 0n), 1n);
  redis.cli('acl', 'setuser', 'gateway', '+fcall');

  const storeWords = ['--store', address];
  const gateways = await Promise.all(
    [1, 2].map(() => TestGateway.start({ '/': SCRIPT }, { keeps: true, words: storeWords })),
  );
  const heard = gateways[1]?.ask('h2', '/hear');
  let isHeard = false;
  void heard?.then(() => {
    isHeard = true;
  });
  await eventually(async () => {
    await gateways[0]?.ask('h2', '/say');
    assert.ok(isHeard);
  });
  assert.equal((await heard)?.text, 'hello');
  await gateways[0]?.ask('h2', '/purge');
  // the mark, and what stands for the table
  await eventually(() => assert.equal(redis.cli('zcard', 'lg::purges'), '3'));
  for (const gateway of gateways) {
    assert.doesNotMatch(gateway.log, /NOPERM|refuses/);
    await gateway.stop();
  }
  redis.cli('acl', 'setuser', 'gateway', 'resetkeys', '~other:*');
  assert.match(await refusalOf(store.dictionary('d').get('a')), /^denied/);
  store.close();
  await redis.stop();
});
