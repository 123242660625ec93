/** A process and its group: how it ended, and how it is ended; knows nothing of its pipes. */
import type { ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { assert } from '../base/assert.ts';
import type { ProcessExit } from './byte-file.ts';
import { sleepSync } from './system-call.ts';

/** Between SIGTERM and SIGKILL. */
const KILL_GRACE_MS = 2000;
/** Between two looks of code that cannot wait. */
const POLL_MS = 1;

export class RunningProcess {
  readonly pid: number;
  #exit: ProcessExit | undefined;
  #waiters: ((exit: ProcessExit) => void)[] = [];
  #killing = false;

  /** `child` has been started in a process group of its own (`detached`). */
  constructor(child: ChildProcess) {
    assert(child.pid !== undefined, 'the process has been started');
    this.pid = child.pid;
    child.once('exit', (code, signal) => {
      this.#exit =
        signal === null
          ? { kind: 'exit', code: code ?? 0 }
          : { kind: 'signal', code: constants.signals[signal] };
      const waiters = this.#waiters;
      this.#waiters = [];
      for (const waiter of waiters) waiter(this.#exit);
    });
  }

  /** How it ended; undefined while it runs. */
  get exit(): ProcessExit | undefined {
    return this.#exit;
  }

  /** Calls `done` when the process has ended, not before this returns. */
  whenExited(done: (exit: ProcessExit) => void): void {
    const exit = this.#exit;
    if (exit === undefined) this.#waiters.push(done);
    else queueMicrotask(() => done(exit));
  }

  /** Ends the whole group: SIGTERM now, SIGKILL after a grace. */
  kill(): void {
    if (this.#exit !== undefined || this.#killing) return;
    this.#killing = true;
    this.#signal('SIGTERM');
    const timer = setTimeout(() => this.#signal('SIGKILL'), KILL_GRACE_MS);
    // members of the group may outlive their leader
    this.whenExited(() => {
      if (this.#signal(0)) return;
      clearTimeout(timer);
    });
  }

  /** Blocks until the process has ended, at most `msMax`; the parent learns it from /proc before the event comes. */
  waitSync(msMax: number): ProcessExit | undefined {
    const deadline = performance.now() + msMax;
    for (;;) {
      const exit = this.#exit ?? exitFromProc(this.pid);
      if (exit !== undefined || performance.now() > deadline) return exit;
      sleepSync(POLL_MS);
    }
  }

  /** False when no such group is left. */
  #signal(signal: NodeJS.Signals | 0): boolean {
    try {
      return process.kill(-this.pid, signal);
    } catch {
      // ESRCH: all have ended already
      return false;
    }
  }
}

/** The wait status of a zombie is the last field of its stat file (proc(5)). */
function exitFromProc(pid: number): ProcessExit | undefined {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  const fields = stat
    .slice(stat.lastIndexOf(')') + 2)
    .trim()
    .split(' ');
  if (fields[0] !== 'Z') return undefined;
  const status = Number(fields.at(-1));
  const signal = status & 0x7f;
  return signal === 0 ? { kind: 'exit', code: status >> 8 } : { kind: 'signal', code: signal };
}
