/** A dictionary as JavaScript uses it: keys and string values are byte strings, one character a byte. */
import { type Dictionary, KEY_BYTES_MAX, KEYS_DEFAULT, type StoreMode } from './dictionary.ts';
import { incrementError, limitError } from './failures.ts';
import {
  checkKey,
  checkKeysLimit,
  exactValue,
  readInteger,
  type SharedValue,
  toMilliseconds,
} from './plain-values.ts';
import { VALUE_TYPE, Value } from './value.ts';

/** How `incr` makes an entry that it does not find, and what one that it finds is at least. */
export interface IncrementStart {
  readonly init: number | bigint;
  /** Seconds; 0 or undefined: the entry never expires. */
  readonly ttl?: number;
  /** A number that is less counts as this one; default: every number counts as it is. */
  readonly floor?: number | bigint;
}

const MS_PER_SECOND = 1000;

/**
 * The same entries that scripts see under `httpd.shared(name)`. Every call is atomic over all threads and waits for no
 * other thread longer than that one's own call takes. Throws GatewayError with the code that scripts get (`luaCode`:
 * limit, notfound, invalid, timeout), RangeError and TypeError for what is misuse.
 */
export class SharedDictionary {
  readonly #dictionary: Dictionary;
  readonly #key: Buffer = Buffer.allocUnsafe(KEY_BYTES_MAX + 1);
  readonly #value = new Value();
  readonly #initial = new Value();
  readonly #floor = new Value();
  readonly #out = new Value();

  constructor(dictionary: Dictionary) {
    this.#dictionary = dictionary;
  }

  /** Returns the value; undefined if there is no entry. */
  get(key: string): SharedValue | undefined {
    return this.#dictionary.get(this.#key, 0, this.#takeKey(key), this.#out) ? this.#takeOut() : undefined;
  }

  /** Stores a value for `ttl` seconds; 0: for ever. */
  set(key: string, value: SharedValue, ttl = 0): void {
    this.#store('set', key, value, ttl);
  }

  /** Stores a value if there is no entry; false if there is one. */
  add(key: string, value: SharedValue, ttl = 0): boolean {
    return this.#store('add', key, value, ttl);
  }

  /** Stores a value if there is an entry already; false if there is none. */
  replace(key: string, value: SharedValue, ttl = 0): boolean {
    return this.#store('replace', key, value, ttl);
  }

  /** Removes an entry; true if there was one. */
  delete(key: string): boolean {
    return this.#dictionary.delete(this.#key, 0, this.#takeKey(key));
  }

  /** Adds to a number and returns the sum. */
  incr(key: string, by: number | bigint = 1, start?: IncrementStart): number | bigint {
    fill(this.#value, by);
    if (start !== undefined) fill(this.#initial, start.init);
    const size = this.#takeKey(key);
    const initial = start === undefined ? undefined : this.#initial;
    const ttlMs = toMilliseconds(start?.ttl ?? 0);
    if (start?.floor !== undefined) fill(this.#floor, start.floor);
    const floor = start?.floor === undefined ? undefined : this.#floor;
    const outcome = this.#dictionary.increment(
      this.#key,
      0,
      size,
      this.#value,
      initial,
      ttlMs,
      this.#out,
      floor,
    );
    if (outcome !== 'stored') throw incrementError(outcome, key, size);
    return this.#takeOut() as number | bigint;
  }

  /** Seconds that an entry has left; 0 = it never expires, undefined = there is no entry. */
  ttl(key: string): number | undefined {
    const ms = this.#dictionary.ttl(this.#key, 0, this.#takeKey(key));
    return ms === undefined ? undefined : ms / MS_PER_SECOND;
  }

  /** Sets the seconds that an entry has left; 0 = it never expires. False when there is no such entry. */
  expire(key: string, ttl: number): boolean {
    return this.#dictionary.expire(this.#key, 0, this.#takeKey(key), toMilliseconds(ttl));
  }

  /** Returns the keys; the key used last comes first. */
  keys(limit: number = KEYS_DEFAULT): string[] {
    checkKeysLimit(limit);
    return this.#dictionary.keys(limit);
  }

  /** Removes all entries. */
  flush(): void {
    this.#dictionary.flush();
  }

  #store(mode: StoreMode, key: string, value: SharedValue, ttl: number): boolean {
    fill(this.#value, value);
    const size = this.#takeKey(key);
    const outcome = this.#dictionary.store(mode, this.#key, 0, size, this.#value, toMilliseconds(ttl));
    const valueSize = this.#value.size;
    this.#value.clear();
    if (outcome === 'limit') throw limitError(key, key.length, valueSize);
    return outcome === 'stored';
  }

  #takeKey(key: string): number {
    checkKey(key);
    // the whole length still counts: a key that is too long is never found
    this.#key.write(key, 'latin1');
    return key.length;
  }

  #takeOut(): SharedValue {
    const out = this.#out;
    switch (out.type) {
      case VALUE_TYPE.integer:
        return readInteger(out.integer);
      case VALUE_TYPE.float:
        return out.float;
      case VALUE_TYPE.string: {
        const text = Buffer.from(out.bytes.buffer, out.bytes.byteOffset, out.size).toString('latin1');
        out.clear();
        return text;
      }
      default:
        return out.type === VALUE_TYPE.yes;
    }
  }
}

function fill(target: Value, value: SharedValue): void {
  const exact = exactValue(value);
  if (typeof exact === 'bigint') target.setInteger(exact);
  else if (typeof exact === 'number') target.setFloat(exact);
  else if (typeof exact === 'string') target.setString(Buffer.from(exact, 'latin1'), 0, exact.length);
  else target.setBoolean(exact);
}
