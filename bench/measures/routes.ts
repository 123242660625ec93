/** Measures what a script with many patterns costs a request, against a script with one in the same process. */
import { type Load, type LoadRun, prepareLoad } from './load.ts';
import { type Measure, withServer } from './measure.ts';
import { Turns } from './turns.ts';

const PATTERN = '/r500/users/7';
const PLAIN = '/plain';

/** One sample loads the two scripts in turns: a path that fits a pattern, and a plain name. */
export function routes(settings: Omit<Load, 'handler'>): Measure {
  return withServer(
    async (server, bench) => {
      const prepare = (handler: 'routes-1' | 'routes-1000', below: string): Promise<LoadRun> =>
        prepareLoad(server, { ...settings, handler, below }, bench);
      const one = await prepare('routes-1', PATTERN);
      const many = await prepare('routes-1000', PATTERN);
      const plainOfOne = await prepare('routes-1', PLAIN);
      const plainOfMany = await prepare('routes-1000', PLAIN);
      return async () => {
        const turns = await Turns.run([one, many, plainOfOne, plainOfMany]);
        return {
          cpuUs: turns.cpuUs(1),
          plainUs: turns.cpuUs(2),
          timesOne: turns.ratio(1, 0),
          timesPlain: turns.ratio(3, 2),
        };
      };
    },
    { further: ['routes-1', 'routes-1000'] },
  );
}
