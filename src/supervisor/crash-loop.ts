/** Tells when it is no use any more to replace threads: many have ended one after the other, and none of them has served. */
import { GatewayError } from '../base/errors.ts';

/** So many ends of threads that have not served, within so long: with growing pauses one worker needs 23 s for them. */
export const CRASHES_MAX = 10;
export const CRASH_WINDOW_MS = 120_000;

export class CrashLoop {
  /** When the last threads ended; at most CRASHES_MAX. */
  #endedAt: number[] = [];

  /** A thread has served, or has lived long enough. */
  served(): void {
    this.#endedAt = [];
  }

  /** A thread has ended that had not served. `now`: a time of performance.now. True: too many have. */
  ended(now: number): boolean {
    this.#endedAt = [...this.#endedAt, now].filter((at) => now - at <= CRASH_WINDOW_MS).slice(-CRASHES_MAX);
    return this.#endedAt.length >= CRASHES_MAX;
  }
}

/** Threads that do not end. Each keeps some 50 MB and its connections, so that a new process is better than more of them. */
const STUCK_THREADS_MAX = 8;

/** Says once when a supervisor replaces threads in vain. */
export class LastStraw {
  readonly #crashLoop = new CrashLoop();
  readonly #giveUp: (reason: GatewayError) => void;
  #isGivenUp = false;
  #stuckThreads = 0;

  constructor(giveUp: (reason: GatewayError) => void) {
    this.#giveUp = giveUp;
  }

  /** Threads that were told to end and do not. */
  get stuckThreads(): number {
    return this.#stuckThreads;
  }

  /** A thread has ended. `served`: it had answered a request or lived long; `isServed`: another one serves. */
  crashed(served: boolean, isServed: boolean): void {
    if (served) this.#crashLoop.served();
    else if (this.#crashLoop.ended(performance.now()) && !isServed)
      this.#tell(
        `Workers have ended ${CRASHES_MAX} times within ${CRASH_WINDOW_MS / 1000} s, and none of them has served`,
      );
  }

  /** A thread does not end. */
  stuck(): void {
    this.#stuckThreads += 1;
    if (this.#stuckThreads === STUCK_THREADS_MAX)
      this.#tell(`${STUCK_THREADS_MAX} threads do not end: calls of the system hold them up`);
  }

  #tell(reason: string): void {
    if (this.#isGivenUp) return;
    this.#isGivenUp = true;
    this.#giveUp(new GatewayError('LGW_CRASH_LOOP', reason));
  }
}
