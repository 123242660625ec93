/**
 * Clients of three machines that count, read and write without a pause, and check each answer: every call ends in time, each step counts once, and what is read is what was written
 * under that key, no older than what the request itself has counted and no newer than all that was asked for.
 */
import { type ClientHttp2Session, connect } from 'node:http2';
import { fetchH2 } from '../support/h2-client.ts';
import { eventually } from '../support/script-harness.ts';
import { MACHINES, type ThreeMachines } from './three-machines.ts';

export type Dictionary = 'alone' | 'clustered';

/** `{timeout = 0.3}` in machine-scripts.ts, and what the promise adds. */
const CALL_MS_MAX = 350;
/** Clients of each dictionary on each machine. */
const CLIENTS = 2;
const KEYS = 4;
const PAUSE_MS = 15;

/** What a machine tells of one call. */
interface Call {
  readonly method: string;
  readonly ms: number;
  /** How late timers of the worker were meanwhile. */
  readonly late: number;
  readonly value?: number | string | boolean;
  readonly code?: string;
  readonly message?: string;
}

/** What the clients know of a key. */
interface Tally {
  /** Requests that were sent. */
  asked: number;
  /** Sums that were told. */
  readonly sums: Set<number>;
  /** Steps of which nobody knows whether they were done. */
  unsure: number;
}

export class StepLoad {
  /** What must not be. */
  readonly faults: string[] = [];
  /** Answers of which each call was answered, by dictionary and machine. */
  readonly whole: Map<string, number> = new Map();
  /** Calls that were not answered, by dictionary and code. */
  readonly codes: Map<string, number> = new Map();
  readonly #tallies = new Map<string, Tally>();
  readonly #running: Promise<void>[];
  #epoch = 0;
  #isFlushed = false;
  #isOver = false;

  constructor(fleet: ThreeMachines) {
    this.#running = MACHINES.flatMap((name) => {
      const session = connect(`https://127.0.0.1:${fleet.portOf(name)}`, { rejectUnauthorized: false });
      session.on('error', (error) => this.faults.push(`${name}: ${error}`));
      const clients = (['alone', 'clustered'] as const).flatMap((dictionary) =>
        Array.from({ length: CLIENTS }, () => this.#run(session, name, dictionary)),
      );
      return [Promise.all(clients).then(() => session.destroy())];
    });
  }

  /** Until each machine has answered so many more requests wholly. */
  async untilWhole(
    more: number,
    dictionaries: readonly Dictionary[] = ['alone', 'clustered'],
  ): Promise<void> {
    const places = dictionaries.flatMap((one) => MACHINES.map((name) => `${one} ${name}`));
    const before = places.map((place) => this.whole.get(place) ?? 0);
    await eventually(() => {
      const missing = places.filter((place, i) => (this.whole.get(place) ?? 0) < (before[i] ?? 0) + more);
      if (missing.length > 0)
        throw new Error(`${missing} are not answered wholly; ${JSON.stringify([...this.codes])}`);
    });
  }

  /** Until so many more calls have ended with this code. */
  async untilCode(place: `${Dictionary} ${string}`, more: number): Promise<void> {
    const before = this.codes.get(place) ?? 0;
    await eventually(() => {
      if ((this.codes.get(place) ?? 0) < before + more) throw new Error(`No ${more} calls with ${place}`);
    });
  }

  /** What was written may be gone from now on; what is asked for later has other keys. */
  async flush(run: () => void): Promise<void> {
    this.#isFlushed = true;
    run();
    this.#epoch += 1;
    await this.untilWhole(4 * KEYS);
  }

  /** Of the keys that no flush has met: what the store has has to be within what clients know. */
  async stop(stored: (dictionary: Dictionary, key: string) => number): Promise<void> {
    this.#isOver = true;
    await Promise.all(this.#running);
    for (const [place, { sums, unsure }] of this.#tallies) {
      const [dictionary, key = ''] = place.split('=') as [Dictionary, string];
      if (this.#isFlushed && !key.startsWith(`${this.#epoch}.`)) continue;
      const found = stored(dictionary, key);
      if (found < sums.size || found > sums.size + unsure)
        this.faults.push(`${place} is ${found}: ${sums.size} steps were told, ${unsure} are unsure`);
    }
  }

  async #run(session: ClientHttp2Session, name: string, dictionary: Dictionary): Promise<void> {
    for (let turn = 0; !this.#isOver; turn++) {
      const key = `${this.#epoch}.${turn % KEYS}`;
      const place = `${dictionary}=${key}`;
      const tally = this.#tallies.get(place) ?? { asked: 0, sums: new Set(), unsure: 0 };
      this.#tallies.set(place, tally);
      tally.asked += 1;
      const { status, body } = await fetchH2(session, { ':path': `/steps?${place}` });
      if (status === 200)
        this.#check(JSON.parse(body.toString()) as Call[], { key, name, dictionary, tally });
      else {
        tally.unsure += 1;
        this.faults.push(`${name}: status ${status}`);
      }
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  }

  #check(
    calls: readonly Call[],
    { key, name, dictionary, tally }: { key: string; name: string; dictionary: Dictionary; tally: Tally },
  ): void {
    const [step, read, near, , text] = calls as [Call, Call, Call, Call, Call];
    for (const { method, ms, late, code, message } of calls) {
      // the timer of the call may have been late, and so may the turn that tells of it
      if (ms > CALL_MS_MAX + 2 * late)
        this.faults.push(`${dictionary} ${method} took ${ms} ms; timers were ${late} ms late`);
      if (code === undefined) continue;
      const place = `${dictionary} ${code}`;
      this.codes.set(place, (this.codes.get(place) ?? 0) + 1);
      if (!['timeout', 'refused', 'limit'].includes(code)) this.faults.push(`${place}: ${message}`);
    }
    if (calls.every(({ code }) => code === undefined)) {
      const place = `${dictionary} ${name}`;
      this.whole.set(place, (this.whole.get(place) ?? 0) + 1);
    }
    const isGone = this.#isFlushed && !key.startsWith(`${this.#epoch}.`);
    const sum = typeof step.value === 'number' ? step.value : undefined;
    if (step.code === 'timeout') tally.unsure += 1;
    if (sum !== undefined && !isGone) {
      if (tally.sums.has(sum)) this.faults.push(`${dictionary} ${key}: the sum ${sum} was told twice`);
      tally.sums.add(sum);
    }
    for (const { value, code } of [read, near]) {
      if (code !== undefined || isGone) continue;
      const least = sum ?? (value === undefined ? undefined : 1);
      if (least === undefined) continue;
      if (typeof value !== 'number' || value < least || value > tally.asked)
        this.faults.push(`${dictionary} ${key}: read ${value}, counted ${sum}, asked ${tally.asked}`);
    }
    const own = text.value;
    if (text.code === undefined && own !== undefined && !String(own).startsWith(`${key} from `))
      this.faults.push(`${dictionary} ${key}: read ${own}`);
  }
}
