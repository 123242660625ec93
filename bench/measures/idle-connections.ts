/** Measures the memory of idle TLS connections that have each served one request, on a server that has served load before. */
import { once } from 'node:events';
import { connect as connectHttp2 } from 'node:http2';
import { connect as connectTls } from 'node:tls';
import type { ServerProcess } from '../server-process.ts';
import { type Load, prepareLoad } from './load.ts';
import { type Bench, type Measure, type Sample, startServer } from './measure.ts';

const KIBIBYTE = 1024;
/** More simultaneous handshakes would overflow the listen queues of some servers. */
const CONNECTIONS_AT_ONCE = 20;
/** Opened before the measurement, because the first connections pay for structures that a server allocates once. */
const WARM_UP_CONNECTIONS = 40;
/** Limit for one answer, so that a server that does not answer cannot block the bench. */
const ANSWER_TIMEOUT_MS = 15_000;

interface IdleConnection {
  readonly hasEnded: () => boolean;
  readonly destroy: () => void;
}

/** Each round starts a new server: a heap that has already grown would hide the growth of the next round. */
export function idleConnections(protocol: Load['protocol']): Measure {
  return async (peer, bench) => ({
    sample: async () => {
      const server = await startServer(peer, bench);
      try {
        // without this load, V8's young generation would grow during the measurement and count as memory of the connections
        await prepareLoad(
          server,
          { handler: 'hello', protocol, connections: 10, streams: protocol === 'h2' ? 20 : 1 },
          bench,
        );
        return await openMany(server, bench, protocol === 'h2' ? openHttp2 : openHttp1);
      } finally {
        await server.stop();
      }
    },
    close: async () => undefined,
  });
}

async function openMany(
  server: ServerProcess,
  { workspace, effort }: Bench,
  open: typeof openHttp2,
): Promise<Sample> {
  const connections: IdleConnection[] = [];
  const openUpTo = async (total: number): Promise<void> => {
    while (connections.length < total) {
      const count = Math.min(CONNECTIONS_AT_ONCE, total - connections.length);
      const opened = Array.from({ length: count }, () => open(server.port, workspace.certificate));
      connections.push(...(await Promise.all(opened)));
    }
  };
  try {
    await openUpTo(WARM_UP_CONNECTIONS);
    const before = server.residentBytes();
    await openUpTo(WARM_UP_CONNECTIONS + effort.idleConnections);
    const growth = server.residentBytes() - before;
    const ended = connections.filter(({ hasEnded }) => hasEnded()).length;
    if (ended > 0) throw new Error(`${ended} of ${connections.length} connections did not stay open`);
    return { kibEach: growth / KIBIBYTE / effort.idleConnections };
  } finally {
    for (const { destroy } of connections) destroy();
  }
}

async function openHttp2(port: number, ca: string): Promise<IdleConnection> {
  const session = connectHttp2(`https://127.0.0.1:${port}`, { ca });
  // the event 'close' follows an error, and the code below waits for it
  session.on('error', () => undefined);
  const stream = session.request({ ':path': '/bench/hello' });
  stream.resume();
  await once(stream, 'end', { signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS) });
  return { hasEnded: () => session.closed || session.destroyed, destroy: () => session.destroy() };
}

async function openHttp1(port: number, ca: string): Promise<IdleConnection> {
  const socket = connectTls({ host: '127.0.0.1', port, ca, ALPNProtocols: ['http/1.1'] });
  socket.write(`GET /bench/hello HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n\r\n`);
  // a server sends the end of its small answer in the first packet or in the next one; both have been sent before the last
  // connection is open
  const [head] = (await once(socket, 'data', { signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS) })) as [Buffer];
  if (!head.toString('latin1').startsWith('HTTP/1.1 200 ')) throw new Error(`Not answered with 200: ${head}`);
  socket.on('error', () => undefined);
  socket.resume();
  let hasEnded = false;
  const noteEnd = (): void => {
    hasEnded = true;
  };
  socket.once('end', noteEnd);
  socket.once('close', noteEnd);
  return { hasEnded: () => hasEnded, destroy: () => socket.destroy() };
}
