/** Processor time of the one worker thread of a gateway, which tells work from waiting on a busy machine (Linux). */
import { readdirSync, readFileSync } from 'node:fs';

const NS_PER_MS = 1e6;
/** Compiling and collecting garbage are done by others, at the start most of all. */
const CLEAR_SHARE = 0.75;
const TRIES_MAX = 20;

export class WorkerClock {
  readonly #file: string;

  /** The thread of `pid` that takes most of the processor time while `work` is done: again, until it is clear which one. */
  static async find(pid: number, work: () => Promise<unknown>): Promise<WorkerClock> {
    const files = readdirSync(`/proc/${pid}/task`).map((thread) => `/proc/${pid}/task/${thread}/schedstat`);
    for (let i = 0; i < TRIES_MAX; i++) {
      const before = files.map(readMs);
      await work();
      const used = files.map((file, n) => readMs(file) - (before[n] ?? 0));
      const most = Math.max(...used);
      const all = used.reduce((sum, ms) => sum + ms, 0);
      if (most > CLEAR_SHARE * all) return new WorkerClock(files[used.indexOf(most)] ?? '');
    }
    throw new Error('No thread of the gateway does most of its work');
  }

  private constructor(file: string) {
    this.#file = file;
  }

  /** Time on a processor since the thread began, ms; 0 when the thread is gone. */
  get ms(): number {
    return readMs(this.#file);
  }
}

/** The first of the three numbers: nanoseconds on a processor (Documentation/scheduler/sched-stats.rst). */
function readMs(file: string): number {
  try {
    return Number(readFileSync(file, 'latin1').split(' ')[0]) / NS_PER_MS;
  } catch {
    return 0;
  }
}
