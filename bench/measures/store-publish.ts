/**
 * Measures how long a message of `httpd.publish` is on its way over a store to one subscriber on each of three gateways: from the request that
 * publishes it to the last of the three, as clients see it.
 */
import { readFileSync } from 'node:fs';
import { type ClientHttp2Session, connect } from 'node:http2';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ServerProcess } from '../server-process.ts';
import { ask } from './ask.ts';
import { type Measure, type Sample, startServer } from './measure.ts';
import { storeWishes, withStore } from './with-store.ts';

const GATEWAYS = 3;
/** One message after the other: so many in a second. */
const MESSAGES_PER_SECOND = 100;
/** A measurement lasts so many times as long as that of another latency, as it has fewer samples in a second. */
const TIMES_LATENCY_SECONDS = 3;
const WARM_UP_MESSAGES = 300;
/** A message that is later than this is lost. */
const MESSAGE_TIMEOUT_MS = 5000;

/** A message on its way. */
interface Sent {
  readonly at: number;
  /** Gateways whose subscriber has not got it. */
  left: number;
}

export const storePublish: Measure = withStore((redis) => async (peer, bench) => {
  const servers: ServerProcess[] = [];
  const sessions: ClientHttp2Session[] = [];
  const onTheWay = new Map<string, Sent>();
  let times: number[] = [];
  let published = 0;
  const close = async (): Promise<void> => {
    for (const session of sessions) session.destroy();
    await Promise.all(servers.map((server) => server.stop()));
  };
  const received = (message: string): void => {
    const sent = onTheWay.get(message);
    if (sent === undefined) return;
    sent.left -= 1;
    if (sent.left > 0) return;
    onTheWay.delete(message);
    times.push(performance.now() - sent.at);
  };
  /** Sends messages at the rate, each by the gateway behind the last one's, and waits for all. */
  const run = async (count: number, perSecond: number): Promise<readonly number[]> => {
    times = [];
    const start = performance.now();
    const requests: Promise<string>[] = [];
    for (let i = 0; i < count; i++) {
      const waitMs = start + (i * 1000) / perSecond - performance.now();
      if (waitMs > 0) await sleep(waitMs);
      const message = `m${published++}`;
      const session = sessions[i % GATEWAYS] as ClientHttp2Session;
      onTheWay.set(message, { at: performance.now(), left: GATEWAYS });
      requests.push(ask(session, `/bench/store/publish?${message}`));
    }
    await Promise.all(requests);
    const deadline = performance.now() + MESSAGE_TIMEOUT_MS;
    while (onTheWay.size > 0 && performance.now() < deadline) await sleep(10);
    if (onTheWay.size > 0) throw new Error(`${onTheWay.size} of ${count} messages have not reached all`);
    return times.toSorted((a, b) => a - b);
  };
  try {
    const ca = readFileSync(bench.workspace.path('certificate.pem'));
    for (let i = 0; i < GATEWAYS; i++) {
      const server = await startServer(peer, bench, storeWishes(redis));
      servers.push(server);
      const session = connect(`https://localhost:${server.port}`, { ca });
      session.on('error', () => undefined);
      sessions.push(session);
      await subscribe(session, received);
    }
    const count = Math.ceil(bench.effort.latencySeconds * TIMES_LATENCY_SECONDS * MESSAGES_PER_SECOND);
    await run(Math.min(count, WARM_UP_MESSAGES), MESSAGES_PER_SECOND);
    return {
      sample: async (): Promise<Sample> => {
        const before = servers.reduce((sum, server) => sum + server.cpuMs(), 0);
        const sorted = await run(count, MESSAGES_PER_SECOND);
        const usedMs = servers.reduce((sum, server) => sum + server.cpuMs(), 0) - before;
        return {
          p99Ms: at(sorted, 0.99),
          medianMs: at(sorted, 0.5),
          cpuUs: (usedMs * 1000) / count,
        };
      },
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
});

function at(sorted: readonly number[], part: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN;
}

/** Resolves when the gateway has subscribed; lines that come later are messages. */
function subscribe(session: ClientHttp2Session, received: (message: string) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const stream = session.request({ ':path': '/bench/store/events' });
    let rest = '';
    stream.on('error', reject);
    stream.setEncoding('latin1').on('data', (piece: string) => {
      const lines = (rest + piece).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) {
        if (line === '.') resolve();
        else received(line);
      }
    });
  });
}
