/** Keeps the chunks that responses are copied into, for reuse: each fresh chunk costs the garbage collector time. */

/** Largest chunk given to the wire: one TLS record and the default HTTP/2 frame. */
export const CHUNK_BYTES_MAX: number = 16 * 1024;
/** Chunks kept for reuse: 1 MiB per worker. */
const CHUNKS_KEPT_MAX = 64;

const free: Buffer[] = [];
/** Chunks made here and in use; views of others' buffers must never come back. */
const lent = new WeakSet<Buffer>();

/** A chunk of the largest size. Its content is undefined: it may hold the bytes of an earlier response. */
export function takeChunk(): Buffer {
  const chunk = free.pop() ?? Buffer.allocUnsafeSlow(CHUNK_BYTES_MAX);
  lent.add(chunk);
  return chunk;
}

/** Takes back a chunk that nothing reads any more; chunks that this pool did not make are left to the garbage collector. */
export function giveChunk(chunk: Buffer): void {
  if (free.length < CHUNKS_KEPT_MAX && lent.delete(chunk)) free.push(chunk);
}

/** True for a chunk that `giveChunk` would take. */
export function isLent(chunk: Buffer): boolean {
  return lent.has(chunk);
}
