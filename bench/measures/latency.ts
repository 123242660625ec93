/**
 * Measures how long requests wait at a fixed rate far below the peak rate of a server, from h2load's log of single requests.
 */
import { readFileSync, rmSync } from 'node:fs';
import { median } from '../median.ts';
import type { Peer } from '../peers/peers.ts';
import type { ServerProcess } from '../server-process.ts';
import { h2load, type Load, load, prepareLoad } from './load.ts';
import { type Bench, type Measure, type PreparedMeasure, type Sample, withServer } from './measure.ts';

/** Measurements of the peak rate; their median is used. */
const PEAK_SAMPLES = 3;
const SHARE_OF_PEAK = 0.5;
/**
 * Delay between the starts of two connections. h2load sends the requests that are due on a connection every 10 ms. A delay of
 * 11 ms makes the connections send 1 ms apart from each other. Without the delay all connections would send together, ten times
 * as much at once.
 */
const CONNECT_EVERY = '11ms';
const CONNECT_EVERY_MS = 11;
/**
 * Requests that may wait on one connection. The number is so large that a short pause of the server does not stop the sender.
 */
const WAITING_MAX = 100;
const US_PER_MS = 1000;
const US_PER_S = 1e6;

/** Sends to each peer at half the peak rate of `reference`, or of the first peer where `reference` is missing. */
export function latency(settings: Load, reference: Peer['name']): PreparedMeasure {
  return {
    prepare: async (peers, bench) => {
      const peer = peers.find(({ name }) => name === reference) ?? peers[0];
      if (peer === undefined) throw new Error('There is no peer to find the rate with');
      const rate = (await peakOf(peer, settings, bench)) * SHARE_OF_PEAK;
      return latencyAt(rate, settings);
    },
  };
}

async function peakOf(peer: Peer, settings: Load, bench: Bench): Promise<number> {
  const session = await load(settings)(peer, bench);
  try {
    const rates: number[] = [];
    for (let i = 0; i < PEAK_SAMPLES; i++) {
      const sample = await session.sample();
      rates.push(sample['requestsPerSecond'] ?? Number.NaN);
    }
    return median(rates);
  } finally {
    await session.close();
  }
}

function latencyAt(rate: number, settings: Load): Measure {
  return withServer(async (server, bench) => {
    await prepareLoad(server, settings, bench);
    return () => sendAtRate(server, settings, rate, bench);
  });
}

async function sendAtRate(
  server: ServerProcess,
  settings: Load,
  rate: number,
  { workspace, effort }: Bench,
): Promise<Sample> {
  const count = Math.round(rate * effort.latencySeconds);
  const log = workspace.path(`latency-${server.port}.log`);
  const before = server.cpuMs();
  await h2load(server, { ...settings, streams: WAITING_MAX }, count, [
    ...['--rps', String(rate / settings.connections), '--log-file', log],
    ...['--rate', '1', `--rate-period=${CONNECT_EVERY}`],
  ]);
  const usedMs = server.cpuMs() - before;
  const times = readTimes(log, settings.connections * CONNECT_EVERY_MS);
  rmSync(log);
  return { ...times, cpuUs: (usedMs * US_PER_MS) / count };
}

/** Leaves out the requests sent while h2load was still opening connections. */
function readTimes(log: string, skippedMs: number): Sample {
  const rows = readFileSync(log, 'latin1')
    .trimEnd()
    .split('\n')
    .map((line) => line.split('\t').map(Number));
  const first = rows.reduce(
    (least, [startUs = Number.NaN]) => Math.min(least, startUs),
    Number.POSITIVE_INFINITY,
  );
  const from = first + skippedMs * US_PER_MS;
  const kept = rows.filter(([startUs = 0]) => startUs >= from);
  const last = kept.reduce((most, [startUs = 0, , tookUs = 0]) => Math.max(most, startUs + tookUs), from);
  const times = Float64Array.from(kept, ([, , tookUs = Number.NaN]) => tookUs / US_PER_MS).sort();
  return {
    p99Ms: times[Math.ceil(times.length * 0.99) - 1] ?? Number.NaN,
    medianMs: times[Math.ceil(times.length * 0.5) - 1] ?? Number.NaN,
    requestsPerSecond: (kept.length * US_PER_S) / (last - from),
  };
}
