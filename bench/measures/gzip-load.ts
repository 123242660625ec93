/** Measures compressed answers of 100 KiB: what one costs beside node:zlib alone, and what plain requests wait beside twenty. */
import { readFileSync } from 'node:fs';
import { type ClientHttp2Session, connect } from 'node:http2';
import { gunzipSync, gzip } from 'node:zlib';
import { ask } from './ask.ts';
import { h2load, type Load } from './load.ts';
import { type Measure, type Sample, withServer } from './measure.ts';

const LOAD: Load = {
  handler: 'gzip',
  protocol: 'h2',
  connections: 1,
  streams: 20,
  fields: ['accept-encoding: gzip'],
};
/** Of the gateway, so that both do the same work. */
const LEVEL = 4;
const PATH = '/bench/gzip';
const ANSWERS = 500;
const WARM_UP_ANSWERS = 200;
const BODY_BYTES = 100 * 1024;

/** The sample holds µs of processor time for an answer, their ratio to node:zlib, and the latency of plain requests beside the load. */
export const gzipLoad: Measure = withServer(async (server, { workspace }) => {
  const ca = readFileSync(workspace.path('certificate.pem'));
  const session = connect(`https://localhost:${server.port}`, { ca });
  const body = gunzipSync(await bytesOf(session));
  session.close();
  if (body.length !== BODY_BYTES) throw new Error(`The answer has ${body.length} bytes`);
  await h2load(server, LOAD, WARM_UP_ANSWERS, []);
  await zlibAlone(body, WARM_UP_ANSWERS);
  return async (): Promise<Sample> => {
    const zlibUs = await zlibAlone(body, ANSWERS);
    const before = server.cpuMs();
    await h2load(server, LOAD, ANSWERS, []);
    const cpuUs = ((server.cpuMs() - before) * 1000) / ANSWERS;
    const times = await timesBeside(() => h2load(server, LOAD, ANSWERS, []), server.port, ca);
    const p99Ms = times[Math.ceil(times.length * 0.99) - 1] ?? Number.NaN;
    return { cpuUs, zlibUs, timesZlib: cpuUs / zlibUs, p99Ms };
  };
});

/** Processor time of this process for one body, with as many at once as the load has (µs). */
async function zlibAlone(body: Buffer, count: number): Promise<number> {
  let left = count;
  const one = (): Promise<void> =>
    new Promise((resolve, reject) =>
      gzip(body, { level: LEVEL }, (error) => (error === null ? resolve() : reject(error))),
    );
  const worker = async (): Promise<void> => {
    while (left > 0) {
      left -= 1;
      await one();
    }
  };
  const start = process.cpuUsage();
  await Promise.all(Array.from({ length: LOAD.streams }, worker));
  const { user, system } = process.cpuUsage(start);
  return (user + system) / count;
}

/** The latency of plain requests, one after another, while `load` runs; sorted (ms). */
async function timesBeside(load: () => Promise<unknown>, port: number, ca: Buffer): Promise<number[]> {
  const session = connect(`https://localhost:${port}`, { ca });
  try {
    await ask(session, '/bench/hello');
    let hasEnded = false;
    const running = load().finally(() => {
      hasEnded = true;
    });
    const times: number[] = [];
    while (!hasEnded) {
      const start = performance.now();
      await ask(session, '/bench/hello');
      times.push(performance.now() - start);
    }
    await running;
    return times.sort((a, b) => a - b);
  } finally {
    session.destroy();
  }
}

function bytesOf(session: ClientHttp2Session): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const stream = session.request({ ':path': PATH, 'accept-encoding': 'gzip' });
    const chunks: Buffer[] = [];
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.on('error', reject);
    stream.on('end', () => resolve(Buffer.concat(chunks)));
  });
}
