/** A dictionary whose entries live in a store: the calls that dictionaries in memory have, each with its answer later. */
import { assert } from '../base/assert.ts';
import { GatewayError } from '../base/errors.ts';
import { COUNT, type Counters } from '../metrics/worker-metrics.ts';
import { KEY_BYTES_MAX } from '../shared/dictionary.ts';
import { existsError, incrementError, limitError, missingError } from '../shared/failures.ts';
import type { AtomicSteps } from './atomic-steps.ts';
import type { NearCache, Placeholder } from './near-cache.ts';
import { type Command, command, commandHead, type Word, wordText } from './resp-command.ts';
import { type Reply, ReplyError } from './resp-reply.ts';
import type { StoreClient, StoreMaster } from './store-client.ts';
import { replyFailure } from './store-failures.ts';
import { VALUE_BYTES_MAX } from './store-limits.ts';
import { decodeValue, encodeFloat, encodeInteger, type StoredValue } from './stored-value.ts';

export interface CallSettings {
  /** Values are served from the worker's memory, as long as the store tells of changes. */
  readonly near: boolean;
  /** A value that was read before is served while the store is away. */
  readonly stale: boolean;
  readonly timeoutMs: number;
}

/** Which dictionaries live in a store, and not in memory. */
export interface StoredDictionaries {
  /** Undefined: in memory. */
  find(name: string): StoredDictionary | undefined;
}

/** Called once with the result of a call, or with why there is none. */
export type Done<T> = (result: T | GatewayError) => void;
/** A value; `isStale`: the store is away, and it was read before that. */
export interface FoundValue {
  readonly value: StoredValue | undefined;
  readonly isStale: boolean;
}

/** Numbers are a BigInt for an integer, a number for a float. */
export interface Increment {
  readonly by: bigint | number;
  /** What an entry that is not there begins with; undefined: there has to be one. */
  readonly begin: bigint | number | undefined;
  /** A number that is less counts as this one. */
  readonly floor: bigint | number | undefined;
  /** Of a new entry; 0: for ever. */
  readonly ttlMs: number;
}

/** What the dictionaries of one worker have of a store. */
export interface StoreAccess {
  readonly client: StoreClient;
  readonly steps: AtomicSteps;
  readonly near: NearCache;
  readonly counters: Counters;
}

/** Takes the keys of one page, and says how it goes on, at once or later. */
type TakePage = (
  keys: readonly string[],
  goOn: (wantsMore: boolean) => void,
  stop: (error: GatewayError) => void,
) => void;

const TRACK_NEXT: Command = command('CLIENT', 'CACHING', 'YES');
/** A longer time is for ever, for a machine: some 30,000 years in milliseconds. */
const TTL_MS_MAX = 1e15;
/** Before the key, and behind it. */
const READ_HEAD: string = commandHead(4, 'GETRANGE');
const READ_END: string = wordText('0') + wordText(String(VALUE_BYTES_MAX + 1));
/** Keys that a server looks through in one step of SCAN. */
const SCAN_COUNT = 1000;

export class StoredDictionary {
  readonly name: string;
  readonly #access: StoreAccess;
  readonly #prefix: string;

  /** The name holds no character that means something in a pattern of Redis. */
  constructor(name: string, access: StoreAccess) {
    this.name = name;
    this.#access = access;
    this.#prefix = `lg:${name}:`;
  }

  /** What is near and as good as the store's. */
  peek(key: string): StoredValue | undefined {
    const value = this.#access.near.fresh(this.#prefix + key);
    if (value !== undefined) this.#access.counters.add(COUNT.storeNearHitsTotal, 1);
    return value;
  }

  get(key: string, settings: CallSettings, done: Done<FoundValue>): void {
    if (key.length > KEY_BYTES_MAX) {
      done({ value: undefined, isStale: false });
      return;
    }
    const full = this.#prefix + key;
    // bounds what a stranger's value may be; of an entry that is not there it is empty, and every value has a byte
    const read = READ_HEAD + wordText(full) + READ_END;
    if (!settings.near && !settings.stale) {
      this.#call(full, read, settings, done, (reply) => this.#found(key, reply));
      return;
    }
    this.#getAndKeep(key, full, read, settings, done);
  }

