/** A dictionary in shared memory: its operations, which work on bytes under the lock and make no strings of keys. */

import { readLatin1 } from '../native/node-internals.ts';
import { BlockChains, blocksFor } from './block-chains.ts';
import { EntryTable } from './entry-table.ts';
import { empty, HEADER, layoutOf, type Views } from './layout.ts';
import { SharedLock } from './lock.ts';
import { repair } from './repair.ts';
import { sipHash } from './sip-hash.ts';
import { addTo, raiseTo, VALUE_TYPE, type Value, type ValueType } from './value.ts';

/** Bytes of a key: each operation hashes and compares a key while other threads wait. */
export const KEY_BYTES_MAX = 1024;
/** Keys of one result of `keys`: other threads wait while it is made. */
export const KEYS_DEFAULT = 1024;
export const KEYS_MAX = 65_536;

/** Under which condition `store` stores. */
export type StoreMode = 'set' | 'add' | 'replace';
export type StoreOutcome = 'stored' | 'exists' | 'missing' | 'limit';
export type IncrementOutcome = 'stored' | 'missing' | 'not a number' | 'overflow' | 'limit';

/** A key is `size` bytes of `key` from `at` on. Each call may throw GatewayError when the lock cannot be had. */
export class Dictionary {
  readonly #views: Views;
  readonly #words: Int32Array;
  readonly #lock: SharedLock;
  readonly #chains: BlockChains;
  readonly #table: EntryTable;
  readonly #blocks: number;
  readonly #seed0: number;
  readonly #seed1: number;
  readonly #now: () => number;

  /**
   * Uses memory that createSharedMemory has made. `owner` numbers this thread, and `lockWaitMaxMs` is how long the thread waits
   * (lock.ts); `now` gives the same ms in all threads.
   */
  constructor(views: Views, owner: number, now: () => number, lockWaitMaxMs?: number) {
    const layout = layoutOf(views.bytes.length);
    this.#views = views;
    this.#words = views.words;
    this.#lock = new SharedLock(views.lock, HEADER.lock, owner, lockWaitMaxMs);
    this.#chains = new BlockChains(views, layout);
    this.#table = new EntryTable(views, layout, this.#chains);
    this.#blocks = layout.blocks;
    this.#seed0 = views.words[HEADER.seed0] as number;
    this.#seed1 = views.words[HEADER.seed1] as number;
    this.#now = now;
  }

  /** Reads the value into `out`; false if there is no entry. */
  get(key: Uint8Array, at: number, size: number, out: Value): boolean {
    const hash = this.#hash(key, at, size);
    this.#enter();
    try {
      const entry = this.#find(hash, key, at, size);
      this.#count(entry === 0 ? HEADER.misses : HEADER.hits);
      if (entry === 0) return false;
      this.#load(entry, out);
      this.#touch(entry);
      return true;
    } finally {
      this.#leave();
    }
  }

