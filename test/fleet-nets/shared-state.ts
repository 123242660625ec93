/** What three machines behind a balancer have in common: counters, limits, sessions and messages. */
import assert from 'node:assert/strict';
import { Agent } from 'node:https';
import { test } from 'node:test';
import { EventReader } from '../support/event-reader.ts';
import { connectH2 } from '../support/h2-client.ts';
import { eventually } from '../support/script-harness.ts';
import { WebSocketPeer } from '../support/websocket-peer.ts';
import { askFleet } from './fleet-client.ts';
import { MACHINES, type ThreeMachines } from './three-machines.ts';

export function testSharedState(fleet: () => ThreeMachines): void {
  test('The balancer gives each machine connections in turn and tells it of the client, by both versions of PROXY heads', async () => {
    // a machine that was too busy for a check is back a moment later
    await eventually(async () => {
      const answers = await Promise.all(
        Array.from({ length: 6 }, () => askFleet(fleet().port, '/', { from: '127.0.0.9' })),
      );
      assert.deepEqual(
        answers.map(({ text }) => text).sort(),
        MACHINES.flatMap((name) => [`${name} 127.0.0.9`, `${name} 127.0.0.9`]),
      );
    });
  });

  test('A counter counts exactly under load over all machines', async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 12 });
    const counts = await Promise.all(
      Array.from({ length: 600 }, () => askFleet(fleet().port, '/count?n', { agent })),
    );
    agent.destroy();
    assert.deepEqual(
      counts.map(({ text }) => Number(text)).sort((a, b) => a - b),
      Array.from({ length: 600 }, (_, i) => i + 1),
    );
    assert.equal(fleet().store.cli('get', 'lg:counts:n'), '600');
  });

  test('A limit admits exactly as many as it says of five times as many in the fleet, for each address', async () => {
    for (let number = 11, rounds = 0; rounds < 2; number++) {
      const from = `127.0.0.${number}`;
      const before = await fleet().storeFailures();
      const agent = new Agent({ keepAlive: true, maxSockets: 9 });
      const answers = await Promise.all(
        Array.from({ length: 100 }, () => askFleet(fleet().port, '/limited', { from, agent })),
      );
      agent.destroy();
      // requests that a store keeps waiting for more than a second are not limited
      if ((await fleet().storeFailures()) > before) continue;
      rounds += 1;
      const statuses = answers.map(({ status }) => status);
      assert.equal(statuses.filter((status) => status === 200).length, 20);
      assert.equal(statuses.filter((status) => status === 429).length, 80);
    }
  });

  for (const kind of ['sealed', 'shared'])
    test(`A session goes around the machines: ${kind}`, async () => {
      // a busy store may answer one of the visits too late
      await eventually(async () => {
        let cookie = '';
        for (const [i, name] of [...MACHINES, ...MACHINES].entries()) {
          const { text, headers } = await askFleet(fleet().portOf(name), `/visit?${kind}`, {
            headers: { cookie },
          });
          assert.equal(text, `${name} ${i + 1}`);
          cookie = headers['set-cookie']?.[0]?.replace(/;.*/, '') ?? '';
        }
      });
    });

  test('What is published on one machine reaches the subscribers of all, once and in order', async () => {
    const readers = await Promise.all(
      MACHINES.map(async (name) => {
        const session = await connectH2(fleet().portOf(name));
        const reader = new EventReader();
        const stream = session.request({ ':path': '/events' });
        stream.setEncoding('utf8').on('data', (piece: string) => reader.read(piece));
        stream.on('error', () => undefined);
        return { session, heard: () => reader.events.map(({ data }) => data) };
      }),
    );
    await eventually(() => {
      for (const { heard } of readers) assert.deepEqual(heard(), ['listening']);
    });
    // each machine hears of the others as soon as it is connected to the store
    for (const name of MACHINES)
      await eventually(async () => {
        await askFleet(fleet().portOf(name), `/publish?join-${name}`);
        for (const { heard } of readers) assert.ok(heard().includes(`join-${name}`));
      });
    for (const text of ['one', 'two', 'three']) await askFleet(fleet().portOf('b'), `/publish?${text}`);
    await eventually(() => {
      for (const { heard } of readers)
        assert.deepEqual(
          heard().filter((text) => !text.startsWith('join-')),
          ['listening', 'one', 'two', 'three'],
        );
    });
    for (const { session } of readers) session.destroy();
  });

  test('What is said in the chat of one machine is heard on all', async () => {
    const peers = await Promise.all(
      MACHINES.map((name, i) =>
        WebSocketPeer.connect(fleet().portOf(name), i === 0 ? 'HTTP/1.1' : 'HTTP/2', '/chat/socket'),
      ),
    );
    for (const [i, peer] of peers.entries())
      peer.send(JSON.stringify({ name: MACHINES[i], text: `said ${i}` }));
    const heard = (): string[][] =>
      peers.map(({ messages }) => messages.map((text) => String(JSON.parse(text).text)).sort());
    await eventually(() => assert.deepEqual(heard(), Array(3).fill(['said 0', 'said 1', 'said 2'])));
    for (const peer of peers) peer.destroy();
  });
}
