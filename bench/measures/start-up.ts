/**
 * Measures the time from the start of the process to its first answer, with two workers and one mapping, and its ratio to the
 * start of Node.
 */
import { type Measure, startServer } from './measure.ts';
import { runTool } from './run-tool.ts';

const WORKERS = 2;
/** Limit for a program that does nothing. */
const BARE_TIMEOUT_MS = 15_000;

export const startUp: Measure = async (peer, bench) => ({
  sample: async () => {
    const server = await startServer(peer, bench, { workers: WORKERS });
    const readyMs = server.readyMs;
    await server.stop();
    return { readyMs, timesBare: readyMs / (await bareMs()) };
  },
  close: async () => undefined,
});

/** Resolves to the duration of `node -e 0`, from the start of the process to its end, in ms. */
async function bareMs(): Promise<number> {
  const start = performance.now();
  const { status, output } = await runTool(process.execPath, ['-e', '0'], BARE_TIMEOUT_MS);
  if (status !== 0) throw new Error(`Node does not start: ${output}`);
  return performance.now() - start;
}
