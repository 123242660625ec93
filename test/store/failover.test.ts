/** Servers that take over from each other, slots that move and data that vanishes while calls go on: each call counts once, ends in time, and reads nothing old. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { GatewayError } from '../../src/base/errors.ts';
import { SLOTS, slotOf } from '../../src/store/cluster-slots.ts';
import { freePorts } from '../support/free-ports.ts';
import { type RedisCluster, RedisProcess, startCluster, startWatchedPair } from '../support/redis-process.ts';
import { eventually } from '../support/script-harness.ts';
import { refusalOf, type TestDictionary, TestStore } from '../support/test-store.ts';
import { TimerLag } from '../support/timer-lag.ts';

/** Of calls that a frozen server gets; much for those of servers that answer on a busy machine. */
const TIMEOUT_MS = 1500;
const FROZEN = 'frozen';

let cluster: RedisCluster;
before(async () => {
  // no server is to be given up because the machine is busy
  cluster = await startCluster(['--cluster-node-timeout', '15000']);
});
after(() => cluster?.stop());

async function withStore(address: string, run: (store: TestStore) => Promise<void>): Promise<void> {
  const store = new TestStore(address);
  try {
    await run(store);
  } finally {
    store.close();
  }
}

/** Until a call is answered. */
async function untilAnswered(dictionary: TestDictionary, key: string): Promise<void> {
  await eventually(async () => {
    await dictionary.incr(key, 1n, 0n);
  });
}

test('A replica that sentinels have promoted is found, and a call is answered or says that it may have been done', async () => {
  const { master, replica, sentinel, address, stop } = await startWatchedPair();
  await withStore(address, async (store) => {
    assert.equal(await store.dictionary('d').incr('n', 1n, 0n), 1n);
    await eventually(() => assert.equal(replica.cli('get', 'lg:d:n'), '1'));
    await master.kill();
    sentinel.hurry('set');
    const dictionary = store.dictionary('d', { timeoutMs: 1000 });
    let [answered, unsure] = [1n, 0n];
    await eventually(async () => {
      try {
        await dictionary.incr('n', 1n, 0n);
        answered += 1n;
      } catch (error) {
        if (error instanceof GatewayError && error.luaCode === 'timeout') unsure += 1n;
        throw error;
      }
    });
    assert.equal(replica.cli('role').split('\n')[0], 'master');
    const found = BigInt(replica.cli('get', 'lg:d:n'));
    assert.ok(found >= answered && found <= answered + unsure);
    assert.ok(store.told.some((text) => /^away/.test(text)));
  });
  await stop();
});

test('Slots that move while calls go on: every call counts once', async () => {
  const [from, to, third] = cluster.nodes as [RedisProcess, RedisProcess, RedisProcess];
  const ids = [from, to].map((node) => node.cli('cluster', 'myid')) as [string, string];
  await withStore(cluster.address, async (store) => {
    const dictionary = store.dictionary('moving');
    const near = store.dictionary('moving', { near: true });
    const keys = Array.from({ length: 50 }, (_, i) => `k${i}`).filter((key) => isOfFirst(`lg:moving:${key}`));
    const [first = '', second = ''] = keys;
    const slots = [first, second].map((key) => slotOf(`lg:moving:${key}`));
    const counts = new Map<string, number>();
    let isMoving = true;
    const busy = [first, second, 'elsewhere'].map(async (key) => {
      while (isMoving) {
        const sum = await dictionary.incr(key, 1n, 0n);
        const count = (counts.get(key) ?? 0) + 1;
        counts.set(key, count);
        assert.equal(sum, BigInt(count));
        assert.equal(await near.get(key), BigInt(count));
      }
    });
    await eventually(() => assert.equal(counts.size, 3));
    for (const slot of slots) {
      assert.equal(to.cli('cluster', 'setslot', String(slot), 'importing', ids[0]), 'OK');
      assert.equal(from.cli('cluster', 'setslot', String(slot), 'migrating', ids[1]), 'OK');
      // new keys of the slot go to the server that gets it
      await untilMore(counts, 20);
      for (const key of from.cli('cluster', 'getkeysinslot', String(slot), '100').split('\n'))
        if (key !== '') from.cli('migrate', '127.0.0.1', String(to.port), key, '0', '5000');
      await untilMore(counts, 20);
      for (const node of [to, from, third])
        assert.equal(node.cli('cluster', 'setslot', String(slot), 'node', ids[1]), 'OK');
      await untilMore(counts, 20);
    }
    isMoving = false;
    await Promise.all(busy);
    assert.equal(store.failures, 0);
  });
});

