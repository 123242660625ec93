/** The store of three machines under load is emptied, full, frozen, loses its clients and moves slots: nothing hangs, and nothing wrong is read. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { slotOf } from '../../src/store/cluster-slots.ts';
import type { RedisProcess } from '../support/redis-process.ts';
import { eventually } from '../support/script-harness.ts';
import { StepLoad } from './step-load.ts';
import type { ThreeMachines } from './three-machines.ts';

const MOVES_MAX = 6;

export function testDisturbances(fleet: () => ThreeMachines): void {
  test('A store that is emptied, full, frozen, loses its clients and moves slots under the load of three machines: no call hangs, none counts twice, none reads what is wrong', async () => {
    const { store, cluster } = fleet();
    const load = new StepLoad(fleet());
    await load.untilWhole(20);

    for (const kind of ['normal', 'pubsub', 'normal']) {
      await eventually(() => assert.match(store.cli('client', 'kill', 'type', kind), /^[1-9]/));
      await load.untilWhole(10);
    }

    await moveUntilNothingIsRefused(cluster.nodes as readonly RedisProcess[], load);

    store.cli('config', 'set', 'maxmemory', '1mb');
    await load.untilCode('alone limit', 20);
    await load.untilWhole(10, ['clustered']);
    store.cli('config', 'set', 'maxmemory', '0');
    await load.untilWhole(10);

    await store.freeze();
    try {
      await load.untilCode('alone timeout', 12);
      await load.untilCode('alone refused', 12);
      // the other store of the same machines goes on
      await load.untilWhole(10, ['clustered']);
    } finally {
      store.thaw();
    }
    await load.untilWhole(10);

    const [master] = cluster.nodes as [RedisProcess];
    await master.freeze();
    try {
      await load.untilCode('clustered timeout', 6);
      await load.untilWhole(10, ['alone']);
    } finally {
      master.thaw();
    }
    await load.untilWhole(10);

    await load.flush(() => {
      store.cli('flushall');
      for (const node of cluster.nodes) node.cli('flushall');
    });
    await load.stop((dictionary, key) => {
      const name = `lg:${dictionary}:${key}`;
      const node = dictionary === 'alone' ? store : ownerOf(cluster.nodes, name);
      return Number(node.cli('get', name));
    });
    assert.deepEqual(load.faults.slice(0, 10), []);
  });
}

/** A cluster that moves slots refuses nothing, unless a server of it stands still meanwhile: then they move back, and so on. */
async function moveUntilNothingIsRefused(nodes: readonly RedisProcess[], load: StepLoad): Promise<void> {
  const [one, two, ...others] = nodes as [RedisProcess, RedisProcess];
  const refused = (): string =>
    JSON.stringify(['timeout', 'refused', 'limit'].map((code) => load.codes.get(`clustered ${code}`)));
  for (let turn = 0; turn < MOVES_MAX; turn++) {
    const before = refused();
    await moveSlots(turn % 2 === 0 ? [one, two, ...others] : [two, one, ...others], load);
    if (refused() === before) return;
  }
  assert.fail(`calls were refused while slots moved, ${MOVES_MAX} times: ${JSON.stringify([...load.codes])}`);
}

/** Moves those of the load that the first server has to the second one. */
async function moveSlots(nodes: readonly RedisProcess[], load: StepLoad): Promise<void> {
  const [from, to] = nodes as [RedisProcess, RedisProcess];
  const ids = [from, to].map((node) => node.cli('cluster', 'myid')) as [string, string];
  const names = from.cli('keys', 'lg:clustered:0.*').split('\n').filter(Boolean);
  const slots = new Set(names.map(slotOf));
  assert.ok(slots.size > 0, 'the first server has keys');
  for (const slot of slots) {
    assert.equal(to.cli('cluster', 'setslot', String(slot), 'importing', ids[0]), 'OK');
    assert.equal(from.cli('cluster', 'setslot', String(slot), 'migrating', ids[1]), 'OK');
    for (const key of from.cli('cluster', 'getkeysinslot', String(slot), '100').split('\n').filter(Boolean))
      from.cli('migrate', to.host, String(to.port), key, '0', '5000');
    await load.untilWhole(4, ['clustered']);
    for (const node of [to, from, ...nodes.slice(2)])
      assert.equal(node.cli('cluster', 'setslot', String(slot), 'node', ids[1]), 'OK');
  }
  await load.untilWhole(10, ['clustered']);
}

/** The one that answers for the key. */
function ownerOf(nodes: readonly RedisProcess[], name: string): RedisProcess {
  return nodes.find((node) => !node.cli('get', name).startsWith('MOVED')) as RedisProcess;
}
