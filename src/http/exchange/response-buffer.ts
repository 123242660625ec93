/** Response bytes that wait for the wire, in chunks no larger than one DATA frame or TLS record. */
import { assert } from '../../base/assert.ts';
import { readLatin1, writeLatin1 } from '../../native/node-internals.ts';
import { CHUNK_BYTES_MAX, takeChunk } from './chunk-pool.ts';

/** Bytes from which on a writer has to wait. */
export const BUFFER_BYTES_MAX: number = 64 * 1024;

/** Up to this size a lone write is kept as a byte string: such strings cost half of what a small Buffer costs to send. */
const SHORT_BYTES_MAX = 4 * 1024;

/** Bytes for the wire: a Buffer, or a short byte string (latin1). */
export type Chunk = Buffer | string;

export class ResponseBuffer {
  /** A lone short write; everything else is in #chunks. */
  #short = '';
  #chunks: Buffer[] = NO_CHUNKS;
  /** Index of the next chunk to be taken. */
  #head = 0;
  /** Bytes in use of the last chunk. */
  #tailUsed = 0;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** Copies all of `bytes`. */
  append(bytes: Uint8Array): void {
    let at = 0;
    const size = bytes.length;
    if (this.#length === 0 && size <= SHORT_BYTES_MAX) {
      this.#short = readLatin1(bytes, 0, size);
      this.#length = size;
      return;
    }
    if (this.#short !== '') this.#spill();
    this.#length += size;
    const tail = this.#chunks.length > this.#head ? this.#chunks[this.#chunks.length - 1] : undefined;
    if (tail !== undefined && this.#tailUsed < tail.length) {
      at = Math.min(size, tail.length - this.#tailUsed);
      tail.set(at === size ? bytes : bytes.subarray(0, at), this.#tailUsed);
      this.#tailUsed += at;
    }
    while (at < size) {
      const n = Math.min(CHUNK_BYTES_MAX, size - at);
      const chunk = takeChunk();
      chunk.set(n === size ? bytes : bytes.subarray(at, at + n));
      this.#push(chunk);
      this.#tailUsed = n;
      at += n;
    }
  }

  /** Appends the bytes of a byte string; kept as it is when it is short and the first. */
  appendText(text: string): void {
    const size = text.length;
    if (this.#length === 0 && size <= SHORT_BYTES_MAX) {
      this.#short = text;
      this.#length = size;
      return;
    }
    if (this.#short !== '') this.#spill();
    const last = this.#chunks.length - 1;
    const tail = last >= this.#head ? (this.#chunks[last] as Buffer) : undefined;
    if (tail !== undefined && tail.length - this.#tailUsed >= size) {
      this.#tailUsed += writeLatin1(tail, text, this.#tailUsed, size);
      this.#length += size;
    } else this.append(Buffer.from(text, 'latin1'));
  }

  /** Keeps `bytes`, which nobody changes any more; small ones are copied, since they may hold a large buffer. */
  appendOwned(bytes: Uint8Array): void {
    const size = bytes.length;
    if (size <= SHORT_BYTES_MAX) {
      this.append(bytes);
      return;
    }
    if (this.#short !== '') this.#spill();
    const last = this.#chunks.length - 1;
    const tail = last >= this.#head ? this.#chunks[last] : undefined;
    if (tail !== undefined && this.#tailUsed < tail.length)
      this.#chunks[last] = tail.subarray(0, this.#tailUsed);
    for (let at = 0; at < size; at += CHUNK_BYTES_MAX) {
      const chunk = Buffer.from(bytes.buffer, bytes.byteOffset + at, Math.min(CHUNK_BYTES_MAX, size - at));
      this.#push(chunk);
      this.#tailUsed = chunk.length;
    }
    this.#length += size;
  }

  /** Removes and returns the next chunk. */
  take(): Chunk {
    assert(this.#length > 0, 'a chunk is taken only while the buffer holds one');
    if (this.#short !== '') {
      const short = this.#short;
      this.#short = '';
      this.#length = 0;
      return short;
    }
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
    if (this.#length === 0) return;
    this.#short = '';
    this.#chunks.length = 0;
    this.#head = 0;
    this.#tailUsed = 0;
    this.#length = 0;
  }

  #push(chunk: Buffer): void {
    if (this.#chunks === NO_CHUNKS) this.#chunks = [];
    this.#chunks.push(chunk);
  }

  /** A second write has come: from now on there are chunks. */
  #spill(): void {
    const chunk = takeChunk();
    this.#tailUsed = chunk.write(this.#short, 0, 'latin1');
    this.#push(chunk);
    this.#short = '';
  }
}

/** Most answers are one short write, and need no list of their own: of all buffers without chunks, and always empty. */
const NO_CHUNKS: Buffer[] = [];
