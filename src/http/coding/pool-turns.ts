/** Bounds the work that a worker gives to libuv's pool for compression: files use the same threads, and must find one free. */
import { assert } from '../../base/assert.ts';

/** Threads that are left to files. */
const THREADS_FOR_FILES = 2;
/** Jobs of all workers together, also where there are few processors. */
const JOBS_MIN = 2;

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

/**
 * How many jobs each of so many workers may have in the pool, which they share: together as many as there are processors. More would only
 * take the time of the threads that answer.
 */
export function poolJobsMax(workers: number, threads: number, processors: number): number {
  const jobs = Math.min(threads - THREADS_FOR_FILES, Math.max(processors, JOBS_MIN));
  return Math.max(1, Math.floor(jobs / workers));
}
