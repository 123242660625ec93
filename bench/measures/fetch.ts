/**
 * Measures a handler that sends a request to an upstream for each request, and compares it with undici alone, which sends as
 * many.
 */
import { fetchOnce } from '../client.ts';
import type { ServerProcess } from '../server-process.ts';
import { Upstream } from '../upstream.ts';
import { LOAD_TIMEOUT_MS, load, prepareRuns } from './load.ts';
import { type Measure, type Sample, withServer } from './measure.ts';
import { releaseUpstream } from './release-upstream.ts';

export interface FetchLoad {
  readonly connections: number;
  readonly streams: number;
}

/** Counts the CPU time of the peer's process only, not that of h2load or the upstream. */
export function fetchLoad({ connections, streams }: FetchLoad): Measure {
  return async (peer, bench) => {
    const { url } = await Upstream.acquire();
    const measure =
      peer.name === 'undici'
        ? undiciAlone(url, connections * streams)
        : load({ handler: 'fetch', query: url, protocol: 'h2', connections, streams });
    return releaseUpstream('hello', measure(peer, bench));
  };
}

function undiciAlone(url: string, concurrency: number): Measure {
  return withServer(async (server, { workspace, effort }) => {
    const run = (count: number): Promise<Sample> =>
      runUndici(server, { url, count, concurrency }, workspace.certificate);
    return prepareRuns(run, effort);
  });
}

async function runUndici(
  server: ServerProcess,
  { url, count, concurrency }: { url: string; count: number; concurrency: number },
  ca: string,
): Promise<Sample> {
  const query = new URLSearchParams({ url, count: String(count), concurrency: String(concurrency) });
  const before = server.cpuMs();
  const { status, body } = await fetchOnce({
    port: server.port,
    path: `/bench/fetch?${query}`,
    ca,
    timeoutMs: LOAD_TIMEOUT_MS,
  });
  const usedMs = server.cpuMs() - before;
  if (status !== 200) throw new Error(body);
  return { requestsPerSecond: count / Number(body), cpuUs: (usedMs * 1000) / count };
}
