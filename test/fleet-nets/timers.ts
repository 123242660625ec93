/** Timers with `once` while machines are killed, stand still, and are cut off: one runs a task at a time, and another takes over. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LEASE_MS } from '../../src/fleet/leases.ts';
import { WAITED_SHARE } from '../../src/supervisor/once-registry.ts';
import type { RedisProcess } from '../support/redis-process.ts';
import { eventually } from '../support/script-harness.ts';
import { WAIT_MAX_MS } from '../support/test-gateway.ts';
import { askFleet } from './fleet-client.ts';
import { MACHINES, type MachineName, type ThreeMachines } from './three-machines.ts';

/** Of the tasks in machine-scripts.ts. */
const PERIOD_MS = 500;
/** For a busy machine, whose timers are late. */
const MARGIN_MS = 10_000;

interface Run {
  readonly machine: MachineName;
  /** Its fence: milliseconds of the clock of the store, as no two runs of a task here begin in one. */
  readonly fence: number;
}

/** Looks no more often: each look starts a program. */
const LOOK_MS = 200;

class Runs {
  readonly #store: RedisProcess;

  constructor(store: RedisProcess) {
    this.#store = store;
  }

  count(task: string): number {
    return Number(this.#store.cli('get', `lg:runs:${task}`));
  }

  /** From the first one on; a machine that was cut off within a run has told nothing of it. */
  all(task: string): Run[] {
    const keys = Array.from({ length: this.count(task) }, (_, i) => `lg:runs:${task}:${i + 1}`);
    return keys.length === 0
      ? []
      : this.#store
          .cli('mget', ...keys)
          .split('\n')
          .flatMap(readRun);
  }

  /** The run that is the last one, when it is of none of these machines. */
  async untilTaken(task: string, than: readonly MachineName[]): Promise<Run> {
    return await untilFound(() => {
      const run = this.all(task).at(-1);
      return run === undefined || than.includes(run.machine) ? undefined : run;
    }, `a run of ${task} elsewhere than on ${than}`);
  }

  async untilMore(task: string, more: number): Promise<void> {
    const wanted = this.count(task) + more;
    await untilFound(() => (this.count(task) >= wanted ? true : undefined), `${wanted} runs of ${task}`);
  }
}

function readRun(text: string): Run[] {
  const [, machine, fence] = /s([a-c]) (\d+)/.exec(text) ?? [];
  return machine === undefined ? [] : [{ machine: machine as MachineName, fence: Number(fence) }];
}

async function untilFound<T>(look: () => T | undefined, what: string): Promise<T> {
  for (const limit = performance.now() + LEASE_MS + WAIT_MAX_MS; performance.now() < limit; ) {
    const found = look();
    if (found !== undefined) return found;
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
  throw new Error(`Waited in vain for ${what}`);
}

export function testTimers(fleet: () => ThreeMachines): void {
  test('A timer with once runs once in a period while machines are killed, stand still and are cut off, and goes on within the time of a lease; the balancer sends nobody to a machine that stands still', async () => {
    const { store, network } = fleet();
    const runs = new Runs(store);
    store.cli('set', 'lg:runs:wanted', '1');
    const first = await runs.untilTaken('long', []);

    // each holder of the lease goes in another way
    const killedAt = Date.now();
    fleet().machine(first.machine).signal('SIGKILL');
    const second = await runs.untilTaken('long', [first.machine]);
    assertInTime(second, killedAt);
    const restarted = fleet()
      .machine(first.machine)
      .untilEnded()
      .then(() => fleet().machine(first.machine).start());

    const frozenAt = Date.now();
    fleet().machine(second.machine).signal('SIGSTOP');
    await restarted;
    const third = await runs.untilTaken('long', [second.machine]);
    assertInTime(third, frozenAt);
    await runs.untilMore('short', 2);
    // the checks of docs/deployment/haproxy.cfg find out
    await eventually(async () => assert.ok(await fleet().balancer.isDown(second.machine)));
    await fleet().untilUp(third.machine);
    fleet().machine(second.machine).signal('SIGCONT');
    await untilEndedRun(second);
    await fleet().untilUp(second.machine);

    const cutAt = Date.now();
    network.cable(third.machine, 'out');
    const fourth = await runs.untilTaken('long', [third.machine]);
    assertInTime(fourth, cutAt);
    await untilEndedRun(third);
    network.cable(third.machine, 'in');
    // it serves and counts with the others again
    await fleet().untilUp(third.machine);
    await eventually(async () =>
      assert.equal((await askFleet(fleet().portOf(third.machine), '/count?back')).status, 200),
    );
    await runs.untilMore('short', 4);

    assert.equal(runs.count('long'), 4, 'who has lost the lease is ended, and nobody else begins');
    const fences = runs.all('short').map(({ fence }) => fence);
    const pauses = fences.slice(1).map((fence, i) => fence - (fences[i] ?? 0));
    assert.ok(Math.min(...pauses) >= PERIOD_MS * WAITED_SHARE, `two runs in a period: ${pauses}`);
    // once for each start, but not while another runs it
    assert.ok(runs.count('start') >= 1 && runs.count('start') <= MACHINES.length + 1);
    store.cli('del', 'lg:runs:wanted');
  });

  function assertInTime({ fence }: Run, goneAt: number): void {
    const ms = fence - goneAt;
    assert.ok(ms > 0 && ms <= LEASE_MS + PERIOD_MS + MARGIN_MS, `taken over after ${ms} ms`);
  }

  /** Until the machine has found out that another has the lease of its run. */
  async function untilEndedRun({ machine }: Run): Promise<void> {
    const ended = /A timer with once was ended: this machine stood still or could not reach the store/;
    await eventually(() => assert.match(fleet().machine(machine).log, ended));
  }
}
