/** Measures what it costs to be observed: small requests with metrics, with metrics and access log, and with neither. */
import type { ServerProcess } from '../server-process.ts';
import { type Load, prepareLoad } from './load.ts';
import { type Measure, type Sample, startServer } from './measure.ts';

const METRICS: readonly string[] = ['--admin', '0'];
const BOTH: readonly string[] = [
  ...METRICS,
  '--access-log',
  '--log-level',
  'info',
  '--log-file',
  '/dev/null',
];

/** One sample runs the load on each of three servers in turn. The ratios are to the one that is not observed. */
export function observedLoad(load: Omit<Load, 'handler'>): Measure {
  return async (peer, bench) => {
    const servers: ServerProcess[] = [];
    const stop = async (): Promise<void> => {
      await Promise.all(servers.map((server) => server.stop()));
    };
    try {
      const runs: (() => Promise<Sample>)[] = [];
      for (const options of [[], METRICS, BOTH]) {
        const server = await startServer(peer, bench, { options });
        servers.push(server);
        runs.push(await prepareLoad(server, { ...load, handler: 'hello' }, bench));
      }
      return {
        sample: async () => {
          const times: number[] = [];
          for (const run of runs) times.push((await run())['cpuUs'] ?? Number.NaN);
          const [unobservedUs = Number.NaN, metricsUs = Number.NaN, cpuUs = Number.NaN] = times;
          return {
            cpuUs,
            metricsUs,
            unobservedUs,
            timesUnobserved: cpuUs / unobservedUs,
            metricsTimesUnobserved: metricsUs / unobservedUs,
          };
        },
        close: stop,
      };
    } catch (error) {
      await stop();
      throw error;
    }
  };
}
