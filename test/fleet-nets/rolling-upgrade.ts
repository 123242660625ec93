/** Machines that are replaced in turn, and one that is upgraded, under load: no request fails. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runSubcommand } from '../../src/command/subcommands.ts';
import { eventually } from '../support/script-harness.ts';
import { SteadyLoad } from '../support/upgrade-load.ts';
import { MACHINES, type ThreeMachines } from './three-machines.ts';

export function testRollingUpgrade(fleet: () => ThreeMachines): void {
  test('A rolling upgrade under load fails no request: each machine is drained and replaced', async () => {
    const loads = startLoads(fleet().port);
    const { balancer } = fleet();
    for (const name of MACHINES) {
      const machine = fleet().machine(name);
      const { pid } = machine;
      await untilAnswered(loads, 10);
      await balancer.tell(`set server fleet/${name} state drain`);
      // connections that were on their way to it are answered: a listener that closes cuts those that it has not accepted
      await untilAnswered(loads, 3);
      machine.signal('SIGTERM');
      await machine.untilEnded();
      await machine.start();
      assert.notEqual(machine.pid, pid);
      await balancer.tell(`set server fleet/${name} state ready`);
      await fleet().untilUp(name);
    }
    await untilAnswered(loads, 10);
    await Promise.all(loads.map((load) => load.stop()));
    assert.deepEqual(
      loads.flatMap(({ failures }) => failures),
      [],
    );
  });

  test('lgateway upgrade under load fails no request, and the balancer need not know', async () => {
    const loads = startLoads(fleet().port);
    const machine = fleet().machine('b');
    const { pid } = machine;
    await untilAnswered(loads, 10);
    const outcome = await runSubcommand('upgrade', machine.admin);
    assert.deepEqual(outcome.faults, []);
    assert.notEqual(machine.pid, pid);
    await untilAnswered(loads, 10);
    await Promise.all(loads.map((load) => load.stop()));
    assert.deepEqual(
      loads.flatMap(({ failures }) => failures),
      [],
    );
  });
}

/** Two clients of each kind; those that keep connections ask often enough that none is idle for as long as a machine that drains waits for them. */
function startLoads(port: number): SteadyLoad[] {
  return [1, 2].map(() => new SteadyLoad(port, 10));
}

/** Until each client has had so many more answers. */
async function untilAnswered(loads: readonly SteadyLoad[], more: number): Promise<void> {
  const before = loads.map(({ answers }) => ({ ...answers }));
  await eventually(() => {
    for (const [i, { answers }] of loads.entries())
      for (const kind of ['h1', 'h2', 'new'] as const)
        assert.ok(answers[kind] >= (before[i]?.[kind] ?? 0) + more);
  });
}
