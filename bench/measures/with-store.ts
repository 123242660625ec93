/** Gives a measure a Redis of its own, and the options by which a gateway uses it. */
import { RedisServer } from '../redis-server.ts';
import type { Measure, ServerWishes } from './measure.ts';

/** The dictionary `memory` of the scripts is in memory, all others in the store. */
export function storeWishes({ url }: RedisServer): ServerWishes {
  return { further: ['store'], options: ['--store', url, '--shared', 'memory=16M'] };
}

/** Starts the store before the server, and ends it behind it. */
export function withStore(open: (redis: RedisServer) => Measure): Measure {
  return async (peer, bench) => {
    const redis = await RedisServer.start(bench.workspace.folder);
    try {
      const session = await open(redis)(peer, bench);
      return {
        sample: () => session.sample(),
        close: async () => {
          await session.close();
          await redis.stop();
        },
      };
    } catch (error) {
      await redis.stop();
      throw error;
    }
  };
}
