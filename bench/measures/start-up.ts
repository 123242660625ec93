/** From the start of the process to its first answer, with two workers and one mapping. */
import { type Measure, startServer } from './measure.ts';

const WORKERS = 2;

export const startUp: Measure = async (peer, bench) => ({
  sample: async () => {
    const server = await startServer(peer, bench, { workers: WORKERS });
    const readyMs = server.readyMs;
    await server.stop();
    return { readyMs };
  },
  close: async () => undefined,
});
