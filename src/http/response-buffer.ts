/** Response bytes that wait for the wire, in chunks no larger than one DATA frame or TLS record. */
import { assert } from '../base/assert.ts';

/** Largest chunk given to the wire: one TLS record and the default HTTP/2 frame. */
export const CHUNK_BYTES_MAX: number = 16 * 1024;
/** Bytes from which on a writer has to wait. */
export const BUFFER_BYTES_MAX: number = 64 * 1024;

export class ResponseBuffer {
  #chunks: Buffer[] = [];
  /** Index of the next chunk to be taken. */
  #head = 0;
  /** Bytes in use of the last chunk. */
  #tailUsed = 0;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** True when what is held fits into one chunk. */
  get isSingle(): boolean {
    return this.#chunks.length - this.#head === 1;
  }

  /** Copies all of `bytes`. */
  append(bytes: Uint8Array): void {
    let at = 0;
    const size = bytes.length;
    this.#length += size;
    const tail = this.#chunks.length > this.#head ? this.#chunks[this.#chunks.length - 1] : undefined;
    if (tail !== undefined && this.#tailUsed < tail.length) {
      at = Math.min(size, tail.length - this.#tailUsed);
      tail.set(at === size ? bytes : bytes.subarray(0, at), this.#tailUsed);
      this.#tailUsed += at;
    }
    while (at < size) {
      const n = Math.min(CHUNK_BYTES_MAX, size - at);
      // A first small write is most often the whole body: it gets a buffer of its own size, later ones share a chunk.
      const chunk = Buffer.allocUnsafe(tail === undefined ? n : CHUNK_BYTES_MAX);
      chunk.set(n === size ? bytes : bytes.subarray(at, at + n));
      this.#chunks.push(chunk);
      this.#tailUsed = n;
      at += n;
    }
  }

  /** Removes and returns the next chunk. */
  take(): Buffer {
    assert(this.#length > 0, 'a chunk is taken only while the buffer holds one');
    const last = this.#head === this.#chunks.length - 1;
    let chunk = this.#chunks[this.#head] as Buffer;
    if (last) {
      if (this.#tailUsed < chunk.length) chunk = chunk.subarray(0, this.#tailUsed);
      this.#chunks.length = 0;
      this.#head = 0;
      this.#tailUsed = 0;
    } else this.#head += 1;
    this.#length -= chunk.length;
    return chunk;
  }

  clear(): void {
    this.#chunks.length = 0;
    this.#head = 0;
    this.#tailUsed = 0;
    this.#length = 0;
  }
}
