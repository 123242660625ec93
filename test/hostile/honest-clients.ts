/** Four honest clients that ask all the while, and how long they waited: by the clock, and by what the worker did meanwhile. */
import { readFileSync } from 'node:fs';
import type { ClientHttp2Session } from 'node:http2';
import { Agent, request } from 'node:https';
import { connect as connectTcp, type TcpNetConnectOpts } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from 'node:tls';
import { askAdmin } from '../support/run-gateway.ts';
import { askSession, type TestGateway } from '../support/test-gateway.ts';
import { TimerLag } from '../support/timer-lag.ts';
import { HONEST_ADDRESS, proxyHead } from './target.ts';
import type { WorkerClock } from './worker-clock.ts';

/** Between an answer and the next question: in the short form fewer handshakes, and still several in whatever holds a worker too long. */
const PAUSE_MS = 10;
const PAUSE_MS_BRIEF = 40;
/** An honest client gives up then. */
const PATIENCE_MS = 15_000;
/** A scraper has more time between two questions. */
const SCRAPE_PAUSE_MS = 100;

/**
 * Where an honest client stands: on the offender's mapping, on another mapping, on a new connection for each request (every other of them behind a
 * PROXY head, where listeners want one), at the metrics of the admin listener.
 */
export const PLACES = ['same mapping', 'other mapping', 'new connection', 'metrics'] as const;
export type Place = (typeof PLACES)[number];

export interface Experience {
  answers: number;
  /** Answers 503 of a state that was lost, and connections that a full admin listener closed. */
  unavailable: number;
  /** What was neither the right answer nor 503. */
  readonly wrong: string[];
  /** Longest wait by the clock on the wall. */
  waitMs: number;
  /** Processor time of the worker in that request during which it took most; 0 where the main thread answers. */
  workMs: number;
}

export type Experiences = Readonly<Record<Place, Experience>>;

/** Answers what it got; `n`: how often it has asked before. */
type Asker = (n: number) => Promise<Outcome>;
type Outcome = 'right' | 'unavailable' | { readonly wrong: string };

export class HonestClients {
  readonly #gateway: TestGateway;
  readonly #clock: WorkerClock;
  readonly #ca: Buffer;
  readonly #pauseMs: number;
  /** Of a TLS listener that wants a PROXY head. */
  readonly #proxiedPort: number | undefined;

  constructor(gateway: TestGateway, clock: WorkerClock, isBrief: boolean, proxiedPort: number | undefined) {
    this.#proxiedPort = proxiedPort;
    this.#pauseMs = isBrief ? PAUSE_MS_BRIEF : PAUSE_MS;
    this.#gateway = gateway;
    this.#clock = clock;
    this.#ca = readFileSync(gateway.folder.certificate);
  }

