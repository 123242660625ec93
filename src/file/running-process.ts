/** A process and its process group: how it ended, and how to end it. It knows nothing of pipes. */
import type { ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { assert } from '../base/assert.ts';
import { type ProcessGroups, signalGroup } from '../base/process-groups.ts';
import type { ProcessExit } from './byte-file.ts';

/** Time between SIGTERM and SIGKILL. */
const KILL_GRACE_MS = 2000;
/** The pause before the second look whether a group has outlived its leader; it doubles with each look. */
const GROUP_LOOK_FIRST_MS = 10;
/** The longest pause: it costs little, and is so short that the system has not given the id to another process meanwhile. */
const GROUP_LOOK_MS_MAX = 500;

export class RunningProcess {
  readonly pid: number;
  readonly #groups: ProcessGroups;
  #exit: ProcessExit | undefined;
  #waiters: ((exit: ProcessExit) => void)[] = [];
  #isGone = false;
  #goneWaiters: (() => void)[] = [];
  #killing: 'no' | 'asked' | 'forced' = 'no';
  #killTimer: NodeJS.Timeout | undefined;
  #lookTimer: NodeJS.Timeout | undefined;

  /** `child` has been started in a process group of its own (`detached`), which is in `groups` until the group has ended. */
  constructor(child: ChildProcess, groups: ProcessGroups) {
    assert(child.pid !== undefined, 'the process has been started');
    this.pid = child.pid;
    this.#groups = groups;
    groups.add(this.pid);
    child.once('exit', (code, signal) => {
      this.#exit =
        signal === null
          ? { kind: 'exit', code: code ?? 0 }
          : { kind: 'signal', code: constants.signals[signal] };
      const waiters = this.#waiters;
      this.#waiters = [];
      this.#look(GROUP_LOOK_FIRST_MS);
      for (const waiter of waiters) waiter(this.#exit);
    });
  }

  /** How the process ended; undefined while it runs. */
  get exit(): ProcessExit | undefined {
    return this.#exit;
  }

  /** Calls `done` when the process has ended, never before this method returns. Other processes of the group may still run. */
  whenExited(done: (exit: ProcessExit) => void): void {
    const exit = this.#exit;
    if (exit === undefined) this.#waiters.push(done);
    else queueMicrotask(() => done(exit));
  }

  /** Calls `done` when no process of the group is left, never before this method returns. */
  whenGone(done: () => void): void {
    if (this.#isGone) queueMicrotask(done);
    else this.#goneWaiters.push(done);
  }

  /** Ends the whole group, also when its leader has ended: SIGTERM now, SIGKILL after KILL_GRACE_MS. */
  kill(): void {
    if (this.#isGone || this.#killing !== 'no') return;
    this.#killing = 'asked';
    signalGroup(this.pid, 'SIGTERM');
    this.#killTimer = setTimeout(() => {
      this.#killing = 'forced';
      signalGroup(this.pid, 'SIGKILL');
    }, KILL_GRACE_MS);
    if (this.#exit !== undefined) this.#look(GROUP_LOOK_FIRST_MS);
  }

  /** The leader has ended: looks for other processes of the group, of which no event tells. */
  #look(nextMs: number): void {
    clearTimeout(this.#lookTimer);
    // processes that are left after SIGKILL are zombies, which wait for their parent
    if (this.#killing !== 'forced' && signalGroup(this.pid, 0)) {
      this.#lookTimer = setTimeout(() => this.#look(Math.min(2 * nextMs, GROUP_LOOK_MS_MAX)), nextMs);
      return;
    }
    clearTimeout(this.#killTimer);
    this.#isGone = true;
    this.#groups.remove(this.pid);
    const waiters = this.#goneWaiters;
    this.#goneWaiters = [];
    for (const waiter of waiters) waiter();
  }

  /** How the process has ended by now; /proc tells it before the event comes. */
  look(): ProcessExit | undefined {
    return this.#exit ?? exitFromProc(this.pid);
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
