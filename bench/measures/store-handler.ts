/** Measures a handler that does one `incr` in a store, and in turns one that does it in memory, in the same process. */
import { compareInTurns, type Load, prepareLoad } from './load.ts';
import { type Measure, withServer } from './measure.ts';
import { storeWishes, withStore } from './with-store.ts';

export function storeHandler(shape: Omit<Load, 'handler'>): Measure {
  return withStore((redis) =>
    withServer(async (server, bench) => {
      const runMemory = await prepareLoad(server, { ...shape, handler: 'store/memory-incr' }, bench);
      const runStore = await prepareLoad(server, { ...shape, handler: 'store/incr' }, bench);
      return async () => {
        const {
          helloCpuUs: memoryUs = Number.NaN,
          timesHello: storeTimesMemory = Number.NaN,
          ...rest
        } = await compareInTurns(runMemory, runStore);
        return { ...rest, memoryUs, storeTimesMemory };
      };
    }, storeWishes(redis)),
  );
}
