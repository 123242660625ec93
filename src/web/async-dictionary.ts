/** A dictionary as handlers use it that do not care where it lives: every call is a promise. */
import { GatewayError } from '../base/errors.ts';
import type { Share } from '../mapping/shares.ts';
import { KEYS_DEFAULT } from '../shared/dictionary.ts';
import {
  checkKey,
  checkKeysLimit,
  exactNumber,
  exactValue,
  readInteger,
  type SharedValue,
  toMilliseconds,
} from '../shared/plain-values.ts';
import type { IncrementStart, SharedDictionary } from '../shared/shared-dictionary.ts';
import type { CallSettings, Done, FoundValue, StoredDictionary } from '../store/stored-dictionary.ts';
import {
  encodeBoolean,
  encodeFloat,
  encodeInteger,
  encodeString,
  type StoredValue,
} from '../store/stored-value.ts';

/** They count where the dictionary lives in a store. */
export interface DictionaryOptions {
  /** Values that were read are kept in this thread, as long as the store tells of changes. */
  readonly near?: boolean;
  /** `get` gives the value that was read last while the store is away. */
  readonly stale?: boolean;
  /** Seconds that a call may take; default: 1, at most 60. */
  readonly timeout?: number;
}

/**
 * The calls of SharedDictionary, each a promise. They reject with a GatewayError: `luaCode` is `limit`, `notfound` or `invalid` as in memory, and of a
 * store that does not answer `refused` (nothing was done) or `timeout` (it may have been done).
 */
export interface AsyncDictionary {
  get(key: string): Promise<SharedValue | undefined>;
  /** Stores a value for `ttl` seconds; 0: for ever. */
  set(key: string, value: SharedValue, ttl?: number): Promise<void>;
  /** False if there is an entry already. */
  add(key: string, value: SharedValue, ttl?: number): Promise<boolean>;
  /** False if there is no entry. */
  replace(key: string, value: SharedValue, ttl?: number): Promise<boolean>;
  /** True if there was an entry. */
  delete(key: string): Promise<boolean>;
  /** The sum. */
  incr(key: string, by?: number | bigint, start?: IncrementStart): Promise<number | bigint>;
  /** Seconds that an entry has left; 0: it never expires, undefined: there is none. */
  ttl(key: string): Promise<number | undefined>;
  /** False if there is no entry. */
  expire(key: string, ttl: number): Promise<boolean>;
  /** At most `limit` (1024) keys. */
  keys(limit?: number): Promise<string[]>;
  flush(): Promise<void>;
}

const MS_PER_SECOND = 1000;
const TIMEOUT_SECONDS = 1;
const TIMEOUT_SECONDS_MAX = 60;

/** One in memory. */
export function asyncMemory(dictionary: SharedDictionary): AsyncDictionary {
  // what a call throws is a rejection
  return {
    get: async (key) => dictionary.get(key),
    set: async (key, value, ttl) => dictionary.set(key, value, ttl),
    add: async (key, value, ttl) => dictionary.add(key, value, ttl),
    replace: async (key, value, ttl) => dictionary.replace(key, value, ttl),
    delete: async (key) => dictionary.delete(key),
    incr: async (key, by, start) => dictionary.incr(key, by, start),
    ttl: async (key) => dictionary.ttl(key),
    expire: async (key, ttl) => dictionary.expire(key, ttl),
    keys: async (limit) => dictionary.keys(limit),
    flush: async () => dictionary.flush(),
  };
}

