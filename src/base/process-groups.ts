/**
 * The process groups that one thread has started, in memory that outlives it: whoever comes after a thread that has ended
 * knows what it has left running.
 */
import { readFileSync } from 'node:fs';

/** Groups of one worker at once: far more than its limit of processes. */
const SLOTS = 1024;

export class ProcessGroups {
  readonly memory: SharedArrayBuffer;
  readonly #slots: Int32Array;

  constructor(memory: SharedArrayBuffer = new SharedArrayBuffer(SLOTS * Int32Array.BYTES_PER_ELEMENT)) {
    this.memory = memory;
    this.#slots = new Int32Array(memory);
  }

  /** True when no further group can be noted. */
  get full(): boolean {
    return !this.#slots.includes(0);
  }

  /** Notes the group whose leader is process `pid`. */
  add(pid: number): void {
    this.#slots[this.#slots.indexOf(0)] = pid;
  }

  /** All processes of the group have ended. */
  remove(pid: number): void {
    const at = this.#slots.indexOf(pid);
    if (at !== -1) this.#slots[at] = 0;
  }

  /** Sends a signal to all groups, and forgets those of which nothing is left. */
  signal(signal: NodeJS.Signals): void {
    for (const pid of this.#slots) if (pid !== 0 && !signalGroup(pid, signal)) this.remove(pid);
  }

  /** True while the leader of one of them runs. */
  get hasLeader(): boolean {
    return this.#slots.some((pid) => pid !== 0 && runs(pid));
  }
}

/** False when no such group is left. Signal 0 only asks. */
export function signalGroup(pid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(-pid, signal);
  } catch {
    // ESRCH: all have ended already
    return false;
  }
}

/** A process that has ended stays in the table until its parent asks, and a thread that has ended asks no more. */
function runs(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return stat[stat.lastIndexOf(')') + 2] !== 'Z';
  } catch {
    // no such process, or no /proc
    return process.platform !== 'linux' && signalGroup(pid, 0);
  }
}