  #getAndKeep(
    key: string,
    full: string,
    read: Command,
    settings: CallSettings,
    done: Done<FoundValue>,
  ): void {
    const { client, near } = this.#access;
    const { timeoutMs } = settings;
    const askedAt = performance.now();
    const placeholder = near.begin(full, settings.near);
    // the answers may come in either order where the key is on its way to another server
    let value: Reply | GatewayError = null;
    let pttl: Reply | GatewayError = null;
    let awaited = 2;
    const end = (): void => {
      awaited -= 1;
      if (awaited > 0) return;
      const found = this.#interpret(value, (reply) => this.#found(key, reply));
      if (found instanceof GatewayError) {
        near.cancel(full, placeholder);
        const old = settings.stale && isAway(found) ? near.old(full) : undefined;
        done(old === undefined ? found : { value: old, isStale: true });
        return;
      }
      if (found.value === undefined) near.forget(full);
      else this.#keep(full, placeholder, found.value, pttl, askedAt);
      done(found);
    };
    const takeValue = (reply: Reply | GatewayError): void => {
      value = reply;
      end();
    };
    const takeTtl = (reply: Reply | GatewayError): void => {
      pttl = reply;
      end();
    };
    client.call(full, read, timeoutMs, takeValue, settings.near ? TRACK_NEXT : undefined);
    client.call(full, command('PTTL', full), timeoutMs, takeTtl);
  }

  #keep(full: string, placeholder: Placeholder, value: StoredValue, pttl: unknown, askedAt: number): void {
    const { near } = this.#access;
    // -1: it never expires; -2: it has just done so
    if (typeof pttl !== 'number' || pttl === -2 || pttl === 0) near.cancel(full, placeholder);
    else near.fill(full, placeholder, value, pttl < 0 ? Number.POSITIVE_INFINITY : askedAt + pttl);
  }

  /** `value`: as `stored-value.ts` writes it. False: there is one already (add), or none (replace). */
  store(
    mode: 'set' | 'add' | 'replace',
    key: string,
    value: Word,
    ttlMs: number,
    settings: CallSettings,
    done: Done<true>,
  ): void {
    const full = this.#prefix + key;
    if (key.length > KEY_BYTES_MAX || value.length > VALUE_BYTES_MAX) {
      done(tooLarge(key, value.length));
      return;
    }
    const words: Word[] = ['SET', full, value];
    if (ttlMs > 0) words.push('PX', wholeMs(ttlMs));
    if (mode !== 'set') words.push(mode === 'add' ? 'NX' : 'XX');
    this.#access.near.forget(full);
    this.#call(full, command(...words), settings, done, (reply) => {
      if (reply !== null) return true;
      return mode === 'add' ? existsError(key) : missingError(key);
    });
  }

  delete(key: string, settings: CallSettings, done: Done<boolean>): void {
    if (key.length > KEY_BYTES_MAX) {
      done(false);
      return;
    }
    const full = this.#prefix + key;
    this.#access.near.forget(full);
    this.#call(full, command('UNLINK', full), settings, done, (reply) => reply === 1);
  }

  /** Done as a whole, in one round trip. */
  increment(
    key: string,
    { by, begin, floor, ttlMs }: Increment,
    settings: CallSettings,
    done: Done<StoredValue>,
  ): void {
    if (key.length > KEY_BYTES_MAX) {
      done(limitError(key, key.length, 0));
      return;
    }
    const full = this.#prefix + key;
    const words = [encodeNumber(by), begin === undefined ? '' : encodeSum(begin, by), wholeMs(ttlMs)];
    words.push(floor === undefined ? '' : encodeNumber(floor));
    this.#access.near.forget(full);
    this.#access.steps.run('incr', full, words, settings.timeoutMs, (outcome) =>
      done(this.#interpret(outcome, (reply) => this.#sum(key, reply))),
    );
  }

  /** Milliseconds; 0: it never expires. */
  ttl(key: string, settings: CallSettings, done: Done<number>): void {
    if (key.length > KEY_BYTES_MAX) {
      done(missingError(key));
      return;
    }
    const full = this.#prefix + key;
    this.#call(full, command('PTTL', full), settings, done, (reply) => {
      if (reply === -1) return 0;
      // one that is in its last millisecond
      return typeof reply === 'number' && reply >= 0 ? Math.max(reply, 1) : missingError(key);
    });
  }

  expire(key: string, ttlMs: number, settings: CallSettings, done: Done<true>): void {
    if (key.length > KEY_BYTES_MAX) {
      done(missingError(key));
      return;
    }
    const full = this.#prefix + key;
    this.#access.near.forget(full);
    this.#access.steps.run('expire', full, [wholeMs(ttlMs)], settings.timeoutMs, (outcome) =>
      done(this.#interpret(outcome, (reply) => (reply === 1 ? true : missingError(key)))),
    );
  }

  /** At most `limit` keys, in no order. Every step has the time of a call; `isWanted` false ends it. */
  keys(limit: number, settings: CallSettings, isWanted: () => boolean, done: Done<readonly string[]>): void {
    const found = new Set<string>();
    this.#scan(
      settings,
      (keys, goOn) => {
        for (const key of keys) if (found.size < limit) found.add(key.slice(this.#prefix.length));
        if (isWanted()) goOn(found.size < limit);
      },
      (error) => done(error ?? [...found]),
    );
  }

  /** Removes what is there when it begins, step by step. */
  flush(settings: CallSettings, isWanted: () => boolean, done: Done<true>): void {
    const { client, near } = this.#access;
    this.#scan(
      settings,
      (keys, goOn, stop) => {
        let left = keys.length;
        let failure: GatewayError | undefined;
        const next = (): void => {
          if (failure !== undefined) stop(failure);
          else if (isWanted()) goOn(true);
        };
        if (left === 0) next();
        for (const key of keys) {
          near.forget(key);
          client.call(key, command('UNLINK', key), settings.timeoutMs, (outcome) => {
            const result = this.#interpret(outcome, () => true as const);
            if (result instanceof GatewayError) failure ??= result;
            left -= 1;
            if (left === 0) next();
          });
        }
      },
      (error) => done(error ?? true),
    );
  }

  /** Hands out the dictionary's keys in the store, page by page, some perhaps twice. */
  #scan(settings: CallSettings, page: TakePage, end: (error: GatewayError | undefined) => void): void {
    this.#access.client.findMasters(settings.timeoutMs, (found) => {
      if (found instanceof GatewayError) end(found);
      else this.#scanAll([...found], settings, page, end);
    });
  }

  #scanAll(
    masters: StoreMaster[],
    settings: CallSettings,
    page: TakePage,
    end: (error: GatewayError | undefined) => void,
  ): void {
    const step = (master: StoreMaster | undefined, cursor: string): void => {
      if (master === undefined) {
        end(undefined);
        return;
      }
      const one = command('SCAN', cursor, 'MATCH', `${this.#prefix}*`, 'COUNT', String(SCAN_COUNT));
      master.call(one, settings.timeoutMs, (outcome) => {
        const result = this.#interpret(outcome, readPage);
        if (result instanceof GatewayError) {
          end(result);
          return;
        }
        const goOn = (wantsMore: boolean): void => {
          const isLast = result.cursor === '0';
          if (!wantsMore) end(undefined);
          else step(isLast ? masters.pop() : master, isLast ? '0' : result.cursor);
        };
        page(result.keys, goOn, end);
      });
    };
    step(masters.pop(), '0');
  }

  #call<T>(
    full: string,
    one: Command,
    { timeoutMs }: CallSettings,
    done: Done<T>,
    read: (reply: Reply) => T | GatewayError,
  ): void {
    this.#access.client.call(full, one, timeoutMs, (outcome) => done(this.#interpret(outcome, read)));
  }

  /** Every call ends here. */
  #interpret<T>(outcome: Reply | GatewayError, read: (reply: Reply) => T | GatewayError): T | GatewayError {
    this.#access.counters.add(COUNT.storeCallsTotal, 1);
    if (outcome instanceof GatewayError) {
      this.#access.counters.add(COUNT.storeFailuresTotal, 1);
      return outcome;
    }
    if (!(outcome instanceof ReplyError)) return read(outcome);
    this.#access.counters.add(COUNT.storeFailuresTotal, 1);
    return replyFailure(this.#access.client.place, outcome);
  }

  #found(key: string, reply: Reply): FoundValue | GatewayError {
    if (!Buffer.isBuffer(reply)) return foreignError(key);
    if (reply.length === 0) return { value: undefined, isStale: false };
    if (reply.length > VALUE_BYTES_MAX) return tooLarge(key, reply.length);
    const value = decodeValue(reply);
    return value === undefined ? foreignError(key) : { value, isStale: false };
  }

  #sum(key: string, reply: Reply): StoredValue | GatewayError {
    if (Buffer.isBuffer(reply)) return decodeValue(reply) ?? foreignError(key);
    if (reply === -1) return incrementError('missing', key, key.length);
    return incrementError(reply === -3 ? 'overflow' : 'not a number', key, key.length);
  }
}

