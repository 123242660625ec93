/** A dictionary in a store as tests call it: each call is a promise of its result or its error. */

import { GatewayError } from '../../src/base/errors.ts';
import { readStoreAddress } from '../../src/base/store-address.ts';
import { COUNT, Counters } from '../../src/metrics/worker-metrics.ts';
import { AtomicSteps } from '../../src/store/atomic-steps.ts';
import { NearCache } from '../../src/store/near-cache.ts';
import { openStore } from '../../src/store/open-store.ts';
import type { StoreClient, StoreMessages } from '../../src/store/store-client.ts';
import { type CallSettings, type Done, StoredDictionary } from '../../src/store/stored-dictionary.ts';
import type { StoredValue } from '../../src/store/stored-value.ts';

/** Of calls whose limit of time is not what a test is about: a server that stands still for seconds answers in time, too. */
const PATIENT_MS = 20_000;

/** The same store, with calls that wait for long. */
export function patientClient(client: StoreClient): StoreClient {
  const patient = (timeoutMs: number): number => Math.max(timeoutMs, PATIENT_MS);
  return {
    place: client.place,
    call: (key, one, timeoutMs, answer, before) => client.call(key, one, patient(timeoutMs), answer, before),
    publish: (channel, bytes, timeoutMs, answer) =>
      client.publish(channel, bytes, patient(timeoutMs), answer),
    findMasters: (timeoutMs, done) => client.findMasters(patient(timeoutMs), done),
    close: () => client.close(),
  };
}

const PLAIN: CallSettings = { near: false, stale: false, timeoutMs: PATIENT_MS };

export class TestStore {
  readonly client: StoreClient;
  readonly near: NearCache = new NearCache();
  readonly counters: Counters = new Counters();
  /** What the watcher was told, in order. */
  readonly told: string[] = [];
  #waiting: (() => void)[] = [];

  constructor(address: string, ca?: string, messages?: StoreMessages) {
    const read = readStoreAddress(address);
    if (read === undefined) throw new RangeError(address);
    const tell = (text: string): void => {
      this.told.push(text);
      for (const done of this.#waiting.splice(0)) done();
    };
    this.client = openStore({
      address: read,
      tls: read.tls ? { ca } : undefined,
      messages,
      watcher: {
        connected: () => this.counters.add(COUNT.storeConnectionsTotal, 1),
        available: (server) => tell(`available ${server}`),
        away: (reason, isConfiguration) => tell(`away ${isConfiguration ? 'for good ' : ''}${reason}`),
        invalidated: (keys) => {
          this.near.invalidate(keys);
          tell('invalidated');
        },
        untracked: () => {
          this.near.switchOff();
          tell('untracked');
        },
      },
    });
  }

  dictionary(name: string, settings: Partial<CallSettings> = {}): TestDictionary {
    const { client, near, counters } = this;
    const dictionary = new StoredDictionary(name, { client, near, counters, steps: new AtomicSteps(client) });
    return new TestDictionary(dictionary, { ...PLAIN, ...settings });
  }

  /** Resolves when the watcher has been told something that matches, or was before. */
  async until(pattern: RegExp, from = 0): Promise<string> {
    for (;;) {
      const found = this.told.slice(from).find((text) => pattern.test(text));
      if (found !== undefined) return found;
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  get failures(): number {
    return this.counters.get('storeFailuresTotal');
  }

  close(): void {
    this.client.close();
  }
}

export class TestDictionary {
  readonly dictionary: StoredDictionary;
  readonly settings: CallSettings;

  constructor(dictionary: StoredDictionary, settings: CallSettings) {
    this.dictionary = dictionary;
    this.settings = settings;
  }

  /** The value, from near where that is wanted. */
  async get(key: string): Promise<StoredValue | undefined> {
    const near = this.settings.near ? this.dictionary.peek(key) : undefined;
    if (near !== undefined) return near;
    const { value } = await promised<{ value: StoredValue | undefined }>((done) =>
      this.dictionary.get(key, this.settings, done),
    );
    return Buffer.isBuffer(value) ? value.toString('latin1') : value;
  }

  store(mode: 'set' | 'add' | 'replace', key: string, value: string | Buffer, ttlMs = 0): Promise<true> {
    return promised((done) => this.dictionary.store(mode, key, value, ttlMs, this.settings, done));
  }

  delete(key: string): Promise<boolean> {
    return promised((done) => this.dictionary.delete(key, this.settings, done));
  }

  incr(
    key: string,
    by: bigint | number = 1n,
    begin?: bigint | number,
    ttlMs = 0,
    floor?: bigint | number,
  ): Promise<StoredValue> {
    return promised((done) =>
      this.dictionary.increment(key, { by, begin, floor, ttlMs }, this.settings, done),
    );
  }

  ttl(key: string): Promise<number> {
    return promised((done) => this.dictionary.ttl(key, this.settings, done));
  }

  expire(key: string, ttlMs: number): Promise<true> {
    return promised((done) => this.dictionary.expire(key, ttlMs, this.settings, done));
  }

  keys(limit = 1024): Promise<readonly string[]> {
    return promised((done) => this.dictionary.keys(limit, this.settings, () => true, done));
  }

  flush(): Promise<true> {
    return promised((done) => this.dictionary.flush(this.settings, () => true, done));
  }
}

function promised<T>(run: (done: Done<T>) => void): Promise<T> {
  return new Promise((resolve, reject) => {
    run((result) => {
      if (result instanceof GatewayError) reject(result);
      else resolve(result as T);
    });
  });
}

/** The code that scripts see, and the message. */
export async function refusalOf(call: Promise<unknown>): Promise<string> {
  try {
    return `no refusal but ${String(await call)}`;
  } catch (error) {
    if (!(error instanceof GatewayError)) throw error;
    return `${error.luaCode}: ${error.message}`;
  }
}
