/**
 * `wrk` without TLS, as the READMEs of mini_http and HTTP-Cluster measure: HTTP/1.1, one request at a time on each connection.
 */
import type { ServerProcess } from '../server-process.ts';
import { LOAD_TIMEOUT_MS } from './load.ts';
import { type Effort, type Measure, type Sample, withServer } from './measure.ts';
import { runTool } from './run-tool.ts';

const CONNECTIONS = 100;
const THREADS = 2;
/** wrk accepts only whole seconds. */
const SECONDS_MIN = 1;

export const wrkLoad: Measure = withServer(async (server, { effort }) => {
  const run = (): Promise<Sample> => runWrk(server, secondsOf(effort));
  // the first run warms the server up
  await run();
  return run;
});

function secondsOf({ loadSeconds }: Effort): number {
  return Math.max(SECONDS_MIN, Math.round(loadSeconds));
}

async function runWrk(server: ServerProcess, seconds: number): Promise<Sample> {
  const before = server.cpuMs();
  const url = `http://127.0.0.1:${server.plainPort}/bench/hello`;
  const words = [`-t${THREADS}`, `-c${CONNECTIONS}`, `-d${seconds}s`, url];
  const { status, output } = await runTool('wrk', words, LOAD_TIMEOUT_MS);
  const usedMs = server.cpuMs() - before;
  const count = Number(output.match(/(\d+) requests in/)?.[1] ?? 0);
  const wrong = output.match(/Non-2xx or 3xx responses.*|Socket errors.*/)?.[0];
  if (status !== 0 || count === 0 || wrong !== undefined) throw new Error(`wrk failed: ${wrong ?? output}`);
  const requestsPerSecond = Number(output.match(/Requests\/sec:\s+([\d.]+)/)?.[1]);
  return { requestsPerSecond, cpuUs: (usedMs * 1000) / count };
}
