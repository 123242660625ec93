/** Ticket keys in common: the same on all machines, sealed in the store, and there again when the store has lost them. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { createLogger } from '../../src/base/logger.ts';
import { SealedEntries } from '../../src/fleet/sealed-entries.ts';
import { SharedTickets } from '../../src/fleet/shared-tickets.ts';
import { createTicketKeys, TICKET_KEYS_MAX, TicketKeyRing } from '../../src/tls/ticket-keys.ts';
import { RedisProcess } from '../support/redis-process.ts';
import { eventually } from '../support/script-harness.ts';
import { patientClient, TestStore } from '../support/test-store.ts';

const SECRET = 's'.repeat(32);
const HOUR_MS = 3_600_000;

let redis: RedisProcess;
before(async () => {
  redis = await RedisProcess.start();
});
after(() => redis?.stop());

/** One of a fleet; `offset`: hours that its clock is ahead. */
class Machine {
  readonly store: TestStore;
  readonly log: string[] = [];
  keys: readonly Uint8Array[] = [];
  readonly tickets: SharedTickets;

  constructor(secret = SECRET, periodMs = HOUR_MS) {
    this.store = new TestStore(redis.address);
    this.tickets = new SharedTickets({
      entries: new SealedEntries(patientClient(this.store.client), secret),
      logger: createLogger('debug', 'test', (line) => this.log.push(line)),
      periodMs,
      count: TICKET_KEYS_MAX,
      create: createTicketKeys,
      adopt: (keys) => {
        this.keys = keys;
      },
    });
    this.tickets.start();
  }

  async ready(): Promise<readonly string[]> {
    await eventually(() => assert.ok(this.keys.length >= 2));
    return this.keys.map((key) => Buffer.from(key).toString('hex'));
  }

  close(): void {
    this.tickets.stop();
    this.store.close();
  }
}

test('All machines have the same keys, whoever comes first, and the store holds none that can be read', async () => {
  const machines = [new Machine(), new Machine(), new Machine()];
  const [first, ...others] = await Promise.all(machines.map((machine) => machine.ready()));
  assert.ok(first !== undefined);
  // an hour may have begun meanwhile
  for (const keys of others) assert.ok(keys.some((key) => first.includes(key)));
  const names = redis.cli('--scan', '--pattern', 'lg::sealed:*').split('\n');
  assert.ok(names.length >= 2);
  for (const name of names) {
    const sealed = redis.cli('--no-raw', 'get', name);
    for (const key of first) assert.ok(!sealed.includes(key.slice(0, 16)));
    assert.ok(Number(redis.cli('pttl', name)) <= TICKET_KEYS_MAX * HOUR_MS);
  }
  for (const machine of machines) machine.close();
});

test('The keys go on in time: the next ones make tickets, those before still read', async () => {
  // a period of a second stands for the hour
  const [one, two] = [new Machine(SECRET, 1000), new Machine(SECRET, 1000)];
  await Promise.all([one.ready(), two.ready()]);
  let newest = one.keys[0] as Uint8Array;
  await eventually(() => {
    // a machine that has stood still for five periods has forgotten it
    if (!one.keys.includes(newest)) newest = one.keys[0] as Uint8Array;
    assert.ok(one.keys.indexOf(newest) >= 2);
  });
  await eventually(() => {
    assert.equal(one.keys.length, TICKET_KEYS_MAX);
    const known = new Set(two.keys.map((key) => String(key)));
    assert.ok(one.keys.filter((key) => known.has(String(key))).length >= TICKET_KEYS_MAX - 1);
  });
  for (const machine of [one, two]) machine.close();
});

test('What was sealed with another secret, or stands elsewhere, is refused and told of without a secret', async () => {
  redis.cli('flushall');
  const first = new Machine();
  await first.ready();
  const other = new Machine('another secret of 32 bytes or more');
  await eventually(() =>
    assert.match(other.log.join('\n'), /sealed with another secret than that of --store-secret/),
  );
  assert.equal(other.keys.length, 0);
  assert.ok(!other.log.join('\n').includes('another secret of 32'));
  const store = new TestStore(redis.address);
  const entries = new SealedEntries(patientClient(store.client), SECRET);
  assert.deepEqual([...(await entries.agree('a', new Uint8Array([1, 2]), 60_000))], [1, 2]);
  assert.deepEqual([...(await entries.agree('a', new Uint8Array([3]), 60_000))], [1, 2]);
  redis.cli('copy', 'lg::sealed:a', 'lg::sealed:b');
  await assert.rejects(entries.get('b'), /sealed with another secret/);
  redis.cli('set', 'lg::sealed:c', 'x');
  await assert.rejects(entries.get('c'), /sealed with another secret/);
  assert.equal(await entries.get('none'), undefined);
  for (const one of [first, other, store]) one.close();
});

test('A ring takes keys that others have, keeps its own while there is room, and makes some again when none come', async () => {
  const ring = new TicketKeyRing(200);
  const [own] = ring.keys;
  let changes = 0;
  const keepsRunning = setInterval(() => undefined, 1000);
  ring.start(() => {
    changes += 1;
  });
  const shared = [createTicketKeys(), createTicketKeys()];
  ring.adopt(shared);
  ring.adopt([...shared]);
  assert.deepEqual(ring.keys, [...shared, own]);
  assert.equal(changes, 1);
  const many = Array.from({ length: TICKET_KEYS_MAX }, createTicketKeys);
  ring.adopt(many);
  assert.deepEqual(ring.keys, many);
  await eventually(() => assert.ok(!many.includes(ring.keys[0] as Uint8Array)));
  ring.stop();
  clearInterval(keepsRunning);
});