/** Whether the first server of three had the slot of this key when the cluster was made. */
function isOfFirst(key: string): boolean {
  return slotOf(key) < SLOTS / 3;
}

async function untilMore(counts: ReadonlyMap<string, number>, more: number): Promise<void> {
  const before = new Map(counts);
  await eventually(() => {
    for (const [key, count] of counts) assert.ok(count >= (before.get(key) ?? 0) + more);
  });
}

test('A frozen master of a cluster costs its own keys their time, and no others', async () => {
  const [frozen] = cluster.nodes as [RedisProcess];
  await withStore(cluster.address, async (store) => {
    const hasty = store.dictionary(FROZEN, { timeoutMs: TIMEOUT_MS });
    // other servers may stand still for a while, too
    const patient = store.dictionary(FROZEN);
    const keys = Array.from({ length: 30 }, (_, i) => `k${i}`);
    for (const key of keys) await patient.store('set', key, 'skept');
    const mine = new Set(keys.filter((key) => isOfFirst(`lg:${FROZEN}:${key}`)));
    assert.ok(mine.size > 0 && mine.size < keys.length);
    const lag = new TimerLag();
    await frozen.freeze();
    try {
      const began = performance.now();
      const ends = await Promise.all(
        keys.map(async (key) => {
          const outcome = await (mine.has(key) ? hasty : patient)
            .get(key)
            .then(String, (error: GatewayError) => String(error.luaCode));
          return { key, outcome, ms: performance.now() - began };
        }),
      );
      lag.stop();
      for (const { key, outcome, ms } of ends) {
        assert.equal(outcome, mine.has(key) ? 'timeout' : 'kept', key);
        // the promise is the time of the call and 50 ms
        if (mine.has(key))
          assert.ok(
            ms <= TIMEOUT_MS + 50 + 2 * lag.maxMs,
            `${key}: ${ms} ms, and timers were ${lag.maxMs} ms late`,
          );
      }
      const first = ends.reduce((one, other) => (other.ms < one.ms ? other : one));
      assert.ok(!mine.has(first.key), 'nobody else waits for the frozen server');
    } finally {
      lag.stop();
      frozen.thaw();
    }
    for (const key of keys) await eventually(async () => assert.equal(await patient.get(key), 'kept'));
  });
});

test('A replica of a cluster takes over from a master that was killed', async () => {
  // a replica is named by the others when it has had something of its master: a ping, at the latest
  const own = await startCluster(['--cluster-node-timeout', '1000', '--repl-ping-replica-period', '1']);
  const [first] = own.nodes as [RedisProcess];
  const [port = 0, bus = 0] = await freePorts(2);
  const replica = await RedisProcess.start(
    ['--cluster-enabled', 'yes', '--cluster-port', String(bus), '--cluster-node-timeout', '1000'],
    port,
  );
  try {
    const id = first.cli('cluster', 'myid');
    first.cli('cluster', 'meet', '127.0.0.1', String(port), String(bus));
    await eventually(() => assert.equal(replica.cli('cluster', 'replicate', id), 'OK'));
    await eventually(() => assert.match(replica.cli('info', 'replication'), /master_link_status:up/));
    await eventually(() =>
      assert.match(
        own.nodes[1]?.cli('cluster', 'slots') ?? '',
        new RegExp(`^\\s*(\\d+\\)\\s*)*.*${port}`, 'm'),
      ),
    );
    await withStore(`redis://127.0.0.1:${own.nodes[1]?.port},`, async (store) => {
      const dictionary = store.dictionary('d', { timeoutMs: 2000 });
      const keys = Array.from({ length: 12 }, (_, i) => `k${i}`);
      for (const key of keys) await untilAnswered(dictionary, key);
      await first.kill();
      for (const key of keys) await untilAnswered(dictionary, key);
      assert.match(replica.cli('role'), /^master/);
    });
  } finally {
    await replica.stop();
    await own.stop();
  }
});