function readPage(reply: Reply): { readonly cursor: string; readonly keys: readonly string[] } {
  assert(Array.isArray(reply), 'SCAN gives a cursor and keys');
  const [cursor, keys] = reply as readonly Reply[];
  const list = Array.isArray(keys) ? (keys as readonly Reply[]) : [];
  return {
    cursor: Buffer.isBuffer(cursor) ? cursor.toString('latin1') : '0',
    keys: list.flatMap((key) => (Buffer.isBuffer(key) ? [key.toString('latin1')] : [])),
  };
}

function isAway({ luaCode }: GatewayError): boolean {
  return luaCode === 'timeout' || luaCode === 'refused';
}

/** Of a value, or its key. */
export function tooLarge(key: string, bytes: number): GatewayError {
  if (key.length > KEY_BYTES_MAX) return limitError(key, key.length, bytes);
  return new GatewayError(
    'LGW_STORE',
    `Cannot store "${key}": its value has ${bytes} bytes in the store and the limit is ${VALUE_BYTES_MAX}`,
    { luaCode: 'limit' },
  );
}

function foreignError(key: string): GatewayError {
  return new GatewayError('LGW_STORE', `The entry "${key}" was not written by a dictionary`, {
    luaCode: 'invalid',
  });
}

/** Redis knows whole milliseconds; what is left of one is one. */
function wholeMs(ms: number): string {
  return String(Math.min(TTL_MS_MAX, Math.ceil(ms)));
}

function encodeNumber(value: bigint | number): string {
  return typeof value === 'bigint' ? encodeInteger(value) : encodeFloat(value);
}

/** What an entry begins with: an exclamation mark where the sum leaves the integers of 64 bits. */
function encodeSum(a: bigint | number, b: bigint | number): string {
  if (typeof a !== 'bigint' || typeof b !== 'bigint') return encodeFloat(Number(a) + Number(b));
  const sum = a + b;
  return BigInt.asIntN(64, sum) === sum ? encodeInteger(sum) : '!';
}
