/** What a thread of this process does at this moment, as Linux tells it to every other thread. */
import { readFileSync } from 'node:fs';

export interface ThreadUse {
  /** Processor time it has used. */
  readonly cpuMs: number;
  /** Time it could have run in and no processor was free; what goes on at this moment is not in it. */
  readonly waitedMs: number;
  /** It runs, or waits for a processor; else it waits for something else. */
  readonly isRunnable: boolean;
}

/** Undefined where the system does not tell, and for a thread that has ended. `id`: what the system calls it. */
export function readThreadUse(id: number): ThreadUse | undefined {
  try {
    const folder = `/proc/self/task/${id}`;
    const [cpuNs = Number.NaN, waitedNs = Number.NaN] = readFileSync(`${folder}/schedstat`, 'latin1')
      .split(' ')
      .map(Number);
    // "ID (name) STATE …", and the name may hold anything
    const stat = readFileSync(`${folder}/stat`, 'latin1');
    const state = stat.charAt(stat.lastIndexOf(')') + 2);
    if (Number.isNaN(cpuNs) || Number.isNaN(waitedNs)) return undefined;
    return { cpuMs: cpuNs / 1e6, waitedMs: waitedNs / 1e6, isRunnable: state === 'R' };
  } catch {
    return undefined;
  }
}