test('A server whose slots others have got may go: the cluster answers, and a seed without slots is not missed', async () => {
  const own = await startCluster();
  try {
    const [first, second, third] = own.nodes as [RedisProcess, RedisProcess, RedisProcess];
    await withStore(own.address, async (store) => {
      await store.until(/^available/);
      const range = [String(Math.ceil((SLOTS * 2) / 3)), String(SLOTS - 1)];
      await eventually(() => {
        for (const node of [third, first, second]) node.cli('cluster', 'delslotsrange', ...range);
        first.cli('cluster', 'addslotsrange', ...range);
        first.cli('cluster', 'bumpepoch');
        for (const node of [first, second])
          assert.ok(!node.cli('cluster', 'slots').includes(String(third.port)));
      });
      const told = store.told.length;
      await third.kill();
      // by the map that it has until then it misses the server
      await store.until(new RegExp(`^away .*:${third.port}`), told);
      await store.until(/^available/, told);
      const since = store.told.length;
      assert.equal(await store.dictionary('d').incr('n', 1n, 0n), 1n);
      // some attempts to reach it later
      await new Promise((resolve) => setTimeout(resolve, 300));
      assert.deepEqual(
        store.told.slice(since).filter((text) => text.startsWith('away')),
        [],
      );
    });
  } finally {
    await own.stop();
  }
});

test('FLUSHALL and CLIENT KILL while values are read near: none is older than one that was read before', async () => {
  const redis = await RedisProcess.start();
  await withStore(redis.address, async (reader) => {
    await withStore(redis.address, async (writer) => {
      const near = reader.dictionary('r', { near: true });
      const written = writer.dictionary('r');
      let [last, reads, isOver] = [0, 0, false];
      const writing = (async (): Promise<void> => {
        for (let i = 1; !isOver; i++) await written.store('set', 'v', String(i)).catch(() => undefined);
      })();
      const reading = (async (): Promise<void> => {
        while (!isOver) {
          const value = await near.get('v').catch(() => undefined);
          reads += 1;
          if (value !== undefined) {
            assert.ok(Number(value) >= last, `${value} after ${last}`);
            last = Number(value);
          }
          // near values come without a turn
          if (reads % 50 === 0) await new Promise((resolve) => setImmediate(resolve));
        }
      })();
      for (let round = 0; round < 10; round++) {
        const [from, seen] = [reads, last];
        await eventually(() => assert.ok(reads > from + 100 && last > seen));
        redis.cli(...(round % 2 === 0 ? ['flushall'] : ['client', 'kill', 'type', 'normal']));
      }
      isOver = true;
      await Promise.all([writing, reading]);
    });
  });
  await redis.stop();
});

test('Wrong cluster: a server that knows no slots is told of, and calls end', async () => {
  const [port = 0, bus = 0] = await freePorts(2);
  const lonely = await RedisProcess.start(['--cluster-enabled', 'yes', '--cluster-port', String(bus)], port);
  await withStore(`redis://127.0.0.1:${port},`, async (store) => {
    await store.until(/^away .*knows no slots/);
    assert.match(
      await refusalOf(store.dictionary('d').get('a')),
      /^refused: .*(CLUSTERDOWN|does not answer)/,
    );
    assert.match(await refusalOf(store.dictionary('d').keys()), /^refused: .*knows no slots/);
  });
  await lonely.stop();
});
