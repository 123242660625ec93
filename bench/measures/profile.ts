/**
 * Finds which functions of a worker take the time under a load. It uses its own process so that no measurement runs under the
 * profiler.
 */
import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type CpuProfile, type ProfileSummary, summarizeProfile } from '../cpu-profile.ts';
import type { Peer } from '../peers/peers.ts';
import { RedisServer } from '../redis-server.ts';
import type { ServerProcess } from '../server-process.ts';
import { Upstream } from '../upstream.ts';
import { type Load, prepareLoad } from './load.ts';
import { type Bench, type ServerWishes, startServer } from './measure.ts';
import { storeWishes } from './with-store.ts';

export interface ProfiledLoad extends Pick<ServerWishes, 'modes'> {
  readonly load: Load;
  /** `always`: in every run that is not quick. `asked`: only with `--profile`. */
  readonly when: 'always' | 'asked';
}

const FUNCTIONS_MAX = 10;
/** Interval of the samples, a quarter of V8's default, because a load lasts at most 1.5 s. */
const INTERVAL_US = 250;
const NS_PER_US = 1000;
/** Number of the main thread, which is the supervisor. */
const MAIN_THREAD = '0';

export async function profileLoad(
  peer: Peer,
  bench: Bench,
  { load, modes = [] }: ProfiledLoad,
): Promise<ProfileSummary> {
  const folder = bench.workspace.path(`profile-${Date.now()}`);
  mkdirSync(folder);
  const nodeOptions = ['--cpu-prof', `--cpu-prof-dir=${folder}`, `--cpu-prof-interval=${INTERVAL_US}`];
  const upstream = load.handler === 'fetch' ? await Upstream.acquire() : undefined;
  const redis = load.handler.startsWith('store/')
    ? await RedisServer.start(bench.workspace.folder)
    : undefined;
  let [fromUs, tillUs] = [0, 0];
  let server: ServerProcess | undefined;
  try {
    server = await startServer(peer, bench, { modes, nodeOptions, ...(redis && storeWishes(redis)) });
    const run = await prepareLoad(server, upstream ? { ...load, query: upstream.url } : load, bench);
    fromUs = monotonicUs();
    await run();
    tillUs = monotonicUs();
  } finally {
    // each thread writes its profile when it ends
    await server?.stop();
    if (upstream !== undefined) Upstream.release();
    await redis?.stop();
  }
  const summary = summarizeProfile(readWorkerProfile(folder), FUNCTIONS_MAX, fromUs, tillUs);
  if (summary.functions.length === 0) throw new Error('The profile holds nothing of the time of the load');
  return summary;
}

/** Finds the profile of the only worker. V8 names the files CPU.date.time.process.thread.number.cpuprofile. */
function readWorkerProfile(folder: string): CpuProfile {
  const names = readdirSync(folder);
  const name = names.find((file) => file.split('.')[4] !== MAIN_THREAD);
  if (name === undefined) throw new Error(`The worker wrote no profile; there is "${names.join('", "')}"`);
  return JSON.parse(readFileSync(join(folder, name), 'utf8')) as CpuProfile;
}

/** Reads the clock that V8 uses in profiles. */
function monotonicUs(): number {
  return Number(process.hrtime.bigint()) / NS_PER_US;
}
