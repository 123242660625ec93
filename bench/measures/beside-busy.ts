/** Measures the latency of small requests on a worker while a handler computes there. */
import { readFileSync } from 'node:fs';
import { type ClientHttp2Session, connect } from 'node:http2';
import { withServer } from './measure.ts';

const REQUESTS = 50;
/** How long the handler computes, in seconds; long enough for all the small requests. */
const BUSY_S = 2;

/** One handler computes for two seconds; fifty requests run one after another at the same time. */
export const besideBusy: ReturnType<typeof withServer> = withServer(async (server, { workspace }) => {
  const ask = async (session: ClientHttp2Session, path: string): Promise<number> => {
    const start = performance.now();
    await new Promise<void>((resolve, reject) => {
      const stream = session.request({ ':path': path });
      stream.on('response', (head) => {
        if (head[':status'] !== 200) reject(new Error(`${path} was answered ${head[':status']}`));
      });
      stream.on('error', reject);
      stream.on('close', resolve);
      stream.resume();
    });
    return performance.now() - start;
  };
  return async () => {
    const session = connect(`https://localhost:${server.port}`, {
      ca: readFileSync(workspace.path('certificate.pem')),
    });
    session.on('error', () => undefined);
    await ask(session, '/bench/hello');
    const busy = ask(session, `/bench/busy?${BUSY_S}`);
    const times: number[] = [];
    for (let i = 0; i < REQUESTS; i++) times.push(await ask(session, '/bench/hello'));
    await busy;
    session.close();
    times.sort((a, b) => a - b);
    const p99 = times[Math.ceil(times.length * 0.99) - 1] ?? Number.NaN;
    return { p99Ms: p99, medianMs: times[REQUESTS / 2] ?? Number.NaN };
  };
});
