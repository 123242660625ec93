/**
 * Measures what calls of a dictionary in a store cost the gateway: 64 under way at once, near values, and whether it matters how many keys and
 * dictionaries there are.
 */
import { fetchOnce } from '../client.ts';
import { median } from '../median.ts';
import type { ServerProcess } from '../server-process.ts';
import { LOAD_TIMEOUT_MS } from './load.ts';
import { type Bench, type Measure, withServer } from './measure.ts';
import { storeWishes, withStore } from './with-store.ts';

/** Calls of one request that are under way together, 64 at a time. */
const CALLS = 19_200;
/** Calls one behind the other, which do not leave the gateway. */
const NEAR_CALLS = 200_000;
const FEW_KEYS = 10;
const MANY_KEYS = 100_000;
const MANY_DICTIONARIES = 100;
/** So often two things are measured one behind the other: an odd number, so that the median is one of the ratios. */
const TURNS = 3;

export const storeCalls: Measure = withStore((redis) =>
  withServer(async (server, bench) => {
    const { warmUpRequests } = bench.effort;
    // a quick run does less of everything
    const part = Math.min(1, warmUpRequests / 10_000);
    const [calls, keys, near] = [CALLS, MANY_KEYS, NEAR_CALLS].map((count) => Math.ceil(count * part)) as [
      number,
      number,
      number,
    ];
    const ask = (path: string, count: number): Promise<number> => cpuUsOf(server, bench, path, count);
    const get = (keyCount: number, dictionaries: number): Promise<number> =>
      ask(`get?${calls}-${keyCount}-${dictionaries}`, calls);
    await ask(`fill?${keys}-${keys}-1`, keys);
    // as many keys in each dictionary as the scenario of few keys has
    await ask(`fill?${FEW_KEYS * MANY_DICTIONARIES}-${FEW_KEYS}-${MANY_DICTIONARIES}`, 1);
    for (let i = 0; i < 2; i++) {
      await get(1, 1);
      await ask(`incr-many?${calls}-1-1`, calls);
    }
    return async () => {
      const before = await redis.counts();
      const getUs = await get(1, 1);
      const after = await redis.counts();
      const incrUs = await ask(`incr-many?${calls}-1-1`, calls);
      return {
        getUs,
        incrUs,
        commandsPerRead: (after.commands - before.commands) / (after.reads - before.reads),
        nearTimesMemory: await compareInTurns(
          () => ask(`near?${near}`, near),
          () => ask(`memory?${near}`, near),
        ),
        timesKeys: await compareInTurns(
          () => get(keys, 1),
          () => get(FEW_KEYS, 1),
        ),
        timesDictionaries: await compareInTurns(
          () => get(FEW_KEYS, MANY_DICTIONARIES),
          () => get(FEW_KEYS, 1),
        ),
      };
    };
  }, storeWishes(redis)),
);

/** CPU time of the gateway for each call of a request. */
async function cpuUsOf(
  server: ServerProcess,
  { workspace }: Bench,
  path: string,
  calls: number,
): Promise<number> {
  const before = server.cpuMs();
  const { status, body } = await fetchOnce({
    port: server.port,
    path: `/bench/store/${path}`,
    ca: workspace.certificate,
    timeoutMs: LOAD_TIMEOUT_MS,
  });
  const usedMs = server.cpuMs() - before;
  if (status !== 200 || body !== 'done') throw new Error(`The answer to ${path} is ${status} "${body}"`);
  return (usedMs * 1000) / calls;
}

/** How many times as much the one takes as the other, each first in every other turn. */
async function compareInTurns(one: () => Promise<number>, other: () => Promise<number>): Promise<number> {
  const ratios: number[] = [];
  for (let turn = 0; turn < TURNS; turn++) {
    const first = turn % 2 === 0 ? await one() : await other();
    const second = turn % 2 === 0 ? await other() : await one();
    ratios.push(turn % 2 === 0 ? first / second : second / first);
  }
  return median(ratios);
}
