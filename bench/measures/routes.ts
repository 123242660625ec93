/** Measures what a script with many patterns costs a request, against a script with one in the same process. */
import { type Load, prepareLoad } from './load.ts';
import { type Measure, type Sample, withServer } from './measure.ts';

const PATTERN = '/r500/users/7';
const PLAIN = '/plain';

/** One sample loads the two scripts in turns: a path that fits a pattern, and a plain name. */
export function routes(settings: Omit<Load, 'handler'>): Measure {
  return withServer(
    async (server, bench) => {
      const prepare = (handler: 'routes-1' | 'routes-1000', below: string): Promise<() => Promise<Sample>> =>
        prepareLoad(server, { ...settings, handler, below }, bench);
      const one = await prepare('routes-1', PATTERN);
      const many = await prepare('routes-1000', PATTERN);
      const plainOfOne = await prepare('routes-1', PLAIN);
      const plainOfMany = await prepare('routes-1000', PLAIN);
      const cpuUs = async (run: () => Promise<Sample>): Promise<number> =>
        (await run())['cpuUs'] ?? Number.NaN;
      return async () => {
        const ofOne = await cpuUs(one);
        const ofMany = await cpuUs(many);
        const plainUs = await cpuUs(plainOfOne);
        return {
          cpuUs: ofMany,
          plainUs,
          timesOne: ofMany / ofOne,
          timesPlain: (await cpuUs(plainOfMany)) / plainUs,
        };
      };
    },
    { further: ['routes-1', 'routes-1000'] },
  );
}
