/** Leases: who gets one, what a fence is worth, and what becomes of them when a machine or the store is gone. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { createLogger } from '../../src/base/logger.ts';
import { Lease, type LeaseRefusal, Leases, type LeaseTimes } from '../../src/fleet/leases.ts';
import { OnceRegistry } from '../../src/supervisor/once-registry.ts';
import { OnceRuns } from '../../src/supervisor/once-runs.ts';
import { type RedisCluster, RedisProcess, startCluster } from '../support/redis-process.ts';
import { eventually } from '../support/script-harness.ts';
import { patientClient, TestStore } from '../support/test-store.ts';

/** So long that a busy machine does not lose one that it holds. */
const LONG: LeaseTimes = { leaseMs: 50_000, renewMs: 10_000 };
const SHORT: LeaseTimes = { leaseMs: 200, renewMs: 50 };

let redis: RedisProcess;
let cluster: RedisCluster;
before(async () => {
  [redis, cluster] = await Promise.all([RedisProcess.start(), startCluster()]);
});
after(async () => {
  await Promise.all([redis?.stop(), cluster?.stop()]);
});

async function withLeases(
  address: string,
  times: readonly LeaseTimes[],
  run: (leases: readonly Leases[], stores: readonly TestStore[]) => Promise<void>,
  isThere = true,
): Promise<void> {
  const stores = times.map(() => new TestStore(address));
  try {
    // a busy store may be slow to greet
    if (isThere) await Promise.all(stores.map((store) => store.until(/^available/)));
    await run(
      stores.map(({ client }, i) => new Leases(patientClient(client), times[i])),
      stores,
    );
  } finally {
    for (const store of stores) store.close();
  }
}

function take(
  leases: Leases | undefined,
  name: string,
  ageMs = 0,
  lost = (): void => undefined,
): Promise<Lease | LeaseRefusal> {
  assert.ok(leases !== undefined);
  return new Promise((resolve) => leases.take(name, ageMs, resolve, lost));
}

async function taken(
  leases: Leases | undefined,
  name: string,
  ageMs = 0,
  lost = (): void => undefined,
): Promise<Lease> {
  const lease = await take(leases, name, ageMs, lost);
  assert.ok(lease instanceof Lease, String(lease));
  return lease;
}

for (const kind of ['one server', 'a cluster'] as const)
  test(`One of many gets a lease, the next one a higher fence, over ${kind}`, async () => {
    const address = kind === 'a cluster' ? cluster.address : redis.address;
    await withLeases(address, [LONG, LONG, LONG], async (machines) => {
      const outcomes = await Promise.all(
        Array.from({ length: 30 }, (_, i) => take(machines[i % 3], 'one\0timer')),
      );
      const [lease, ...more] = outcomes.filter((one) => one instanceof Lease);
      assert.ok(lease !== undefined && more.length === 0);
      assert.equal(outcomes.filter((one) => one === 'held').length, 29);
      lease.release(true);
      // what it was for began a moment ago
      await eventually(async () => assert.equal(await take(machines[1], 'one\0timer', 50_000), 'early'));
      const next = await taken(machines[1], 'one\0timer');
      assert.ok(next.fence > lease.fence);
      // a late word of the first one changes nothing
      lease.release(false);
      assert.equal(await take(machines[2], 'one\0timer'), 'held');
      // a run that was lost is made up for at once
      next.release(false);
      await eventually(async () =>
        assert.ok((await take(machines[2], 'one\0timer', 50_000)) instanceof Lease),
      );
    });
  });

test('A fence counts up also when the store has forgotten it', async () => {
  await withLeases(redis.address, [LONG], async ([leases]) => {
    const first = await taken(leases, 'fence');
    redis.cli('flushall');
    redis.cli('function', 'flush');
    const second = await taken(leases, 'fence');
    assert.ok(second.fence > first.fence && Number.isSafeInteger(second.fence));
    second.release(true);
    first.release(true);
  });
});

test('A lease is prolonged, and ends when its machine is gone', async () => {
  const often = { leaseMs: 50_000, renewMs: 50 };
  const brief = { leaseMs: 1000, renewMs: 100 };
  await withLeases(redis.address, [often, brief, LONG], async ([often, brief, other], [, store]) => {
    await taken(often, 'kept');
    const first = endOf('kept');
    // a second beyond its first time
    await eventually(() => assert.ok(endOf('kept') > first + 1000));
    assert.equal(await take(other, 'kept'), 'held');
    await taken(brief, 'gone');
    store?.close();
    // lost, and not done: its age does not count
    await eventually(async () => assert.ok((await take(other, 'gone', 40_000)) instanceof Lease));
  });
});

