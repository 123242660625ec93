/** Keeps the chunks responses are copied into for the next ones: fresh ones are what the garbage collector works for. */

/** Largest chunk given to the wire: one TLS record and the default HTTP/2 frame. */
export const CHUNK_BYTES_MAX: number = 16 * 1024;
/** Chunks kept for reuse: 1 MiB per worker. */
const CHUNKS_KEPT_MAX = 64;

const free: Buffer[] = [];
/** Chunks made here and in use; views of others' buffers must never come back. */
const lent = new WeakSet<Buffer>();

/** A chunk of the largest size; what it holds is somebody's old bytes. */
export function takeChunk(): Buffer {
  const chunk = free.pop() ?? Buffer.allocUnsafeSlow(CHUNK_BYTES_MAX);
  lent.add(chunk);
  return chunk;
}

/** Takes a chunk back that nobody reads any more; whatever is not from here is left to the collector. */
export function giveChunk(chunk: Buffer): void {
  if (free.length < CHUNKS_KEPT_MAX && lent.delete(chunk)) free.push(chunk);
}

/** True for a chunk that `giveChunk` would take. */
export function isLent(chunk: Buffer): boolean {
  return lent.has(chunk);
}
