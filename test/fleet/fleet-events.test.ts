/** What is published on one machine reaches the others over a store, once each, and never waits for it. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, test } from 'node:test';
import { createLogger } from '../../src/base/logger.ts';
import { readStoreAddress } from '../../src/base/store-address.ts';
import { CommonMarks } from '../../src/cache/common-marks.ts';
import { createPurgeMemory } from '../../src/cache/purge-marks.ts';
import { EventHub } from '../../src/events/event-hub.ts';
import { BYTES_ON_THE_WAY_MAX, MESSAGE_BYTES_MAX } from '../../src/events/event-limits.ts';
import type { Subscription } from '../../src/events/subscription.ts';
import { createEventShare } from '../../src/events/text-events.ts';
import { decodeItems, encodeBatch, senderOf } from '../../src/fleet/event-batch.ts';
import { Fleet } from '../../src/fleet/fleet.ts';
import { EventMesh } from '../../src/supervisor/event-mesh.ts';
import { type RedisCluster, RedisProcess, startCluster } from '../support/redis-process.ts';
import { eventually } from '../support/script-harness.ts';

let redis: RedisProcess;
let cluster: RedisCluster;
before(async () => {
  [redis, cluster] = await Promise.all([RedisProcess.start(), startCluster()]);
});
after(async () => {
  await Promise.all([redis?.stop(), cluster?.stop()]);
});

/** One gateway, with two threads that publish and subscribe. */
class Machine {
  readonly hubs: readonly EventHub[];
  readonly fleet: Fleet;
  readonly log: string[] = [];
  readonly share = createEventShare('test');
  #published = 0;

  constructor(address: string) {
    const read = readStoreAddress(address);
    if (read === undefined) throw new RangeError(address);
    const mesh = new EventMesh(2, true);
    const logger = createLogger('debug', 'test', (line) => this.log.push(line));
    this.fleet = new Fleet({
      store: { address: read, ca: undefined },
      logger,
      interest: mesh.interest,
      thread: mesh.relayThread,
      purges: new CommonMarks(createPurgeMemory(true)),
    });
    this.hubs = [1, 2].map((thread) => {
      const hub = new EventHub(thread, mesh.interest);
      mesh.join(thread, (end) => hub.connect(end));
      return hub;
    });
    mesh.join(mesh.relayThread, (end) => this.fleet.relay.connect(end));
  }

  get hub(): EventHub {
    return this.hubs[0] as EventHub;
  }

  publish(channel: string, text: string): void {
    this.#published += 1;
    this.hub.publish(channel, text);
  }

