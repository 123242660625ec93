/** Measures what one `incr` of a shared counter costs a handler: alone, and while another worker increments the same key. */
import { readFileSync } from 'node:fs';
import { type ClientHttp2Session, connect } from 'node:http2';
import { ask } from './ask.ts';
import { type Measure, startServer } from './measure.ts';

const ROUNDS = 100_000;
/** Connections to open until both workers have answered; the kernel chooses the worker of each connection. */
const CONNECTIONS_MAX = 200;

/** The sample holds microseconds of wall clock for each `incr` of a loop in Lua, with two workers. */
export const sharedIncr: Measure = async (peer, bench) => {
  const server = await startServer(peer, bench, { workers: 2 });
  const ca = readFileSync(bench.workspace.path('certificate.pem'));
  const sessions = new Map<string, ClientHttp2Session>();
  const close = async (): Promise<void> => {
    for (const session of sessions.values()) session.destroy();
    await server.stop();
  };
  const incrementUs = async (workers: readonly ClientHttp2Session[]): Promise<number> => {
    const start = performance.now();
    await Promise.all(workers.map((session) => ask(session, `/bench/shared-incr?${ROUNDS}`)));
    return ((performance.now() - start) * 1000) / ROUNDS;
  };
  try {
    for (let i = 0; sessions.size < 2; i++) {
      if (i === CONNECTIONS_MAX) throw new Error('No connection reached the second worker');
      const session = connect(`https://localhost:${server.port}`, { ca });
      session.on('error', () => undefined);
      const worker = await ask(session, '/bench/shared-incr?0');
      if (sessions.has(worker)) session.destroy();
      else sessions.set(worker, session);
    }
    const both = [...sessions.values()];
    for (const session of both) await incrementUs([session]);
    return {
      sample: async () => ({
        aloneUs: await incrementUs(both.slice(0, 1)),
        togetherUs: await incrementUs(both),
      }),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
};