  /** Stores a value; `ttlMs` 0: it never expires. Result `limit`: the whole dictionary could not hold the entry, or the key is too long. */
  store(
    mode: StoreMode,
    key: Uint8Array,
    at: number,
    size: number,
    value: Value,
    ttlMs: number,
  ): StoreOutcome {
    if (size > KEY_BYTES_MAX || blocksFor(size, value.size) > this.#blocks) return 'limit';
    const hash = this.#hash(key, at, size);
    this.#enter();
    try {
      const entry = this.#find(hash, key, at, size);
      if (entry !== 0 && mode === 'add') return 'exists';
      if (entry === 0 && mode === 'replace') return 'missing';
      const expires = this.#deadline(ttlMs);
      this.#begin();
      if (entry === 0) this.#insert(hash, key, at, size, value, expires);
      else if (blocksFor(size, this.#table.valueSize(entry)) === blocksFor(size, value.size)) {
        this.#words[HEADER.writing] = entry;
        this.#write(entry, size, value, expires);
        this.#words[HEADER.writing] = 0;
        this.#table.touch(entry);
      } else {
        this.#table.remove(entry);
        this.#insert(hash, key, at, size, value, expires);
      }
      this.#end();
      return 'stored';
    } finally {
      this.#leave();
    }
  }

  /**
   * Adds the number `by`; the sum comes in `out`. A missing entry begins with the number `initial`, for `ttlMs`, if that
   * is given.
   */
  increment(
    key: Uint8Array,
    at: number,
    size: number,
    by: Value,
    initial: Value | undefined,
    ttlMs: number,
    out: Value,
    floor?: Value,
  ): IncrementOutcome {
    if (size > KEY_BYTES_MAX) return 'limit';
    const hash = this.#hash(key, at, size);
    this.#enter();
    try {
      const entry = this.#find(hash, key, at, size);
      if (entry === 0) {
        if (initial === undefined) return 'missing';
        if (initial.type === VALUE_TYPE.integer) out.setInteger(initial.integer);
        else out.setFloat(initial.float);
        if (!addTo(out, by)) return 'overflow';
        const expires = this.#deadline(ttlMs);
        this.#begin();
        this.#insert(hash, key, at, size, out, expires);
        this.#end();
        return 'stored';
      }
      const type = this.#table.valueType(entry);
      if (type !== VALUE_TYPE.integer && type !== VALUE_TYPE.float) return 'not a number';
      this.#load(entry, out);
      if (floor !== undefined) raiseTo(out, floor);
      if (!addTo(out, by)) return 'overflow';
      if (out.type === type) {
        // one store: a thread that dies here leaves either the old number or the new one
        this.#writeNumber(entry, out);
        this.#touch(entry);
        return 'stored';
      }
      this.#begin();
      this.#words[HEADER.writing] = entry;
      this.#write(entry, size, out, this.#table.expires(entry));
      this.#words[HEADER.writing] = 0;
      this.#table.touch(entry);
      this.#end();
      return 'stored';
    } finally {
      this.#leave();
    }
  }

  /** Removes an entry; true if there was one. */
  delete(key: Uint8Array, at: number, size: number): boolean {
    const hash = this.#hash(key, at, size);
    this.#enter();
    try {
      const entry = this.#find(hash, key, at, size);
      if (entry === 0) return false;
      this.#begin();
      this.#table.remove(entry);
      this.#end();
      return true;
    } finally {
      this.#leave();
    }
  }

  /** Milliseconds that an entry has left; 0 = it never expires, undefined = there is no entry. Does not count as a use of the entry. */
  ttl(key: Uint8Array, at: number, size: number): number | undefined {
    const hash = this.#hash(key, at, size);
    this.#enter();
    try {
      const entry = this.#find(hash, key, at, size);
      if (entry === 0) return undefined;
      const expires = this.#table.expires(entry);
      return expires === 0 ? 0 : expires - this.#now();
    } finally {
      this.#leave();
    }
  }

  /** Sets the milliseconds that an entry has left; 0 = it never expires. False when there is no such entry. */
  expire(key: Uint8Array, at: number, size: number, ttlMs: number): boolean {
    const hash = this.#hash(key, at, size);
    this.#enter();
    try {
      const entry = this.#find(hash, key, at, size);
      if (entry === 0) return false;
      this.#table.setExpires(entry, this.#deadline(ttlMs));
      this.#touch(entry);
      return true;
    } finally {
      this.#leave();
    }
  }

  /** Returns at most `limit` keys as byte strings; the key used last comes first. */
  keys(limit: number): string[] {
    const keys: string[] = [];
    const bytes = Buffer.allocUnsafe(KEY_BYTES_MAX);
    const now = this.#now();
    this.#enter();
    try {
      let entry = this.#table.newest;
      while (entry !== 0 && keys.length < limit) {
        const older = this.#table.older(entry);
        const expires = this.#table.expires(entry);
        if (expires !== 0 && expires <= now) this.#remove(entry);
        else {
          const size = this.#table.keySize(entry);
          this.#chains.read(entry, 0, bytes, 0, size);
          keys.push(readLatin1(bytes, 0, size));
        }
        entry = older;
      }
      return keys;
    } finally {
      this.#leave();
    }
  }

  /** Removes all entries. */
  flush(): void {
    this.#enter();
    try {
      this.#begin();
      empty(this.#views);
    } finally {
      this.#leave();
    }
  }

  /** Finds the entry with this key, unless it has expired: then removes it. */
  #find(hash: number, key: Uint8Array, at: number, size: number): number {
    const entry = this.#table.find(hash, key, at, size);
    if (entry === 0) return 0;
    const expires = this.#table.expires(entry);
    if (expires === 0 || expires > this.#now()) return entry;
    this.#remove(entry);
    return 0;
  }

  #remove(entry: number): void {
    this.#begin();
    this.#table.remove(entry);
    this.#end();
  }

  #touch(entry: number): void {
    if (this.#table.newest === entry) return;
    this.#begin();
    this.#table.touch(entry);
    this.#end();
  }

  /** Makes the room that an entry needs: removes the entries that were not used for longest. */
  #insert(hash: number, key: Uint8Array, at: number, size: number, value: Value, expires: number): void {
    this.#table.sweep(this.#now);
    const count = blocksFor(size, value.size);
    while (this.#chains.available < count) {
      this.#table.remove(this.#table.oldest);
      this.#count(HEADER.evictions);
    }
    const entry = this.#chains.allocate(count);
    this.#table.setKeySize(entry, size);
    this.#chains.write(entry, 0, key, at, size);
    this.#write(entry, size, value, expires);
    this.#table.insert(entry, hash);
  }

  #count(word: number): void {
    this.#words[word] = (this.#words[word] as number) + 1;
  }