/** One in a store; `share`: what the mapping may have of the calls that wait. Throws RangeError for an option that cannot be. */
export function asyncStored(
  dictionary: StoredDictionary,
  share: Share,
  { near = false, stale = false, timeout = TIMEOUT_SECONDS }: DictionaryOptions = {},
): AsyncDictionary {
  if (!(timeout > 0 && timeout <= TIMEOUT_SECONDS_MAX))
    throw new RangeError(
      `Option "timeout" is ${timeout} (more than 0 and up to ${TIMEOUT_SECONDS_MAX} seconds were expected)`,
    );
  const settings: CallSettings = { near, stale, timeoutMs: Math.ceil(timeout * MS_PER_SECOND) };

  function ask<T>(begin: (done: Done<T>) => void): Promise<T> {
    return new Promise((resolve, reject) => {
      const refusal = share.take('storeCalls');
      if (refusal !== undefined) {
        reject(new GatewayError('LGW_STORE', `Cannot ask the store: ${refusal}`, { luaCode: 'limit' }));
        return;
      }
      begin((result) => {
        share.give('storeCalls');
        if (result instanceof Error) reject(result);
        else resolve(result);
      });
    });
  }

  async function store(
    mode: 'set' | 'add' | 'replace',
    key: string,
    value: SharedValue,
    ttl = 0,
  ): Promise<boolean> {
    const [name, text, ttlMs] = [bytesOf(key), encode(value), toMilliseconds(ttl)];
    try {
      return await ask<true>((done) => dictionary.store(mode, name, text, ttlMs, settings, done));
    } catch (error) {
      if (mode !== 'set' && isAnswer(error)) return false;
      throw error;
    }
  }

  return {
    async get(key) {
      const name = bytesOf(key);
      const known = near ? dictionary.peek(name) : undefined;
      if (known !== undefined) return decode(known);
      const { value } = await ask<FoundValue>((done) => dictionary.get(name, settings, done));
      return value === undefined ? undefined : decode(value);
    },
    async set(key, value, ttl) {
      await store('set', key, value, ttl);
    },
    add: (key, value, ttl) => store('add', key, value, ttl),
    replace: (key, value, ttl) => store('replace', key, value, ttl),
    async delete(key) {
      const name = bytesOf(key);
      return await ask<boolean>((done) => dictionary.delete(name, settings, done));
    },
    async incr(key, by = 1, start) {
      const name = bytesOf(key);
      const step = {
        by: exactNumber(by),
        begin: start === undefined ? undefined : exactNumber(start.init),
        floor: start?.floor === undefined ? undefined : exactNumber(start.floor),
        ttlMs: toMilliseconds(start?.ttl ?? 0),
      };
      const sum = await ask<StoredValue>((done) => dictionary.increment(name, step, settings, done));
      return decode(sum) as number | bigint;
    },
    async ttl(key) {
      const name = bytesOf(key);
      try {
        return (await ask<number>((done) => dictionary.ttl(name, settings, done))) / MS_PER_SECOND;
      } catch (error) {
        if (isAnswer(error)) return undefined;
        throw error;
      }
    },
    async expire(key, ttl) {
      const [name, ttlMs] = [bytesOf(key), toMilliseconds(ttl)];
      try {
        return await ask<true>((done) => dictionary.expire(name, ttlMs, settings, done));
      } catch (error) {
        if (isAnswer(error)) return false;
        throw error;
      }
    },
    async keys(limit = KEYS_DEFAULT) {
      checkKeysLimit(limit);
      return [...(await ask<readonly string[]>((done) => dictionary.keys(limit, settings, always, done)))];
    },
    async flush() {
      await ask<true>((done) => dictionary.flush(settings, always, done));
    },
  };
}

function always(): boolean {
  return true;
}

/** There is an entry already, or there is none: an answer, and no failure of the store. */
function isAnswer(error: unknown): boolean {
  const { code, luaCode } = error as { readonly code?: unknown; readonly luaCode?: unknown };
  return code === 'LGW_SHARED' && (luaCode === 'refused' || luaCode === 'notfound');
}

function bytesOf(key: string): string {
  checkKey(key);
  return key;
}

function encode(value: SharedValue): string {
  const exact = exactValue(value);
  if (typeof exact === 'bigint') return encodeInteger(exact);
  if (typeof exact === 'number') return encodeFloat(exact);
  return typeof exact === 'string' ? encodeString(exact) : encodeBoolean(exact);
}

function decode(value: StoredValue): SharedValue {
  if (typeof value === 'bigint') return readInteger(value);
  return Buffer.isBuffer(value) ? value.toString('latin1') : value;
}
