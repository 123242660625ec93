/**
 * What one worker has read of a store, kept near: used as long as the connection that tells of changes lives, and never beyond the time of the
 * entry. Bounded; what was not used since it was last looked at goes first.
 */
import type { Reply } from './resp-reply.ts';
import { NEAR_BYTES_MAX, NEAR_ENTRIES_MAX, NEAR_ENTRY_BYTES, NEAR_VALUE_BYTES_MAX } from './store-limits.ts';
import type { StoredValue } from './stored-value.ts';

interface Entry {
  /** Undefined: it is being read. */
  value: StoredValue | undefined;
  bytes: number;
  /** In milliseconds of `performance.now()`. */
  expires: number;
  /** What it was read in; of another one it is old. */
  epoch: number;
  /** The value is an old one: the new one has been asked for. */
  isPending: boolean;
  isUsed: boolean;
}

/** A value that is being read; what happens to its key meanwhile makes it worthless. */
export type Placeholder = Entry;

/** No epoch: an entry that nobody tells of. */
const UNTRACKED = -1;

export class NearCache {
  readonly #entries = new Map<string, Entry>();
  #bytes = 0;
  #epoch = 0;
  #isOff = false;

  get size(): number {
    return this.#entries.size;
  }

  /** The value, where it is as good as the store's. Texts are bytes. */
  fresh(key: string): StoredValue | undefined {
    if (this.#isOff) return undefined;
    const entry = this.#entries.get(key);
    if (entry?.value === undefined || entry.isPending || entry.epoch !== this.#epoch) return undefined;
    // to read the clock takes a tenth of such a read
    if (entry.expires !== Number.POSITIVE_INFINITY && performance.now() >= entry.expires) {
      this.forget(key);
      return undefined;
    }
    entry.isUsed = true;
    return entry.value;
  }

  /** The last value that was seen, if its time is not over. */
  old(key: string): StoredValue | undefined {
    const entry = this.#entries.get(key);
    if (entry?.value === undefined) return undefined;
    return performance.now() < entry.expires ? entry.value : undefined;
  }

  /** Right before the value is asked for. `isTracked`: the store will tell when it changes. */
  begin(key: string, isTracked: boolean): Placeholder {
    const known = this.#entries.get(key);
    const epoch = isTracked ? this.#epoch : UNTRACKED;
    // an old value stays for as long as the new one has not come
    const { value, bytes, expires } = known ?? { value: undefined, bytes: 0, expires: 0 };
    const placeholder: Entry = { value, bytes, expires, epoch, isPending: true, isUsed: false };
    this.#put(key, placeholder);
    return placeholder;
  }

  /** The value has come. It is kept unless something has happened to the key since `begin`. */
  fill(key: string, placeholder: Placeholder, value: StoredValue, expires: number): void {
    if (this.#entries.get(key) !== placeholder) return;
    const size = typeof value === 'string' || Buffer.isBuffer(value) ? value.length : 8;
    if (
      size > NEAR_VALUE_BYTES_MAX ||
      (placeholder.epoch !== UNTRACKED && placeholder.epoch !== this.#epoch)
    ) {
      this.forget(key);
      return;
    }
    // a view would keep what was received with it
    placeholder.value = Buffer.isBuffer(value) ? value.toString('latin1') : value;
    placeholder.expires = expires;
    placeholder.isPending = false;
    this.#bytes += size - placeholder.bytes;
    placeholder.bytes = size;
    this.#makeRoom();
  }

  /** No value has come. */
  cancel(key: string, placeholder: Placeholder): void {
    if (this.#entries.get(key) === placeholder && placeholder.value === undefined) this.forget(key);
  }

  /** Nobody tells of changes: every value is asked for. */
  switchOff(): void {
    this.#isOff = true;
  }

  forget(key: string): void {
    const entry = this.#entries.get(key);
    if (entry === undefined) return;
    this.#entries.delete(key);
    this.#bytes -= entry.bytes + key.length + NEAR_ENTRY_BYTES;
  }

  /** Null: nothing can be trusted any more; it stays as what was seen last. */
  invalidate(keys: readonly Reply[] | null): void {
    if (keys === null) {
      this.#epoch += 1;
      return;
    }
    for (const key of keys) if (Buffer.isBuffer(key)) this.forget(key.toString('latin1'));
  }

  #put(key: string, entry: Entry): void {
    this.forget(key);
    this.#entries.set(key, entry);
    this.#bytes += entry.bytes + key.length + NEAR_ENTRY_BYTES;
    this.#makeRoom();
  }

  #makeRoom(): void {
    const entries = this.#entries;
    for (const [key, entry] of entries) {
      if (entries.size <= NEAR_ENTRIES_MAX && this.#bytes <= NEAR_BYTES_MAX) return;
      if (entry.isUsed) {
        // once more around
        entry.isUsed = false;
        entries.delete(key);
        entries.set(key, entry);
      } else this.forget(key);
    }
  }
}
