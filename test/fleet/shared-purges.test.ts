/** What one machine purges of the cache the others do not use any more, whatever becomes of messages, of the store or of a machine. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { createLogger } from '../../src/base/logger.ts';
import { CUT_OFF_MS } from '../../src/cache/cache-limits.ts';
import { CommonMarks } from '../../src/cache/common-marks.ts';
import {
  ALL_MARK,
  createPurgeMemory,
  MARK_END,
  type MarkedAnswer,
  PurgeMarks,
  WORD,
} from '../../src/cache/purge-marks.ts';
import { SharedPurges } from '../../src/fleet/shared-purges.ts';
import type { StoreClient } from '../../src/store/store-client.ts';
import { type RedisCluster, RedisProcess, startCluster } from '../support/redis-process.ts';
import { eventually } from '../support/script-harness.ts';
import { patientClient, TestStore } from '../support/test-store.ts';

const CHANNEL = 'lg:events:0:purges';

let redis: RedisProcess;
let cluster: RedisCluster;
before(async () => {
  [redis, cluster] = await Promise.all([RedisProcess.start(), startCluster()]);
});
after(async () => {
  await Promise.all([redis?.stop(), cluster?.stop()]);
});

/** The purges of one machine, with the marks of two of its threads. Messages come only where a test gives them. */
class Machine {
  readonly memory: SharedArrayBuffer = createPurgeMemory(true);
  readonly table: CommonMarks = new CommonMarks(this.memory);
  readonly marks: PurgeMarks = new PurgeMarks(this.memory);
  readonly other: PurgeMarks = new PurgeMarks(this.memory);
  readonly log: string[] = [];
  readonly store: TestStore;
  readonly purges: SharedPurges;
  readonly published: string[] = [];

  constructor(address: string) {
    this.store = new TestStore(address);
    const client = patientClient(this.store.client);
    const recording: StoreClient = {
      place: client.place,
      call: (...words) => client.call(...words),
      publish: (_channel, text) => this.published.push(text),
      findMasters: (...words) => client.findMasters(...words),
      close: () => client.close(),
    };
    const logger = createLogger('debug', 'test', (line) => this.log.push(line));
    this.purges = new SharedPurges({ client: recording, channel: CHANNEL, table: this.table, logger });
    for (const marks of [this.marks, this.other])
      marks.onPurge = (mark, epoch) => this.purges.take([mark], epoch);
  }

  /** An answer with this tag that was asked for now. */
  answer(tag: string, askedAt: number = performance.now()): MarkedAnswer {
    return { marks: [this.marks.ofTag(tag)], purgesBefore: this.marks.number, askedAt };
  }

  get pending(): number {
    return new Int32Array(this.memory, WORD.pending * 4).reduce((sum, count) => sum + Math.abs(count), 0);
  }

  /** Learns nothing more by itself. Resolves when the last question to the store, if there is one, is answered. */
  async cutOff(): Promise<void> {
    this.purges.close();
    // answers come in the order of the questions
    await this.store.dictionary('d').get('nothing');
  }

  async joined(): Promise<this> {
    await eventually(() => assert.notEqual(this.table.epoch, ''));
    return this;
  }

  close(): void {
    this.purges.close();
    this.store.close();
  }
}

async function withMachines(
  address: string,
  run: (one: Machine, two: Machine) => Promise<void>,
): Promise<void> {
  const [one, two] = [new Machine(address), new Machine(address)];
  try {
    await Promise.all([one.joined(), two.joined()]);
    await run(one, two);
  } finally {
    one.close();
    two.close();
  }
}

for (const kind of ['one server', 'a cluster'] as const)
  test(`A purge holds at once where it was made, and in the other machine when it asks, over ${kind}`, async () => {
    await withMachines(kind === 'a cluster' ? cluster.address : redis.address, async (one, two) => {
      assert.equal(one.table.epoch, two.table.epoch);
      assert.equal(one.marks.ofTag('news'), two.marks.ofTag('news'));
      const [here, there] = [one.answer('news'), two.answer('news')];
      const others = [one.answer('else'), two.answer('else')];
      one.other.purgeTag('news');
      assert.ok(one.marks.isPurged(here));
      await eventually(() => assert.ok(two.marks.isPurged(there)));
      assert.ok(
        !one.marks.isPurged(others[0] as MarkedAnswer) && !two.other.isPurged(others[1] as MarkedAnswer),
      );
      await eventually(() => assert.equal(one.pending, 0));
      await eventually(() => assert.equal(one.table.known, two.table.known));
      const all = two.answer('else');
      two.marks.purgeAll();
      assert.ok(two.marks.isPurged(all));
      await eventually(() => assert.ok(one.marks.isPurged(others[0] as MarkedAnswer)));
    });
  });

test('A message brings a purge without a question, and one that was missed is asked for', async () => {
  await withMachines(redis.address, async (one, two) => {
    await two.cutOff();
    const there = two.answer('a');
    one.marks.purgeTag('a');
    await eventually(() => assert.equal(one.published.length, 1));
    await eventually(() => assert.equal(one.table.known, Number(one.published[0]?.split(' ')[1])));
    two.purges.received(Buffer.from(one.published[0] as string));
    assert.ok(two.marks.isPurged(there));
    assert.equal(two.table.known, one.table.known);
    // the second message is lost
    const [second, third] = [two.answer('b'), two.answer('c')];
    one.marks.purgeTag('b');
    await eventually(() => assert.equal(one.published.length, 2));
    one.marks.purgeTag('c');
    await eventually(() => assert.equal(one.published.length, 3));
    two.purges.received(Buffer.from(one.published[2] as string));
    await eventually(() => assert.ok(two.marks.isPurged(second) && two.marks.isPurged(third)));
    assert.equal(two.table.known, one.table.known);
  });
});

