/** Measures what a TLS handshake costs a server, full and resumed: connections that are made, and closed without a request. */
import { once } from 'node:events';
import { connect, type TLSSocket } from 'node:tls';
import type { ServerProcess } from '../server-process.ts';
import { type Bench, type Measure, type Sample, withServer } from './measure.ts';

/** Clients at once: more would wait for this process, which does as much as the server. */
const CLIENTS = 10;
/** V8 has then optimized what a connection runs. */
const WARM_UP_CONNECTIONS = 1500;
const WARM_UP_CONNECTIONS_QUICK = 50;
/** Limit for one connection, so that a server that does not answer cannot block the bench. */
const TIMEOUT_MS = 15_000;
const US_PER_MS = 1000;

/** `protocol`: what the client offers by ALPN. */
export function handshakes(protocol: 'h2' | 'http/1.1'): Measure {
  return withServer(async (server, bench) => {
    const client = new Client(server, bench, protocol);
    const { effort } = bench;
    const warmUp = effort.loadSeconds < 1 ? WARM_UP_CONNECTIONS_QUICK : WARM_UP_CONNECTIONS;
    const session = await client.askSession();
    await client.run(undefined, (count) => count < warmUp);
    await client.run(session, (count) => count < warmUp);
    return async () => {
      const fullUs = await measureCpu(client, server, undefined, effort.loadSeconds);
      const resumedUs = await measureCpu(client, server, session, effort.loadSeconds);
      return { fullUs, resumedUs } satisfies Sample;
    };
  });
}

async function measureCpu(
  client: Client,
  server: ServerProcess,
  session: Buffer | undefined,
  seconds: number,
): Promise<number> {
  const before = server.cpuMs();
  const end = performance.now() + seconds * US_PER_MS;
  const count = await client.run(session, () => performance.now() < end);
  return ((server.cpuMs() - before) * US_PER_MS) / count;
}

class Client {
  readonly #port: number;
  readonly #ca: string;
  readonly #protocol: string;

  constructor({ port }: ServerProcess, { workspace }: Bench, protocol: string) {
    [this.#port, this.#ca, this.#protocol] = [port, workspace.certificate, protocol];
  }

  /** A session that later connections resume. */
  async askSession(): Promise<Buffer> {
    const socket = this.#connect(undefined);
    const [session] = (await once(socket, 'session', { signal: AbortSignal.timeout(TIMEOUT_MS) })) as [
      Buffer,
    ];
    socket.destroy();
    return session;
  }

  /** Makes connections, several at a time, while `goesOn` holds for their number; returns their number. Rejects where one has failed, or was not resumed. */
  async run(session: Buffer | undefined, goesOn: (count: number) => boolean): Promise<number> {
    let count = 0;
    const work = async (): Promise<void> => {
      while (goesOn(count)) {
        count += 1;
        await this.#visit(session);
      }
    };
    await Promise.all(Array.from({ length: CLIENTS }, work));
    return count;
  }

  async #visit(session: Buffer | undefined): Promise<void> {
    const socket = this.#connect(session);
    await once(socket, 'secureConnect', { signal: AbortSignal.timeout(TIMEOUT_MS) });
    if (socket.isSessionReused() !== (session !== undefined))
      throw new Error(`A handshake was ${session === undefined ? '' : 'not '}resumed`);
    socket.resume();
    socket.end();
    await once(socket, 'close', { signal: AbortSignal.timeout(TIMEOUT_MS) });
  }

  #connect(session: Buffer | undefined): TLSSocket {
    return connect({
      host: '127.0.0.1',
      port: this.#port,
      ca: this.#ca,
      ALPNProtocols: [this.#protocol],
      ...(session === undefined ? {} : { session }),
    });
  }
}