  #write(entry: number, keySize: number, value: Value, expires: number): void {
    if (value.type === VALUE_TYPE.string)
      this.#chains.write(entry, keySize, value.bytes, value.at, value.size);
    else this.#writeNumber(entry, value);
    this.#table.setTypeAndSize(entry, value.type, value.size);
    this.#table.setExpires(entry, expires);
  }

  #writeNumber(entry: number, value: Value): void {
    const at = this.#table.numberAt(entry);
    if (value.type === VALUE_TYPE.integer) this.#views.integers[at] = value.integer;
    else if (value.type === VALUE_TYPE.float) this.#views.floats[at] = value.float;
  }

  #load(entry: number, out: Value): void {
    const type = this.#table.valueType(entry) as ValueType;
    out.type = type;
    out.size = this.#table.valueSize(entry);
    if (type === VALUE_TYPE.integer)
      out.integer = this.#views.integers[this.#table.numberAt(entry)] as bigint;
    else if (type === VALUE_TYPE.float) out.float = this.#views.floats[this.#table.numberAt(entry)] as number;
    else if (type === VALUE_TYPE.string) {
      out.makeRoom(out);
      this.#chains.read(entry, this.#table.keySize(entry), out.bytes, out.at, out.size);
    }
  }

  #deadline(ttlMs: number): number {
    return ttlMs === 0 ? 0 : this.#now() + ttlMs;
  }

  #hash(key: Uint8Array, at: number, size: number): number {
    // no entry has so long a key
    return sipHash(key, at, Math.min(size, KEY_BYTES_MAX), this.#seed0, this.#seed1);
  }

  #enter(): void {
    this.#lock.acquire();
    if (this.#words[HEADER.dirty] !== 0) repair(this.#views);
  }

  #leave(): void {
    // an exception has ended the operation in the middle
    if (this.#words[HEADER.dirty] !== 0) repair(this.#views);
    this.#lock.release();
  }

  #begin(): void {
    this.#words[HEADER.dirty] = 1;
  }

  #end(): void {
    this.#words[HEADER.dirty] = 0;
  }
}
