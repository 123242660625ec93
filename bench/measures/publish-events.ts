/** Measures what one message costs for each of a thousand subscribers: handlers of two workers that wait for it. */
import { readFileSync } from 'node:fs';
import { type ClientHttp2Session, connect } from 'node:http2';
import { ask } from './ask.ts';
import { type Measure, startServer } from './measure.ts';

const WORKERS = 2;
/** Half of the subscribers of each worker. */
const SESSIONS_PER_WORKER = 5;
const STREAMS_PER_SESSION = 100;
const SUBSCRIBERS: number = WORKERS * SESSIONS_PER_WORKER * STREAMS_PER_SESSION;
const MESSAGES = 300;
/** Connections to open until each worker has its half; the kernel chooses the worker of each connection. */
const CONNECTIONS_MAX = 400;

/** The sample holds microseconds of processor time of all threads for each message and subscriber. */
export const publishEvents: Measure = async (peer, bench) => {
  const server = await startServer(peer, bench, { workers: WORKERS });
  const ca = readFileSync(bench.workspace.path('certificate.pem'));
  const sessions = new Map<string, ClientHttp2Session[]>();
  const all = (): ClientHttp2Session[] => [...sessions.values()].flat();
  const close = async (): Promise<void> => {
    for (const session of all()) session.destroy();
    await server.stop();
  };
  try {
    for (let i = 0; all().length < WORKERS * SESSIONS_PER_WORKER; i++) {
      if (i === CONNECTIONS_MAX) throw new Error('No connection reached the second worker');
      const session = connect(`https://localhost:${server.port}`, { ca });
      session.on('error', () => undefined);
      const worker = await ask(session, '/bench/shared-incr?0');
      const own = sessions.get(worker) ?? [];
      if (own.length === SESSIONS_PER_WORKER) session.destroy();
      else sessions.set(worker, [...own, session]);
    }
    const round = async (messages: number): Promise<number> => {
      const subscribers = all().flatMap((session) =>
        Array.from({ length: STREAMS_PER_SESSION }, () => subscribe(session)),
      );
      await Promise.all(subscribers.map(({ begun }) => begun));
      const before = server.cpuMs();
      await ask(all()[0] as ClientHttp2Session, `/bench/publish?${messages}`);
      const counts = await Promise.all(subscribers.map(({ ended }) => ended));
      const used = server.cpuMs() - before;
      const wrong = counts.find((count) => count !== `.${messages}`);
      if (wrong !== undefined) throw new Error(`A subscriber has counted ${wrong} of ${messages} messages`);
      return (used * 1000) / (messages * SUBSCRIBERS);
    };
    await round(MESSAGES);
    return { sample: async () => ({ cpuEachUs: await round(MESSAGES) }), close };
  } catch (error) {
    await close();
    throw error;
  }
};

/** `begun` resolves when it has subscribed, `ended` with all that it has answered. */
function subscribe(session: ClientHttp2Session): { begun: Promise<void>; ended: Promise<string> } {
  const stream = session.request({ ':path': '/bench/subscribe' });
  let text = '';
  const begun = new Promise<void>((resolve, reject) => {
    stream.once('data', () => resolve());
    stream.on('error', reject);
  });
  const ended = new Promise<string>((resolve) => stream.on('close', () => resolve(text)));
  stream.setEncoding('latin1').on('data', (piece: string) => {
    text += piece;
  });
  return { begun, ended };
}
