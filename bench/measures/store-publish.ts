/**
 * Measures how long a message of `httpd.publish` is on its way over a store to one subscriber on each of three gateways: from the request that
 * publishes it to the last of the three, as clients see it. The clients are bare sockets, since the time of a client counts, too.
 */
import { connect, type Socket } from 'node:net';
import type { ServerProcess } from '../server-process.ts';
import { type Measure, startServer } from './measure.ts';
import { storeWishes, withStore } from './with-store.ts';

const GATEWAYS = 3;
/** Messages of a round for each second of another latency: the next one leaves when the last subscriber has this one. */
const MESSAGES_PER_SECOND = 1000;
/** While servers warm up, so many messages are on their way together. */
const WARM_UP_AT_ONCE = 30;
/** A round that is not over by then has lost messages. */
const ROUND_TIMEOUT_MS = 60_000;

/** A message on its way. */
interface Sent {
  readonly at: number;
  /** Gateways whose subscriber has not got it. */
  left: number;
  arrived(ms: number): void;
}

export const storePublish: Measure = withStore((redis) => async (peer, bench) => {
  const servers: ServerProcess[] = [];
  const sockets: Socket[] = [];
  const publishers: Socket[] = [];
  const onTheWay = new Map<string, Sent>();
  let published = 0;
  const close = async (): Promise<void> => {
    for (const socket of sockets) socket.destroy();
    await Promise.all(servers.map((server) => server.stop()));
  };
  const received = (message: string): void => {
    const sent = onTheWay.get(message);
    if (sent === undefined) return;
    sent.left -= 1;
    if (sent.left > 0) return;
    onTheWay.delete(message);
    sent.arrived(performance.now() - sent.at);
  };
  /** Each message by the gateway behind the last one's; resolves to its time in ms. */
  const send = (): Promise<number> =>
    new Promise((arrived) => {
      const message = `m${published}`;
      const publisher = publishers[published % GATEWAYS];
      published += 1;
      onTheWay.set(message, { at: performance.now(), left: GATEWAYS, arrived });
      publisher?.write(requestOf(`publish?${message}`));
    });
  const run = async (count: number, atOnce: number): Promise<readonly number[]> => {
    const times: number[] = [];
    let left = count;
    const sendOn = async (): Promise<void> => {
      while (left > 0) {
        left -= 1;
        times.push(await send());
      }
    };
    const senders = Promise.all(Array.from({ length: atOnce }, sendOn));
    await within(ROUND_TIMEOUT_MS, senders, () => `${onTheWay.size} messages have not reached all`);
    return times.toSorted((a, b) => a - b);
  };
  try {
    for (let i = 0; i < GATEWAYS; i++) {
      const server = await startServer(peer, bench, storeWishes(redis));
      servers.push(server);
      const [subscriber, publisher] = [connect(server.plainPort), connect(server.plainPort)];
      sockets.push(subscriber, publisher);
      publishers.push(publisher.setNoDelay(true).on('error', () => undefined));
      // the answers to requests that publish are not waited for
      publisher.resume();
      await within(ROUND_TIMEOUT_MS, subscribe(subscriber, received), () => 'Nobody has subscribed');
    }
    const { latencySeconds, warmUpRequests } = bench.effort;
    await run(warmUpRequests, WARM_UP_AT_ONCE);
    const count = Math.ceil(latencySeconds * MESSAGES_PER_SECOND);
    await run(Math.ceil(count / 4), 1);
    return {
      sample: async () => {
        const before = cpuMsOf(servers);
        const sorted = await run(count, 1);
        const cpuUs = ((cpuMsOf(servers) - before) * 1000) / count;
        return { p99Ms: at(sorted, 0.99), medianMs: at(sorted, 0.5), cpuUs };
      },
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
});

function requestOf(path: string): string {
  return `GET /bench/store/${path} HTTP/1.1\r\nhost: localhost\r\n\r\n`;
}

function cpuMsOf(servers: readonly ServerProcess[]): number {
  return servers.reduce((sum, server) => sum + server.cpuMs(), 0);
}

function at(sorted: readonly number[], part: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN;
}

/** Rejects after `ms` with what has not happened. */
async function within<T>(ms: number, promise: Promise<T>, failure: () => string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${failure()} within ${ms} ms`)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Resolves when the gateway has subscribed, which a line with a dot says; the lines behind it that are no sizes of chunks are messages. */
function subscribe(socket: Socket, received: (message: string) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    let rest = '';
    socket.on('error', reject);
    socket.write(requestOf('events'));
    socket.setEncoding('latin1').on('data', (piece: string) => {
      const lines = (rest + piece).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) {
        if (line === '.') resolve();
        else if (line.startsWith('m')) received(line);
      }
    });
  });
}