test('What strangers publish as a purge is left alone', async () => {
  await withMachines(redis.address, async (one) => {
    const kept = one.answer('a');
    const { epoch, known } = one.table;
    const wrong = [
      '',
      'x',
      `${epoch} ${known + 1} `,
      `${epoch} ${known + 1} ${MARK_END}`,
      `${epoch} ${known + 1} ${ALL_MARK - 1}`,
      `${epoch} ${known} ${ALL_MARK}`,
      `${'0'.repeat(16)} ${known + 1} ${ALL_MARK}`,
      `${epoch} ${known + 1} ${'70000,'.repeat(2000)}3`,
    ];
    for (const text of wrong) one.purges.received(Buffer.from(text));
    assert.ok(!one.marks.isPurged(kept));
    assert.equal(one.table.known, known);
  });
});

test('A machine that was cut off gets what was purged meanwhile, and gives what it has purged', async () => {
  const other = await RedisProcess.start();
  await withMachines(other.address, async (one, two) => {
    const [first, second] = [two.answer('first'), one.answer('second')];
    await two.cutOff();
    one.marks.purgeTag('first');
    await eventually(() => assert.equal(one.pending, 0));
    assert.ok(!two.marks.isPurged(first));
    // now nobody reaches the store
    await other.freeze();
    const kept = two.answer('kept');
    two.marks.purgeTag('second');
    assert.ok(two.pending > 0);
    other.thaw();
    two.purges.ask();
    await eventually(() => assert.ok(two.marks.isPurged(first)));
    await eventually(() => {
      two.purges.ask();
      assert.equal(two.pending, 0);
    });
    await eventually(() => assert.ok(one.marks.isPurged(second)));
    assert.ok(!two.marks.isPurged(kept));
  });
  await other.stop();
});

test('A store that has lost its entries makes all machines purge all, and their purges count again', async () => {
  const other = await RedisProcess.start();
  await withMachines(other.address, async (one, two) => {
    one.marks.purgeTag('x');
    await eventually(() => assert.equal(one.pending, 0));
    const { epoch } = one.table;
    const [here, there] = [one.answer('a'), two.answer('a')];
    other.cli('flushall');
    // made with marks that mean nothing any more
    one.marks.purgeTag('b');
    await eventually(() => assert.ok(one.marks.isPurged(here) && two.marks.isPurged(there)));
    await eventually(() => assert.equal(one.table.epoch, two.table.epoch));
    assert.notEqual(one.table.epoch, epoch);
    await eventually(() => assert.equal(one.pending, 0));
    const again = two.answer('c');
    one.marks.purgeTag('c');
    await eventually(() => assert.ok(two.marks.isPurged(again)));
    await eventually(() => assert.equal(one.pending, 0));
  });
  await other.stop();
});

test('More purges than one step takes go in several, each mark once', async () => {
  await withMachines(redis.address, async (one, two) => {
    const tags = Array.from({ length: 3000 }, (_, i) => `tag ${i % 1500}`);
    const there = tags.map((tag) => two.answer(tag));
    for (const tag of tags) one.marks.purgeTag(tag);
    await eventually(() => assert.ok(there.every((answer) => two.marks.isPurged(answer))));
    await eventually(() => assert.equal(one.pending, 0));
    assert.ok(Number(redis.cli('zcard', 'lg::purges')) <= MARK_END);
  });
});

test('A user without the rights is told of, and purges hold on this machine', async () => {
  const other = await RedisProcess.start();
  other.cli('acl', 'setuser', 'ann', 'on', '>pass', '~lg:*', '+@all', '-@scripting', 'allchannels');
  const machine = new Machine(`redis://ann:pass@127.0.0.1:${other.port}`);
  await eventually(() =>
    assert.match(machine.log.join('\n'), /Purges of the cache do not go to other machines.*NOPERM/),
  );
  const kept = machine.answer('a');
  machine.marks.purgeTag('a');
  assert.ok(machine.marks.isPurged(kept));
  machine.close();
  await other.stop();
});

test('An answer is doubtful when the store was not heard of for the limit, and it is older than that', () => {
  const memory = createPurgeMemory(true);
  const [marks, table] = [new PurgeMarks(memory), new CommonMarks(memory)];
  // a whole number, as sums of others are rounded
  const start = Math.ceil(performance.now());
  const answer = { marks: [], purgesBefore: marks.number, askedAt: start };
  assert.ok(!marks.isDoubtful(answer, start + CUT_OFF_MS));
  assert.ok(marks.isDoubtful(answer, start + CUT_OFF_MS + 1));
  table.adopt('0123456789abcdef');
  table.heard(start + 50_000);
  assert.ok(!marks.isDoubtful(answer, start + 50_000 + CUT_OFF_MS));
  assert.ok(marks.isDoubtful(answer, start + 50_200 + CUT_OFF_MS));
  const alone = new PurgeMarks(createPurgeMemory());
  assert.ok(!alone.isDoubtful({ ...answer, purgesBefore: alone.number }, start + 1e9));
});
