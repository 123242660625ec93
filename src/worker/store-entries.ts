/** Entries of the cache in a store that machines share. */
import type { CommonEntries, FoundEntry } from '../cache/common-entries.ts';
import { command } from '../store/resp-command.ts';
import type { StoreClient } from '../store/store-client.ts';

export class StoreEntries implements CommonEntries {
  readonly #client: StoreClient;
  readonly #isThere: () => boolean;

  /** `isThere`: the store answers, as far as is known. */
  constructor(client: StoreClient, isThere: () => boolean) {
    this.#client = client;
    this.#isThere = isThere;
  }

  get isThere(): boolean {
    return this.#isThere();
  }

  read(
    key: string,
    bytesMax: number,
    timeoutMs: number,
    done: (found: FoundEntry | undefined) => void,
  ): void {
    let ttlMs = 0;
    // first: a younger entry that comes in between then counts as older than it is, and not as younger
    this.#client.call(key, command('PTTL', key), timeoutMs, (left) => {
      if (typeof left === 'number') ttlMs = left;
    });
    // one byte more tells of an entry that is too long; of none there is no byte
    this.#client.call(key, command('GETRANGE', key, '0', String(bytesMax)), timeoutMs, (bytes) => {
      const isGood = Buffer.isBuffer(bytes) && bytes.length > 0 && bytes.length <= bytesMax && ttlMs > 0;
      done(isGood ? { bytes, ttlMs } : undefined);
    });
  }

  write(
    key: string,
    bytes: Uint8Array,
    ttlMs: number,
    timeoutMs: number,
    done: (isWritten: boolean) => void,
  ): void {
    const one = command('SET', key, bytes, 'PX', String(Math.ceil(ttlMs)));
    this.#client.call(key, one, timeoutMs, (outcome) => done(outcome === 'OK'));
  }
}
