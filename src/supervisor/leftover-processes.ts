/** Ends the processes of scripts when the thread that started them has ended, or when the program ends. */
import { ProcessGroups } from '../base/process-groups.ts';

/** Time between SIGTERM and SIGKILL, as in the workers. */
const KILL_GRACE_MS = 2000;
/** Time between two looks whether all processes have ended. */
const LOOK_MS = 20;

export class LeftoverProcesses {
  /** Process groups of threads that run, and of ended threads whose processes still run. */
  readonly #groups = new Set<ProcessGroups>();
  readonly #ending = new Set<Promise<void>>();
  #watchesExit = false;

  /** Memory for a thread that is about to begin. */
  create(): SharedArrayBuffer {
    if (!this.#watchesExit) process.on('exit', this.#killAll);
    this.#watchesExit = true;
    const groups = new ProcessGroups();
    this.#groups.add(groups);
    return groups.memory;
  }

  /** The thread that had this memory has ended. */
  end(memory: SharedArrayBuffer): void {
    for (const groups of this.#groups) {
      if (groups.memory !== memory) continue;
      const ending = this.#end(groups).finally(() => {
        this.#groups.delete(groups);
        this.#ending.delete(ending);
      });
      this.#ending.add(ending);
    }
  }

  /** Resolves when nothing is left. All threads have ended. */
  async stop(): Promise<void> {
    await Promise.all(this.#ending);
    process.off('exit', this.#killAll);
    this.#watchesExit = false;
  }

  async #end(groups: ProcessGroups): Promise<void> {
    groups.signal('SIGTERM');
    const deadline = performance.now() + KILL_GRACE_MS;
    while (groups.hasLeader && performance.now() < deadline)
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    groups.signal('SIGKILL');
  }

  /** The program ends without `stop`: there is no time to wait for processes. */
  readonly #killAll = (): void => {
    for (const groups of this.#groups) groups.signal('SIGKILL');
  };
}
