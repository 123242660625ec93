/**
 * How long a thread has not given its heartbeat though it could have: by ticks of the supervisor, and without the time in
 * which the thread waited for a processor. So a busy machine, a process that stood still and a changed clock condemn nobody.
 */
import type { ThreadUse } from './thread-use.ts';

/** A tick that comes this many times later than it should counts as so many: the supervisor did not run itself. */
const LATE_TICKS_MAX = 2;

/** What a thread is found to do. */
export interface SilentThread {
  readonly silentMs: number;
  /** Processor time in that time; undefined where the system does not tell. */
  readonly cpuMs: number | undefined;
}

export class Silence {
  readonly #tickMs: number;
  #beats: number | undefined;
  #silentMs = 0;
  #first: ThreadUse | undefined;
  #last: ThreadUse | undefined;

  /** `tickMs`: time between two ticks as it is meant to be. */
  constructor(tickMs: number) {
    this.#tickMs = tickMs;
  }

  get silentMs(): number {
    return this.#silentMs;
  }

  /** Nothing has been seen yet. */
  reset(): void {
    this.#beats = undefined;
    this.#hear();
  }

  /**
   * One tick after the last one, by the monotonic clock `elapsedMs`. `use` is asked only while the thread is silent. Undefined: it
   * has given its heartbeat, or waits for a processor and cannot be judged now.
   */
  tick(beats: number, elapsedMs: number, use: () => ThreadUse | undefined): SilentThread | undefined {
    if (beats !== this.#beats) {
      this.#beats = beats;
      this.#hear();
      return undefined;
    }
    const now = use();
    const last = this.#last;
    this.#last = now;
    this.#first ??= now;
    const passedMs = Math.min(elapsedMs, LATE_TICKS_MAX * this.#tickMs);
    const waitedMs = now === undefined || last === undefined ? 0 : now.waitedMs - last.waitedMs;
    // what went before the first look is not known to be the thread's own time
    if (now === undefined || last !== undefined)
      this.#silentMs = Math.max(0, this.#silentMs + passedMs - waitedMs);
    const isWaiting = now?.isRunnable === true && now.cpuMs === last?.cpuMs;
    if (isWaiting || this.#silentMs === 0) return undefined;
    const cpuMs = now === undefined ? undefined : now.cpuMs - (this.#first?.cpuMs ?? now.cpuMs);
    return { silentMs: this.#silentMs, cpuMs };
  }

  #hear(): void {
    this.#silentMs = 0;
    this.#first = undefined;
    this.#last = undefined;
  }
}
