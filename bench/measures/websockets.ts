/** Measures WebSockets: the echo of small messages, and the memory of sockets on which nothing happens. */

import { once } from 'node:events';
import type { Socket } from 'node:net';
import { connect as connectTcp } from 'node:net';
import type { ServerProcess } from '../server-process.ts';
import { prepareLoad, prepareRuns } from './load.ts';
import { type Measure, type Sample, startServer, withServer } from './measure.ts';
import { EchoLoad, openWebSocket } from './websocket-client.ts';

const KIBIBYTE = 1024;
const ECHO_PATH = '/bench/websocket-echo';
/** More at once would overflow the queue of connections that wait to be accepted. */
const OPENED_AT_ONCE = 50;
/** Opened before the measurement, because the first sockets pay for structures that a server allocates once. */
const WARM_UP_SOCKETS = 40;
/** The goal speaks of ten thousand idle sockets: so many for each idle connection of the other scenarios. */
const SOCKETS_FACTOR = 10;

/** Messages of `bytes` bytes on `connections` connections over TLS, one under way on each. */
export function websocketEcho(connections: number, bytes: number): Measure {
  return withServer(async (server, { workspace, effort }) => {
    const sockets: Socket[] = [];
    while (sockets.length < connections)
      sockets.push(await openWebSocket(server, ECHO_PATH, workspace.certificate));
    const load = new EchoLoad(sockets, bytes);
    return prepareRuns(async (count) => {
      const cpuBefore = server.cpuMs();
      const startedAt = performance.now();
      await load.run(count);
      const seconds = (performance.now() - startedAt) / 1000;
      return { cpuUs: ((server.cpuMs() - cpuBefore) * 1000) / count, requestsPerSecond: count / seconds };
    }, effort);
  });
}

/** Each round starts two new servers: the growth of one by plain connections is taken from that of the other by WebSockets. */
export const idleWebsockets: Measure = async (peer, bench) => ({
  sample: async () => {
    const growth = async (open: typeof openWebSocket): Promise<number> => {
      const server = await startServer(peer, bench);
      try {
        // without this load, V8's young generation would grow during the measurement and count as memory of the sockets
        const load = { handler: 'hello', protocol: 'http/1.1', connections: 10, streams: 1 } as const;
        await prepareLoad(server, load, bench);
        return await measureGrowth(server, bench.effort.idleConnections * SOCKETS_FACTOR, open);
      } finally {
        await server.stop();
      }
    };
    const plainKib = await growth(openPlain);
    const websocketKib = await growth(openWebSocket);
    return { kibEach: websocketKib - plainKib, plainKib, websocketKib } satisfies Sample;
  },
  close: async () => undefined,
});

async function measureGrowth(
  server: ServerProcess,
  count: number,
  open: typeof openWebSocket,
): Promise<number> {
  const sockets: Socket[] = [];
  let ended = 0;
  const openUpTo = async (total: number): Promise<void> => {
    while (sockets.length < total) {
      const next = Math.min(OPENED_AT_ONCE, total - sockets.length);
      const opened = await Promise.all(Array.from({ length: next }, () => open(server, ECHO_PATH)));
      for (const socket of opened) {
        socket.resume();
        socket.once('close', () => {
          ended += 1;
        });
      }
      sockets.push(...opened);
    }
  };
  try {
    await openUpTo(WARM_UP_SOCKETS);
    const before = server.residentBytes();
    await openUpTo(count);
    const growth = server.residentBytes() - before;
    if (ended > 0) throw new Error(`${ended} of ${sockets.length} sockets did not stay open`);
    return growth / KIBIBYTE / (count - WARM_UP_SOCKETS);
  } finally {
    for (const socket of sockets) socket.destroy();
  }
}

/** An idle connection without TLS that has served one request. */
async function openPlain(server: ServerProcess): Promise<Socket> {
  const socket = connectTcp({ host: '127.0.0.1', port: server.plainPort });
  socket.write('GET /bench/hello HTTP/1.1\r\nHost: localhost\r\n\r\n');
  const [head] = (await once(socket, 'data')) as [Buffer];
  if (!head.toString('latin1').startsWith('HTTP/1.1 200 ')) throw new Error(`Not answered with 200: ${head}`);
  socket.on('error', () => undefined);
  return socket;
}
