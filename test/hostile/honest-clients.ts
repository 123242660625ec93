/** Three honest clients that ask all the while, and how long they waited: by the clock, and by what the worker did meanwhile. */
import { readFileSync } from 'node:fs';
import type { ClientHttp2Session } from 'node:http2';
import { Agent, request } from 'node:https';
import { setTimeout as sleep } from 'node:timers/promises';
import { askSession, type TestGateway } from '../support/test-gateway.ts';
import type { WorkerClock } from './worker-clock.ts';

/** Between an answer and the next question: in the short form fewer handshakes, and still several in whatever holds a worker too long. */
const PAUSE_MS = 10;
const PAUSE_MS_BRIEF = 40;
/** An honest client gives up then. */
const PATIENCE_MS = 15_000;
/** Not the address of those that misbehave. */
const HONEST_ADDRESS = '127.0.0.2';

/** Where an honest client stands: on the offender's mapping, on another mapping, on a new connection for each request. */
export const PLACES = ['same mapping', 'other mapping', 'new connection'] as const;
export type Place = (typeof PLACES)[number];

export interface Experience {
  answers: number;
  /** Answers 503 of a state that was lost. */
  unavailable: number;
  /** What was neither the right answer nor 503. */
  readonly wrong: string[];
  /** Longest wait by the clock on the wall. */
  waitMs: number;
  /** Processor time of the worker in that request during which it took most. */
  workMs: number;
}

export type Experiences = Readonly<Record<Place, Experience>>;

type Asker = (path: string) => Promise<{ readonly status: number; readonly text: string }>;

export class HonestClients {
  readonly #gateway: TestGateway;
  readonly #clock: WorkerClock;
  readonly #ca: Buffer;
  readonly #pauseMs: number;

  constructor(gateway: TestGateway, clock: WorkerClock, isBrief: boolean) {
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
      'same mapping': async (path) => askSession(await connected(), `/hostile${path}`),
      'other mapping': (path) => askHttp1(port, `/honest${path}`, this.#ca, agent),
      'new connection': (path) => askHttp1(port, `/honest${path}`, this.#ca, false),
    };
    const state = { over: false };
    const ended = deed.finally(() => {
      state.over = true;
    });
    const all = Promise.all(PLACES.map((place) => this.#ask(askers[place], state)));
    const [result, experiences] = await Promise.all([ended, all]);
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

  async #ask(ask: Asker, state: { readonly over: boolean }): Promise<Experience> {
    const experience: Experience = { answers: 0, unavailable: 0, wrong: [], waitMs: 0, workMs: 0 };
    for (let i = 0, last = false; !last; i++) {
      last = state.over;
      const start = performance.now();
      const worked = this.#clock.ms;
      try {
        const { status, text } = await withPatience(ask(`/hello?${i}`));
        if (status === 200 && text === `hello ${i}`) experience.answers += 1;
        else if (status === 503) experience.unavailable += 1;
        else experience.wrong.push(`${status} ${text.slice(0, 40)}`);
      } catch (error) {
        experience.wrong.push(error instanceof Error ? error.message.slice(0, 80) : String(error));
      }
      experience.waitMs = Math.max(experience.waitMs, performance.now() - start);
      experience.workMs = Math.max(experience.workMs, this.#clock.ms - worked);
      if (!last) await sleep(this.#pauseMs);
    }
    return experience;
  }
}

function askHttp1(
  port: number,
  path: string,
  ca: Buffer,
  agent: Agent | false,
): Promise<{ readonly status: number; readonly text: string }> {
  return new Promise((resolve, reject) => {
    const options = { host: '127.0.0.1', servername: 'localhost', localAddress: HONEST_ADDRESS, port };
    const call = request({ ...options, path, ca, agent, timeout: PATIENCE_MS }, (response) => {
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