/** When the lease of this name ends, by the clock of the server. */
function endOf(name: string): number {
  return Number(redis.cli('hget', `lg::lease:${name}`, 'until'));
}

test('Who has lost a lease is told: the store was away for too long, or another has it', async () => {
  const other = await RedisProcess.start();
  await withLeases(other.address, [SHORT], async ([leases]) => {
    let lost = 0;
    await taken(leases, 'a', 0, () => {
      lost += 1;
    });
    await other.freeze();
    await eventually(() => assert.equal(lost, 1));
    other.thaw();
    await eventually(async () =>
      assert.ok(
        (await take(leases, 'a', 0, () => {
          lost += 1;
        })) instanceof Lease,
      ),
    );
    other.cli('flushall');
    await eventually(() => assert.ok(lost >= 2));
  });
  await other.stop();
});

/** The workers of one machine. */
class Runs {
  readonly runs: OnceRuns;
  readonly ended: string[] = [];
  readonly log: string[] = [];
  #claimId = 0;

  constructor(leases: Leases) {
    const logger = createLogger('debug', 'test', (line) => this.log.push(line));
    this.runs = new OnceRuns(new OnceRegistry(), () => leases, logger);
  }

  /** Resolves to the claim and its fence; undefined: another runs it. */
  ask(
    workerId: number,
    times: { waitMs?: number; everyMs?: number } = {},
  ): Promise<readonly [number, number] | undefined> {
    this.#claimId += 1;
    const claimId = this.#claimId;
    const { waitMs, everyMs } = times;
    return new Promise((resolve) =>
      this.runs.ask({
        workerId,
        claimId,
        claim: { name: '/\0job', generation: 1, waitMs, everyMs },
        answer: (fence) => resolve(fence === undefined ? undefined : [claimId, fence]),
        revoke: () => this.ended.push(`${workerId} ${claimId}`),
      }),
    );
  }
}

test('One worker of all machines runs a timer in a period, and another when its worker or its machine is gone', async () => {
  redis.cli('flushall');
  await withLeases(redis.address, [LONG, LONG], async (leases) => {
    const [one, two] = leases.map((each) => new Runs(each)) as [Runs, Runs];
    const every = { everyMs: 40_000 };
    // at load: every worker asks
    const grants = await Promise.all([
      one.ask(1, every),
      one.ask(2, every),
      two.ask(1, every),
      two.ask(2, every),
    ]);
    const [grant, ...more] = grants.filter((each) => each !== undefined);
    assert.ok(grant !== undefined && more.length === 0);
    const [winner, loser] = grants.indexOf(grant) < 2 ? [one, two] : [two, one];
    const workerId = (grants.indexOf(grant) % 2) + 1;
    winner.runs.release(workerId, grant[0], true);
    // a period is not over
    assert.equal(await loser.ask(1, { ...every, waitMs: 39_999 }), undefined);
    // the next run: a millisecond stands for a period that has passed
    const next = await eventually(async () => {
      const outcome = await winner.ask(1, { waitMs: 1 });
      assert.ok(outcome !== undefined, 'the millisecond is not over');
      return outcome;
    });
    assert.ok(next[1] > grant[1]);
    winner.runs.workerGone(1);
    await eventually(async () => {
      const taken = await loser.ask(2, { waitMs: 1 });
      assert.ok(taken !== undefined && taken[1] > next[1]);
    });
  });
});

test('While the store is away a timer with a period does not run, and one without waits for the store', async () => {
  const other = await RedisProcess.start();
  await other.kill();
  await withLeases(
    other.address,
    [LONG],
    async ([leases]) => {
      assert.ok(leases !== undefined);
      const runs = new Runs(leases);
      assert.equal(await runs.ask(1, { everyMs: 1000 }), undefined);
      const waiting = runs.ask(1);
      await other.restart();
      assert.ok((await waiting) !== undefined);
    },
    false,
  );
  await other.stop();
});

test('A run whose lease is lost is ended, and the log says so', async () => {
  const other = await RedisProcess.start();
  await withLeases(other.address, [SHORT], async ([leases]) => {
    assert.ok(leases !== undefined);
    const runs = new Runs(leases);
    const grant = await runs.ask(1);
    await other.freeze();
    await eventually(() => assert.deepEqual(runs.ended, [`1 ${grant?.[0]}`]));
    assert.match(runs.log.join('\n'), /A timer with once was ended/);
    other.thaw();
  });
  await other.stop();
});
