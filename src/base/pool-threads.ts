/**
 * Threads of libuv's pool, which all workers share, and how many of them the files of one mapping may have: a disk, or a server of files,
 * that does not answer must not hold all of them. Only the environment can say how many there are: Node has used the pool before
 * the first line of a program runs.
 */

/** libuv's own, where UV_THREADPOOL_SIZE does not say otherwise. */
const THREADS_DEFAULT = 4;
/** Operations of a mapping that a worker has in the pool at once: fewer than it has in all. */
const OPERATIONS_OF_SHARE_MAX = 6;
/** Also where the pool is small for so many workers: one file is read while another is opened. */
const OPERATIONS_OF_SHARE_MIN = 2;

/** Threads that the pool has; `size` is the value of UV_THREADPOOL_SIZE. */
export function poolThreads(size: string | undefined): number {
  const given = Number(size);
  return Number.isInteger(given) && given > 0 ? given : THREADS_DEFAULT;
}

/**
 * Operations on files of one mapping that each of so many workers may have in the pool at once. One thread is left for all others, unless
 * the pool has less than three for each worker.
 */
export function operationsOfShareMax(workers: number, threads: number): number {
  const fair = Math.floor((threads - 1) / workers);
  return Math.max(OPERATIONS_OF_SHARE_MIN, Math.min(fair, OPERATIONS_OF_SHARE_MAX));
}
