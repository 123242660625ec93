/**
 * What stands before an entry of a store: a hash of its name and its bytes. So an entry that was damaged, cut off or put in another one's place
 * is none; with a key that only the machines have, nobody else makes one.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';

const HASH_BYTES = 16;
/** Of the form of entries; others are left to those who know them. */
const VERSION = 1;
/** Anyone may know it: the hash then tells of damage only. */
const OPEN_KEY = 'lgateway';

export class EntrySeal {
  /** That it takes. */
  static readonly bytes: number = HASH_BYTES + 1;
  readonly #key: Uint8Array | string;

  constructor(key: Uint8Array | undefined) {
    this.#key = key ?? OPEN_KEY;
  }

  close(name: string, words: readonly Uint8Array[]): Buffer {
    const version = Uint8Array.of(VERSION);
    return Buffer.concat([this.#hash(name, [version, ...words]), version, ...words]);
  }

  /** What was closed under this name; undefined: it was not. */
  open(name: string, entry: Buffer): Buffer | undefined {
    if (entry.length < EntrySeal.bytes || entry[HASH_BYTES] !== VERSION) return undefined;
    const hash = this.#hash(name, [entry.subarray(HASH_BYTES)]);
    if (!timingSafeEqual(hash, entry.subarray(0, HASH_BYTES))) return undefined;
    return entry.subarray(EntrySeal.bytes);
  }

  #hash(name: string, words: readonly Uint8Array[]): Buffer {
    const hmac = createHmac('sha256', this.#key).update(`${name.length} ${name}`, 'latin1');
    for (const word of words) hmac.update(word);
    return hmac.digest().subarray(0, HASH_BYTES);
  }
}
