/** Memory of connections that have served one request each and then do nothing. */
import { once } from 'node:events';
import { type ClientHttp2Session, connect } from 'node:http2';
import type { ServerProcess } from '../server-process.ts';
import { type Bench, type Measure, type Sample, startServer } from './measure.ts';

const KIBIBYTE = 1024;
/** More handshakes at a time would overflow the listen queues of some servers. */
const CONNECTIONS_AT_ONCE = 20;
/** Opened before anything counts: the first ones pay for what a server sets up once. */
const WARM_UP_CONNECTIONS = 40;

/** Each round has a server of its own: a heap that has grown once would hide the next growth. */
export const idleConnections: Measure = async (peer, bench) => ({
  sample: async () => {
    const server = await startServer(peer, bench);
    try {
      return await openMany(server, bench);
    } finally {
      await server.stop();
    }
  },
  close: async () => undefined,
});

async function openMany(server: ServerProcess, { workspace, effort }: Bench): Promise<Sample> {
  const sessions: ClientHttp2Session[] = [];
  const openUpTo = async (total: number): Promise<void> => {
    while (sessions.length < total) {
      const count = Math.min(CONNECTIONS_AT_ONCE, total - sessions.length);
      const opened = Array.from({ length: count }, () => openAndAsk(server.port, workspace.certificate));
      sessions.push(...(await Promise.all(opened)));
    }
  };
  try {
    await openUpTo(WARM_UP_CONNECTIONS);
    const before = server.residentBytes();
    await openUpTo(WARM_UP_CONNECTIONS + effort.idleConnections);
    const growth = server.residentBytes() - before;
    const ended = sessions.filter((session) => session.closed || session.destroyed).length;
    if (ended > 0) throw new Error(`${ended} of ${sessions.length} connections did not stay open`);
    return { kibEach: growth / KIBIBYTE / effort.idleConnections };
  } finally {
    for (const session of sessions) session.destroy();
  }
}

async function openAndAsk(port: number, ca: string): Promise<ClientHttp2Session> {
  const session = connect(`https://127.0.0.1:${port}`, { ca });
  // 'close' follows; that is what counts
  session.on('error', () => undefined);
  const stream = session.request({ ':path': '/bench/hello' });
  stream.resume();
  await once(stream, 'end');
  return session;
}
