/** Measures what it costs to be observed: small requests with metrics, with metrics and access log, and with neither. */
import { median } from '../median.ts';
import type { ServerProcess } from '../server-process.ts';
import { type Load, type LoadRun, prepareLoad } from './load.ts';
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

/** An odd number, so that the median is one of the ratios. */
const TURNS = 5;
/** Part of the requests of one turn: with much fewer, the handshakes of each run would count. */
const TURN_PART = 1 / 3;

/**
 * One sample runs the load on each of three servers in short turns, which begin with another server each: what they differ by is less than what a busy machine
 * changes from one second to the next. The ratios are to the server that is not observed, within a turn.
 */
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
          const turns: number[][] = [];
          for (let turn = 0; turn < TURNS; turn++) {
            const times: number[] = [];
            for (let i = 0; i < runs.length; i++) {
              const which = (turn + i) % runs.length;
              times[which] = (await (runs[which] as LoadRun)(TURN_PART))['cpuUs'] ?? Number.NaN;
            }
            turns.push(times);
          }
          const of = (value: (times: readonly number[]) => number): number => median(turns.map(value));
          const at = (times: readonly number[], which: number): number => times[which] ?? Number.NaN;
          return {
            cpuUs: of((times) => at(times, 2)),
            metricsUs: of((times) => at(times, 1)),
            unobservedUs: of((times) => at(times, 0)),
            timesUnobserved: of((times) => at(times, 2) / at(times, 0)),
            metricsTimesUnobserved: of((times) => at(times, 1) / at(times, 0)),
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
