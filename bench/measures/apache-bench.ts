/** `ab -k -c 1000` without TLS, as the README of HTTP-Cluster measures: HTTP/1.0 with keep-alive on a thousand connections. */
import type { ServerProcess } from '../server-process.ts';
import { LOAD_TIMEOUT_MS, prepareRuns } from './load.ts';
import { type Measure, type Sample, withServer } from './measure.ts';
import { runTool } from './run-tool.ts';

const CONNECTIONS = 1000;

export const apacheBench: Measure = withServer((server, { effort }) =>
  // ab refuses a count of requests below the count of connections
  prepareRuns((count) => runAb(server, Math.max(count, CONNECTIONS)), effort),
);

async function runAb(server: ServerProcess, count: number): Promise<Sample> {
  const before = server.cpuMs();
  const url = `http://127.0.0.1:${server.plainPort}/bench/hello`;
  const words = ['-q', '-k', '-c', String(CONNECTIONS), '-n', String(count), url];
  const { status, output } = await runTool('ab', words, LOAD_TIMEOUT_MS);
  const usedMs = server.cpuMs() - before;
  const numberBehind = (label: string): number =>
    Number(output.match(new RegExp(`^${label}:\\s+([\\d.]+)`, 'm'))?.[1] ?? 0);
  const complete = numberBehind('Complete requests');
  const failed = numberBehind('Failed requests') + numberBehind('Non-2xx responses');
  if (status !== 0 || complete !== count || failed > 0)
    throw new Error(`${complete} of ${count} requests were answered, ${failed} of them wrongly: ${output}`);
  // the server may close each connection after its last answer, so one request for each connection may lack keep-alive
  if (numberBehind('Keep-Alive requests') < count - CONNECTIONS)
    throw new Error('The server does not keep connections of HTTP/1.0');
  return { requestsPerSecond: numberBehind('Requests per second'), cpuUs: (usedMs * 1000) / count };
}
