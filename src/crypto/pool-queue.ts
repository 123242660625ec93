/** Bounds the work that waits for, and runs in, the pool of threads of the process: files of all workers need that pool, too. */
import { GatewayError } from '../base/errors.ts';

export interface PoolQueueOptions {
  /** What its jobs are, for messages: "derivations of keys". */
  readonly what: string;
  /** Jobs of this thread that run at once. */
  readonly runningMax: number;
  /** Jobs that wait. */
  readonly waitingMax: number;
  /** Jobs of one owner that wait. */
  readonly waitingOfOwnerMax: number;
}

/** Begins the work; `release` is called once, when it has ended. */
type Job = (release: () => void) => void;

export class PoolQueue {
  readonly #options: PoolQueueOptions;
  /** Those who wait, in the order of their turns. */
  readonly #waiting = new Map<object, Job[]>();
  #waitingCount = 0;
  #running = 0;

  constructor(options: PoolQueueOptions) {
    this.#options = options;
  }

  /**
   * Begins `job` now or later; owners take turns. The result takes a job back that has not begun. Throws a GatewayError where
   * too many wait.
   */
  enter(owner: object, job: Job): () => void {
    const { runningMax, waitingMax, waitingOfOwnerMax, what } = this.#options;
    if (this.#running < runningMax) {
      this.#begin(job);
      return () => undefined;
    }
    const jobs = this.#waiting.get(owner) ?? [];
    if (this.#waitingCount >= waitingMax || jobs.length >= waitingOfOwnerMax) {
      const [count, limit] =
        jobs.length >= waitingOfOwnerMax
          ? [jobs.length, `the limit of a mapping is ${waitingOfOwnerMax}`]
          : [this.#waitingCount, `the limit is ${waitingMax}`];
      throw new GatewayError('LGW_CRYPTO_LIMIT', `Cannot begin: ${count} ${what} wait and ${limit}`, {
        luaCode: 'limit',
      });
    }
    jobs.push(job);
    this.#waiting.set(owner, jobs);
    this.#waitingCount += 1;
    return () => this.#takeBack(owner, job);
  }

  #begin(job: Job): void {
    this.#running += 1;
    job(() => {
      this.#running -= 1;
      this.#beginNext();
    });
  }

  #beginNext(): void {
    for (const [owner, jobs] of this.#waiting) {
      const job = jobs.shift() as Job;
      this.#waitingCount -= 1;
      this.#waiting.delete(owner);
      // behind the others
      if (jobs.length > 0) this.#waiting.set(owner, jobs);
      this.#begin(job);
      return;
    }
  }

  #takeBack(owner: object, job: Job): void {
    const jobs = this.#waiting.get(owner);
    const at = jobs?.indexOf(job) ?? -1;
    if (jobs === undefined || at === -1) return;
    jobs.splice(at, 1);
    this.#waitingCount -= 1;
    if (jobs.length === 0) this.#waiting.delete(owner);
  }
}
