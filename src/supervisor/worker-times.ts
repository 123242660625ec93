/** How long the supervisor waits for a worker. */

/** Time limits of a worker; tests shorten them. */
export interface WorkerTimes {
  /** Time from the job to `ready`: scripts may compute while they are loaded. */
  readonly readyTimeoutMs: number;
  /** Time for the answer to `prepare`. */
  readonly prepareTimeoutMs: number;
  /** Pause before the second replacement in a row (the first comes at once); doubles with each further one. */
  readonly restartDelayFirstMs: number;
  readonly restartDelayMaxMs: number;
  /** A worker that served this long is healthy: its next crash counts as the first. */
  readonly healthyAfterMs: number;
  /** Time a thread has to end after it was told to: only a call of the system that does not return holds it up for longer. */
  readonly endTimeoutMs: number;
}

export const WORKER_TIMES: WorkerTimes = {
  readyTimeoutMs: 30_000,
  prepareTimeoutMs: 30_000,
  restartDelayFirstMs: 100,
  restartDelayMaxMs: 10_000,
  healthyAfterMs: 60_000,
  endTimeoutMs: 5_000,
};
