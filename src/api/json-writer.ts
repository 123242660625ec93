/** Gathers the bytes of one JSON text: strings with their escapes, numbers, and what stands between them. */
import { isUtf8 } from 'node:buffer';
import { LuaError } from '../lua/lua-error.ts';
import { JSON_BYTES_MAX } from './json-limits.ts';

/** Bytes a text is expected to have; it grows by doubling. */
const FIRST_BYTES = 1024;

const SPACE = 0x20;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** For each byte that cannot stand in a string as it is, what does. */
const ESCAPES: readonly (string | undefined)[] = Array.from({ length: 256 }, (_, byte) => {
  if (byte >= SPACE && byte !== QUOTE && byte !== BACKSLASH) return undefined;
  return JSON.stringify(String.fromCharCode(byte)).slice(1, -1);
});

export class JsonWriter {
  #bytes: Buffer = Buffer.allocUnsafe(FIRST_BYTES);
  #size = 0;

  /** What has been written. Valid until the next write. */
  get bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#size);
  }

  byte(byte: number): void {
    this.#reserve(1);
    this.#bytes[this.#size++] = byte;
  }

  /** A short text of ASCII characters. */
  ascii(text: string): void {
    this.#reserve(text.length);
    for (let i = 0; i < text.length; i++) this.#bytes[this.#size++] = text.charCodeAt(i);
  }

  /** The bytes of `heap` between two addresses as a string in quotes; raises when they are no UTF-8. */
  string(heap: Buffer, start: number, end: number): void {
    // every byte may need an escape only where there are some: most strings have none
    this.#reserve(end - start + 2);
    let bytes = this.#bytes;
    let size = this.#size;
    let seen = 0;
    bytes[size++] = QUOTE;
    let at = start;
    for (; at < end; at++) {
      const byte = heap[at] as number;
      if (byte < SPACE || byte === QUOTE || byte === BACKSLASH) break;
      seen |= byte;
      bytes[size++] = byte;
    }
    if (at < end) {
      let needed = 1;
      for (let i = at; i < end; i++) {
        const replacement = ESCAPES[heap[i] as number];
        seen |= heap[i] as number;
        needed += replacement === undefined ? 1 : replacement.length;
      }
      this.#size = size;
      this.#reserve(needed);
      bytes = this.#bytes;
      for (; at < end; at++) {
        const replacement = ESCAPES[heap[at] as number];
        if (replacement === undefined) bytes[size++] = heap[at] as number;
        else for (let i = 0; i < replacement.length; i++) bytes[size++] = replacement.charCodeAt(i);
      }
    }
    if (seen >= 0x80 && !isUtf8(heap.subarray(start, end)))
      throw new LuaError('cannot encode as JSON: a string is not valid UTF-8');
    bytes[size++] = QUOTE;
    this.#size = size;
  }

  #reserve(size: number): void {
    const needed = this.#size + size;
    if (needed <= this.#bytes.length) return;
    if (needed > JSON_BYTES_MAX)
      throw new LuaError(
        `cannot encode as JSON: the text has more bytes than the limit of ${JSON_BYTES_MAX}`,
      );
    const grown = Buffer.allocUnsafe(Math.min(Math.max(2 * this.#bytes.length, needed), JSON_BYTES_MAX));
    this.#bytes.copy(grown, 0, 0, this.#size);
    this.#bytes = grown;
  }
}
