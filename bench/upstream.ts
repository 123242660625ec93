/**
 * Starts and ends the upstreams of the fetch and proxy scenarios: one process for all peers of a scenario. Its CPU time counts for no
 * peer.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { BODY } from './workspace.ts';

/** `hello`: node:http with the greeting. `proxied`: what requests are passed on to. */
export type UpstreamKind = 'hello' | 'proxied';

const PROGRAMS: Readonly<Record<UpstreamKind, string>> = {
  hello: fileURLToPath(new URL('peers/upstream-server.js', import.meta.url)),
  proxied: fileURLToPath(new URL('peers/proxied-server.js', import.meta.url)),
};
const START_TIMEOUT_MS = 15_000;

interface Shared {
  readonly upstream: Promise<Upstream>;
  users: number;
}

export class Upstream {
  /** The running upstreams, and the number of users of each. */
  static readonly #shared = new Map<UpstreamKind, Shared>();

  readonly port: number;
  readonly url: string;
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, port: number) {
    this.#child = child;
    this.port = port;
    this.url = `http://127.0.0.1:${port}/hello`;
  }

  /** Starts the upstream for the first user. */
  static async acquire(kind: UpstreamKind = 'hello'): Promise<Upstream> {
    const shared = Upstream.#shared.get(kind) ?? { upstream: Upstream.#start(kind), users: 0 };
    Upstream.#shared.set(kind, shared);
    shared.users++;
    try {
      return await shared.upstream;
    } catch (error) {
      Upstream.#shared.delete(kind);
      throw error;
    }
  }

  /** Ends the upstream after the last user. */
  static release(kind: UpstreamKind = 'hello'): void {
    const shared = Upstream.#shared.get(kind);
    if (shared === undefined || --shared.users > 0) return;
    Upstream.#shared.delete(kind);
    void shared.upstream.then((upstream) => upstream.#child.disconnect());
  }

  static async #start(kind: UpstreamKind): Promise<Upstream> {
    // the process ends when the channel closes, so it also ends when the bench is killed
    const child = fork(PROGRAMS[kind], [BODY]);
    child.on('error', () => undefined);
    try {
      const [port] = await once(child, 'message', { signal: AbortSignal.timeout(START_TIMEOUT_MS) });
      return new Upstream(child, Number(port));
    } catch (error) {
      child.kill();
      throw new Error('Cannot start the upstream', { cause: error });
    }
  }
}
