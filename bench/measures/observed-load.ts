/** Measures what it costs to be observed: small requests with metrics, with metrics and access log, and with neither. */
import type { ServerProcess } from '../server-process.ts';
import { type Load, type LoadRun, prepareLoad } from './load.ts';
import { type Measure, startServer } from './measure.ts';
import { Turns } from './turns.ts';

const METRICS: readonly string[] = ['--admin', '0'];
const BOTH: readonly string[] = [
  ...METRICS,
  '--access-log',
  '--log-level',
  'info',
  '--log-file',
  '/dev/null',
];

/** One sample runs the load on each of three servers in turns. The ratios are to the one that is not observed. */
export function observedLoad(load: Omit<Load, 'handler'>): Measure {
  return async (peer, bench) => {
    const servers: ServerProcess[] = [];
    const stop = async (): Promise<void> => {
      await Promise.all(servers.map((server) => server.stop()));
    };
    try {
      const runs: LoadRun[] = [];
      for (const options of [[], METRICS, BOTH]) {
        const server = await startServer(peer, bench, { options });
        servers.push(server);
        runs.push(await prepareLoad(server, { ...load, handler: 'hello' }, bench));
      }
      return {
        sample: async () => {
          const turns = await Turns.run(runs);
          return {
            cpuUs: turns.cpuUs(2),
            metricsUs: turns.cpuUs(1),
            unobservedUs: turns.cpuUs(0),
            timesUnobserved: turns.ratio(2, 0),
            metricsTimesUnobserved: turns.ratio(1, 0),
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