  /** Until the fate of all that was published here is known. */
  async untilSettled(): Promise<void> {
    const { counts } = this.fleet.relay;
    await eventually(() => assert.equal(counts.sent + counts.lost, this.#published));
  }

  subscribe(...channels: readonly string[]): Subscription[] {
    return this.hubs.map((hub) => hub.subscribe(channels, this.share));
  }

  async untilLogged(pattern: RegExp): Promise<void> {
    await eventually(() => assert.match(this.log.join('\n'), pattern));
  }

  close(): void {
    for (const hub of this.hubs) hub.close();
    this.fleet.close();
  }
}

function take(subscription: Subscription): string[] {
  const taken: string[] = [];
  for (let next = subscription.take(); next !== undefined; next = subscription.take())
    taken.push(`${next.lost > 0 ? `(${next.lost}) ` : ''}${next.channel}:${next.text}`);
  return taken;
}

async function withMachines(
  address: string,
  count: number,
  run: (machines: readonly Machine[]) => Promise<void>,
): Promise<void> {
  const machines = Array.from({ length: count }, () => new Machine(address));
  try {
    await untilJoined(machines);
    await run(machines);
  } finally {
    for (const machine of machines) machine.close();
  }
}

let joins = 0;

/** Until each hears each other on enough channels that all of a cluster are among them, and nothing is on its way to the store. */
async function untilJoined(machines: readonly Machine[]): Promise<void> {
  // what was published before does not count
  joins += 1;
  const channels = Array.from({ length: 60 }, (_, i) => `join ${joins} ${i}`);
  for (const sender of machines) {
    const heard = machines
      .filter((one) => one !== sender)
      .map((one) => one.hub.subscribe(channels, one.share));
    const found = heard.map(() => new Set<string>());
    await eventually(() => {
      for (const channel of channels) sender.publish(channel, '');
      for (const [i, one] of heard.entries())
        for (let next = one.take(); next !== undefined; next = one.take()) found[i]?.add(next.channel);
      assert.deepEqual(
        found.map(({ size }) => size),
        found.map(() => channels.length),
      );
    });
    for (const one of heard) one.close();
  }
  for (const machine of machines) await machine.untilSettled();
}

for (const kind of ['one server', 'a cluster'] as const) {
  test(`A message reaches every thread of every machine once and in order, over ${kind}`, async () => {
    const address = kind === 'a cluster' ? cluster.address : redis.address;
    await withMachines(address, 3, async (machines) => {
      const bytes = randomBytes(300).toString('latin1');
      const channels = ['a', 'b', '\xff\x00', 'c'.repeat(255)];
      const all = machines.flatMap((machine) => machine.subscribe(...channels));
      const others = machines.flatMap((machine) => machine.subscribe('elsewhere'));
      const [one, two] = machines as [Machine, Machine];
      for (let i = 0; i < 50; i++) one.publish('a', `${i}`);
      one.publish('\xff\x00', bytes);
      one.publish('c'.repeat(255), 'x'.repeat(MESSAGE_BYTES_MAX));
      await eventually(() => assert.ok(all.every(({ length }) => length === 52)));
      two.publish('b', 'last');
      await eventually(() => assert.ok(all.every(({ length }) => length === 53)));
      const expected = [
        ...Array.from({ length: 50 }, (_, i) => `a:${i}`),
        ...[`\xff\x00:${bytes}`, `${'c'.repeat(255)}:${'x'.repeat(MESSAGE_BYTES_MAX)}`, 'b:last'],
      ];
      // those of different channels may take different ways through a cluster
      for (const subscription of all) assert.deepEqual(take(subscription).sort(), [...expected].sort());
      for (const subscription of others) assert.equal(subscription.length, 0);
      // twice would have come by now, as what a machine sends comes back in its order
      for (const machine of machines) await machine.untilSettled();
      const { sent, received } = two.fleet.relay.counts;
      assert.ok(sent >= 1 && received >= 52);
      for (const subscription of [...all, ...others]) subscription.close();
    });
  });
}

test('Machines whose stores are different databases of a server do not hear each other', async () => {
  const [one, two] = [new Machine(redis.address), new Machine(`${redis.address}/1`)];
  const here = two.subscribe('a');
  await one.untilLogged(/answers/);
  await two.untilLogged(/answers/);
  await untilTaken(one, 'x');
  await untilTaken(two, 'own');
  for (const subscription of here) {
    const heard = take(subscription);
    assert.ok(heard.length > 0 && heard.every((text) => text === 'a:own'), String(heard));
  }
  for (const machine of [one, two]) machine.close();
});

/** Publishes to "a" until the store has taken it: a store that stands still takes nothing in time. */
async function untilTaken(machine: Machine, text: string): Promise<void> {
  const { counts } = machine.fleet.relay;
  const before = counts.sent;
  while (counts.sent === before) {
    machine.publish('a', text);
    await machine.untilSettled();
  }
}

test('While the store is away messages reach this machine, the others are counted as lost, and all goes on when it is back', async () => {
  const other = await RedisProcess.start();
  await withMachines(other.address, 2, async ([one, two]) => {
    assert.ok(one !== undefined && two !== undefined);
    const [here, there] = [one.subscribe('a'), two.subscribe('a')];
    await other.kill();
    await one.untilLogged(/is away: .*Messages reach this machine only.* meanwhile/);
    const { lost } = one.fleet.relay.counts;
    for (let i = 0; i < 10; i++) one.publish('a', 'lost');
    await eventually(() => assert.ok(here.every(({ length }) => length === 10)));
    await eventually(() => assert.equal(one.fleet.relay.counts.lost - lost, 10));
    assert.ok(there.every(({ length }) => length === 0));
    await other.restart();
    await untilJoined([one, two]);
    one.publish('a', 'again');
    await eventually(() => assert.ok(there.every(({ length }) => length === 1)));
    // only the connection of the messages is cut
    other.cli('client', 'kill', 'type', 'pubsub');
    await untilJoined([one, two]);
    one.publish('a', 'third');
    await eventually(() => assert.ok(there.every(({ length }) => length === 2)));
  });
  await other.stop();
});

test('A frozen store holds up nobody, and no more waits for it than is allowed', async () => {
  const other = await RedisProcess.start();
  await withMachines(other.address, 2, async ([one, two]) => {
    assert.ok(one !== undefined && two !== undefined);
    const here = one.hub.subscribe(['a'], one.share, { queue: 16_384 });
    const lostBefore = one.fleet.relay.counts.lost;
    await other.freeze();
    const text = 'x'.repeat(64 * 1024);
    const count = Math.ceil(BYTES_ON_THE_WAY_MAX / text.length) + 20;
    let heard = 0;
    for (let i = 0; i < count; i++) {
      one.publish('a', text);
      await eventually(() => assert.ok(here.length > 0));
      heard += take(here).length;
    }
    assert.equal(heard, count);
    await eventually(() => assert.equal(one.fleet.relay.counts.lost - lostBefore, count));
    other.thaw();
    await untilJoined([one, two]);
    here.close();
  });
  await other.stop();
});

test('Slots that move take their channels along', async () => {
  await withMachines(cluster.address, 2, async ([one, two]) => {
    assert.ok(one !== undefined && two !== undefined);
    const [from, to, third] = cluster.nodes as [RedisProcess, RedisProcess, RedisProcess];
    const slot = from.cli('cluster', 'keyslot', channelOn(from));
    const id = to.cli('cluster', 'myid');
    to.cli('cluster', 'setslot', slot, 'importing', from.cli('cluster', 'myid'));
    from.cli('cluster', 'setslot', slot, 'migrating', id);
    for (const node of [to, from, third])
      assert.equal(node.cli('cluster', 'setslot', slot, 'node', id), 'OK');
    await untilJoined([one, two]);
  });
});

/** A channel of the relay whose slot this server has. */
function channelOn(node: RedisProcess): string {
  const ranges = node.cli('cluster', 'shards');
  assert.ok(ranges.length > 0);
  for (let i = 0; i < 16; i++) {
    const channel = `lg:events:0:${i}`;
    if (!node.cli('spublish', channel, '').startsWith('MOVED')) return channel;
  }
  throw new Error('no channel has a slot here');
}

test('A user without the right is told of by name, and what is published stays here', async () => {
  const other = await RedisProcess.start();
  other.cli('acl', 'setuser', 'ann', 'on', '>pass', '~lg:*', '+@all', 'resetchannels');
  const machine = new Machine(`redis://ann:pass@127.0.0.1:${other.port}`);
  await machine.untilLogged(/refuses the channels of httpd.publish: NOPERM.*&lg:events:\*/);
  const here = machine.subscribe('a');
  machine.publish('a', 'x');
  await eventually(() => assert.ok(here.every(({ length }) => length === 1)));
  await eventually(() => assert.equal(machine.fleet.relay.counts.lost, 1));
  machine.close();
  await other.stop();
});

test('What strangers publish is left alone', async () => {
  await withMachines(redis.address, 1, async ([machine]) => {
    assert.ok(machine !== undefined);
    const here = machine.subscribe('a');
    // those of the tests before are gone
    await eventually(() => assert.match(redis.cli('pubsub', 'numsub', 'lg:events:0:0'), /\s1$/));
    for (const text of ['', 'x', `1${'f'.repeat(16)}\x01`, `2${'f'.repeat(16)}`])
      redis.cli('publish', 'lg:events:0:0', text);
    await eventually(() => assert.equal(machine.fleet.relay.counts.unreadable, 4));
    assert.ok(here.every(({ length }) => length === 0));
  });
});

test('A batch is read back as it was, and one whose lengths lie is none', () => {
  const id = 'f'.repeat(16);
  const items = ['a', '', '\xff'.repeat(255), '\x00\xff'.repeat(1000), 'b', 'x'.repeat(MESSAGE_BYTES_MAX)];
  const bytes = Buffer.from(encodeBatch(id, items), 'latin1');
  assert.equal(senderOf(bytes), id);
  assert.deepEqual(decodeItems(bytes), items);
  for (let cut = 18; cut < 1500; cut++) {
    const part = decodeItems(bytes.subarray(0, cut));
    assert.ok(part === undefined || part.length < items.length);
  }
  const head = `1${id}`;
  assert.equal(decodeItems(Buffer.from(`${head}\x00\x00\x00\x00\x00`, 'latin1')), undefined);
  assert.equal(decodeItems(Buffer.from(`${head}\x01\xff\xff\xff\xffa`, 'latin1')), undefined);
  assert.equal(
    decodeItems(Buffer.from(`${head}\x01\x00\x04\x00\x01a${'x'.repeat(MESSAGE_BYTES_MAX + 1)}`, 'latin1')),
    undefined,
  );
  assert.equal(senderOf(Buffer.from('1abc')), undefined);
});
