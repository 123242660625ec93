/** Measures requests that are passed on to an upstream of their own process: small answers, and large bodies in either direction. */
import { fetchOnce } from '../client.ts';
import type { ServerProcess } from '../server-process.ts';
import { Upstream } from '../upstream.ts';
import { compareInTurns, type Load, prepareLoad } from './load.ts';
import { MEBIBYTE, type Measure, type Sample, withServer } from './measure.ts';
import { releaseUpstream } from './release-upstream.ts';
import { runTool } from './run-tool.ts';

const ANSWER_BYTES = 1024;
/** A payload of the other scenarios goes through a proxy so many times: 1 GiB. */
const PAYLOADS = 4;
const TRANSFER_TIMEOUT_MS = 120_000;
const WRITE_OUT = '%{http_code} %{size_download} %{size_upload} %{time_pretransfer} %{time_total}';

/** Opens a measure of a server that has the upstream. */
function withUpstream(open: (upstream: Upstream) => Measure): Measure {
  return async (peer, bench) => {
    const upstream = await Upstream.acquire('proxied');
    return releaseUpstream('proxied', open(upstream)(peer, bench));
  };
}

/** lgateway also passes requests on by `httpd.proxy` and by `httpd.fetch`, and answers with its hello, in the same process and sample. */
export function proxyLoad(shape: Omit<Load, 'handler'>): Measure {
  return withUpstream(({ port }) => async (peer, bench) => {
    const isOurs = peer.handlers.includes('fetch');
    const measure = withServer(
      async (server) => {
        const run = (
          load: Pick<Load, 'handler' | 'below' | 'query' | 'bytes'>,
        ): Promise<() => Promise<Sample>> => prepareLoad(server, { ...shape, ...load }, bench);
        const runProxy = await run({ handler: 'proxy', below: `/${ANSWER_BYTES}`, bytes: ANSWER_BYTES });
        if (!isOurs) return runProxy;
        const query = `http://127.0.0.1:${port}/bench/proxy/${ANSWER_BYTES}`;
        const runs = {
          hello: await run({ handler: 'hello' }),
          lua: await run({ handler: 'proxy-lua', below: `/${ANSWER_BYTES}`, bytes: ANSWER_BYTES }),
          fetch: await run({ handler: 'fetch', query, bytes: ANSWER_BYTES }),
        };
        return async () => {
          const { cpuUs: helloCpuUs = Number.NaN } = await runs.hello();
          const sample = await runProxy();
          const { cpuUs: luaUs = Number.NaN } = await runs.lua();
          const { cpuUs: fetchUs = Number.NaN } = await runs.fetch();
          const { cpuUs = Number.NaN } = sample;
          const [timesHello, luaTimesHello] = [cpuUs / helloCpuUs, luaUs / helloCpuUs];
          return {
            ...sample,
            helloCpuUs,
            timesHello,
            luaUs,
            luaTimesHello,
            fetchUs,
            timesFetch: cpuUs / fetchUs,
          };
        };
      },
      { upstreamPort: port },
    );
    return measure(peer, bench);
  });
}

/** An answer that the cache keeps. lgateway also answers with its hello, in the same process and sample. */
export function cachedLoad(shape: Omit<Load, 'handler'>): Measure {
  return withUpstream(({ port }) => async (peer, bench) => {
    const isOurs = peer.handlers.includes('fetch');
    const measure = withServer(
      async (server) => {
        const kept = { handler: 'proxy', below: `/cached/${ANSWER_BYTES}`, bytes: ANSWER_BYTES } as const;
        const run = await prepareLoad(server, { ...shape, ...kept }, bench);
        if (!isOurs) return () => run();
        const runHello = await prepareLoad(server, { ...shape, handler: 'hello' }, bench);
        return () => compareInTurns(runHello, run);
      },
      { upstreamPort: port, options: isOurs ? ['--proxy-cache'] : [] },
    );
    return measure(peer, bench);
  });
}

/** Both directions in one sample; memory counts from the moment when the server has passed on a small answer. */
export const proxyTransfer: Measure = withUpstream(({ port }) =>
  withServer(
    async (server, bench) => {
      const bytes = bench.effort.payloadBytes * PAYLOADS;
      const path = `/bench/proxy/${ANSWER_BYTES}`;
      const { status } = await fetchOnce({ port: server.port, path, ca: bench.workspace.certificate });
      if (status !== 200) throw new Error(`Status ${status} instead of 200`);
      const residentAtStart = server.residentBytes();
      return async () => {
        server.resetPeak();
        const down = await transfer(server, String(bytes), bytes, []);
        const up = await transfer(server, 'up', bytes, ['-T', bench.workspace.sparse(bytes)]);
        return {
          mibPerSecond: down.mibPerSecond,
          cpuMs: down.cpuMs,
          upMibPerSecond: up.mibPerSecond,
          upCpuMs: up.cpuMs,
          growthMib: (server.peakResidentBytes() - residentAtStart) / MEBIBYTE,
        };
      };
    },
    { upstreamPort: port },
  ),
);

/** Moves a body by curl. */
async function transfer(
  server: ServerProcess,
  name: string,
  bytes: number,
  words: readonly string[],
): Promise<{ readonly mibPerSecond: number; readonly cpuMs: number }> {
  const before = server.cpuMs();
  const { status: curlStatus, output } = await runTool(
    'curl',
    [
      ...['-s', '--http2', '--cacert', server.files.CERTIFICATE, '-o', '/dev/null', '-w', WRITE_OUT],
      ...[...words, `https://127.0.0.1:${server.port}/bench/proxy/${name}`],
    ],
    TRANSFER_TIMEOUT_MS,
  );
  const cpuMs = server.cpuMs() - before;
  const [status, downloaded, uploaded, connected = 0, total = 0] = output.split(' ').map(Number);
  const moved = words.length === 0 ? downloaded : uploaded;
  if (status !== 200 || curlStatus !== 0 || moved !== bytes)
    throw new Error(`Status ${status}, curl's ${curlStatus}, ${moved} of ${bytes} bytes have gone through`);
  return { mibPerSecond: bytes / MEBIBYTE / (total - connected), cpuMs };
}
