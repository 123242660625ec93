/** Bounds the work that a worker gives to libuv's pool for compression: files use the same threads, and must find one free. */
import { assert } from '../../base/assert.ts';

/** libuv's own, where UV_THREADPOOL_SIZE does not say otherwise. */
const POOL_THREADS_DEFAULT = 4;
/** Threads that are left to files. */
const THREADS_FOR_FILES = 2;

/** Takes its turn when `begin` is called, and gives it back by `PoolTurns.ended`. */
export interface PoolJob {
  begin(): void;
}

export class PoolTurns {
  readonly #jobsMax: number;
  /** In the order in which they came: each body has one at a time, so that bodies take turns. */
  readonly #waiting = new Set<PoolJob>();
  #underWay = 0;

  constructor(jobsMax: number) {
    this.#jobsMax = jobsMax;
  }

  get underWay(): number {
    return this.#underWay;
  }

  /** Begins it now or when others have ended. */
  take(job: PoolJob): void {
    if (this.#underWay >= this.#jobsMax) {
      this.#waiting.add(job);
      return;
    }
    this.#underWay += 1;
    job.begin();
  }

  /** Takes back one that waits; false: it has begun. */
  withdraw(job: PoolJob): boolean {
    return this.#waiting.delete(job);
  }

  /** One that has begun is over. */
  ended(): void {
    assert(this.#underWay > 0, 'a job ends once');
    this.#underWay -= 1;
    for (const job of this.#waiting) {
      this.#waiting.delete(job);
      this.take(job);
      return;
    }
  }
}

/** How many jobs each of so many workers may have in the pool, which they share. */
export function poolJobsMax(workers: number, poolSize: string | undefined): number {
  const given = Number(poolSize);
  const threads = Number.isInteger(given) && given > 0 ? given : POOL_THREADS_DEFAULT;
  return Math.max(1, Math.floor((threads - THREADS_FOR_FILES) / workers));
}
