/** Honest clients that ask without a pause, each over connections that they keep, and count what fails. */
import { type ClientHttp2Session, constants } from 'node:http2';
import { Agent, get } from 'node:https';
import { connectH2, fetchH2 } from './h2-client.ts';

export class SteadyLoad {
  readonly failures: string[] = [];
  /** Answers by protocol. */
  readonly answers: Record<'h1' | 'h2' | 'new', number> = { h1: 0, h2: 0, new: 0 };
  readonly #port: number;
  readonly #pauseMs: number;
  readonly #running: Promise<void>[];
  readonly #agent = new Agent({ keepAlive: true, rejectUnauthorized: false });
  #ended = false;

  /** One client of each kind; each pauses for `pauseMs` between two requests. */
  constructor(port: number, pauseMs = 5) {
    this.#port = port;
    this.#pauseMs = pauseMs;
    this.#running = [this.#askHttp1('h1', this.#agent), this.#askHttp1('new', false), this.#askHttp2()];
  }

  async stop(): Promise<void> {
    this.#ended = true;
    await Promise.all(this.#running);
    this.#agent.destroy();
  }

  async #askHttp1(kind: 'h1' | 'new', agent: Agent | false): Promise<void> {
    while (!this.#ended) {
      try {
        const status = await this.#get(agent);
        if (status === 200) this.answers[kind] += 1;
        else this.failures.push(`${kind}: status ${status}`);
      } catch (error) {
        this.failures.push(`${kind}: ${error}`);
      }
      await this.#pause(kind === 'new' ? 10 : 1);
    }
  }

  #get(agent: Agent | false): Promise<number> {
    const options = { host: '127.0.0.1', port: this.#port, path: '/', rejectUnauthorized: false } as const;
    return new Promise((resolve, reject) => {
      get({ ...options, agent }, (response) => {
        response.on('error', reject).on('end', () => resolve(response.statusCode ?? 0));
        response.resume();
      }).on('error', reject);
    });
  }

  async #askHttp2(): Promise<void> {
    let session: ClientHttp2Session | undefined;
    while (!this.#ended) {
      try {
        if (session === undefined || session.closed || session.destroyed)
          session = await connectH2(this.#port);
        const { status, rstCode } = await fetchH2(session, { ':path': '/' });
        // node's client refuses by itself what it has not sent when GOAWAY comes; clients ask again (RFC 9113 §8.7)
        if (rstCode === constants.NGHTTP2_REFUSED_STREAM && session.closed) continue;
        if (status === 200 && rstCode === 0) this.answers.h2 += 1;
        else this.failures.push(`h2: status ${status}, reset ${rstCode}`);
      } catch (error) {
        this.failures.push(`h2: ${error}`);
      }
      await this.#pause(1);
    }
    session?.destroy();
  }

  #pause(times: number): Promise<void> {
    return new Promise((resolve) => setTimeout(resolve, this.#pauseMs * times));
  }
}
