/**
 * Starts and ends the upstream of the fetch scenarios: one process for all peers of a scenario. Its CPU time counts for no
 * peer.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { BODY } from './workspace.ts';

const PROGRAM = fileURLToPath(new URL('peers/upstream-server.js', import.meta.url));
const START_TIMEOUT_MS = 15_000;

export class Upstream {
  /** The running upstream, and the number of its users. */
  static #shared: { readonly upstream: Promise<Upstream>; users: number } | undefined;

  readonly url: string;
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, port: number) {
    this.#child = child;
    this.url = `http://127.0.0.1:${port}/hello`;
  }

  /** Starts the upstream for the first user. */
  static async acquire(): Promise<Upstream> {
    const shared = Upstream.#shared ?? { upstream: Upstream.#start(), users: 0 };
    Upstream.#shared = shared;
    shared.users++;
    try {
      return await shared.upstream;
    } catch (error) {
      Upstream.#shared = undefined;
      throw error;
    }
  }

  /** Ends the upstream after the last user. */
  static release(): void {
    const shared = Upstream.#shared;
    if (shared === undefined || --shared.users > 0) return;
    Upstream.#shared = undefined;
    void shared.upstream.then((upstream) => upstream.#child.disconnect());
  }

  static async #start(): Promise<Upstream> {
    // the process ends when the channel closes, so it also ends when the bench is killed
    const child = fork(PROGRAM, [BODY]);
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