  /** They ask until `deed` has ended, and once more. */
  async beside<T>(deed: Promise<T>): Promise<{ readonly result: T; readonly experiences: Experiences }> {
    const { port } = this.#gateway;
    let session: ClientHttp2Session | undefined;
    const connected = async (): Promise<ClientHttp2Session> => {
      if (session === undefined || session.destroyed)
        session = await this.#gateway.session({ localAddress: HONEST_ADDRESS } as object);
      return session;
    };
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const askers: Readonly<Record<Place, Asker>> = {
      'same mapping': async (n) => helloOf(await askSession(await connected(), `/hostile/hello?${n}`), n),
      'other mapping': async (n) => helloOf(await this.#askHttp1(port, n, agent), n),
      'new connection': async (n) => {
        const isProxied = this.#proxiedPort !== undefined && n % 2 === 1;
        return helloOf(
          await this.#askHttp1(isProxied ? this.#proxiedPort : port, n, isProxied ? n >> 1 : undefined),
          n,
        );
      },
      metrics: () => this.#scrape(),
    };
    const state = { over: false };
    const ended = deed.finally(() => {
      state.over = true;
    });
    const lag = new TimerLag();
    const all = Promise.all(PLACES.map((place) => this.#ask(place, askers[place], state, lag)));
    const [result, experiences] = await Promise.all([ended, all]).finally(() => lag.stop());
    (session as ClientHttp2Session | undefined)?.destroy();
    agent.destroy();
    return {
      result,
      experiences: Object.fromEntries(PLACES.map((place, i) => [place, experiences[i]])) as Record<
        Place,
        Experience
      >,
    };
  }

  /** Waits until the admin listener has room. Rejects when it has none for too long. */
  async untilAdminAnswers(): Promise<void> {
    const limit = performance.now() + PATIENCE_MS;
    while ((await this.#scrape()) !== 'right')
      if (performance.now() > limit) throw new Error('The admin listener gives no metrics');
  }

  async #ask(
    place: Place,
    ask: Asker,
    state: { readonly over: boolean },
    lag: TimerLag,
  ): Promise<Experience> {
    const pauseMs = place === 'metrics' ? SCRAPE_PAUSE_MS : this.#pauseMs;
    const experience: Experience = { answers: 0, unavailable: 0, wrong: [], waitMs: 0, workMs: 0 };
    for (let i = 0, last = false; !last; i++) {
      last = state.over;
      const [start, worked, late] = [performance.now(), this.#clock.ms, lag.sumMs()];
      try {
        const outcome = await withPatience(ask(i));
        if (outcome === 'right') experience.answers += 1;
        else if (outcome === 'unavailable') experience.unavailable += 1;
        else experience.wrong.push(outcome.wrong);
      } catch (error) {
        experience.wrong.push(error instanceof Error ? error.message.slice(0, 80) : String(error));
      }
      // while this process stood still the answer may have been there
      const lateMs = lag.sumMs() - late;
      experience.waitMs = Math.max(experience.waitMs, performance.now() - start - lateMs);
      if (place !== 'metrics')
        experience.workMs = Math.max(experience.workMs, this.#clock.ms - worked - lateMs);
      if (!last) await sleep(pauseMs);
    }
    return experience;
  }

  async #scrape(): Promise<Outcome> {
    try {
      const { status, body } = await askAdmin(this.#gateway.process.admin, '/metrics');
      const isRight = status === 200 && body.includes('lgateway_build_info');
      return isRight ? 'right' : { wrong: `${status} ${body.slice(0, 40)}` };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ECONNRESET') return 'unavailable';
      throw error;
    }
  }

  /** `by`: an agent, or the number of the PROXY head that a new connection begins with; undefined: a new connection without one. */
  #askHttp1(port: number, n: number, by: Agent | number | undefined): Promise<Response> {
    return new Promise((resolve, reject) => {
      const place = { host: '127.0.0.1', servername: 'localhost', localAddress: HONEST_ADDRESS, port };
      const connection =
        typeof by === 'number'
          ? {
              createConnection: () =>
                connectProxied({ ...place, ca: this.#ca, ALPNProtocols: ['http/1.1'] }, by),
            }
          : { agent: by ?? false };
      const path = `/honest/hello?${n}`;
      const options = { ...place, ...connection, path, ca: this.#ca, timeout: PATIENCE_MS };
      const call = request(options, (response) => {
        let text = '';
        response.setEncoding('latin1');
        response.on('data', (piece: string) => {
          text += piece;
        });
        response.on('error', reject);
        response.on('end', () => resolve({ status: response.statusCode ?? 0, text }));
      });
      call.on('timeout', () => call.destroy(new Error(`No answer to ${path}`)));
      call.on('error', reject);
      call.end();
    });
  }
}

interface Response {
  readonly status: number;
  readonly text: string;
}

function helloOf({ status, text }: Response, n: number): Outcome {
  if (status === 200 && text === `hello ${n}`) return 'right';
  return status === 503 ? 'unavailable' : { wrong: `${status} ${text.slice(0, 40)}` };
}

function connectProxied(options: ConnectionOptions & TcpNetConnectOpts, n: number): TLSSocket {
  const below = connectTcp({ host: options.host, port: options.port, localAddress: HONEST_ADDRESS });
  below.write(proxyHead(HONEST_ADDRESS, n));
  const socket = connectTls({ ...options, socket: below });
  below.on('error', (error) => socket.destroy(error));
  return socket;
}

async function withPatience<T>(answer: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('no answer')), PATIENCE_MS);
  });
  try {
    return await Promise.race([answer, late]);
  } finally {
    clearTimeout(timer);
  }
}
