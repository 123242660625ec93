/** The tasks of one run: how many there may be, and their common end. */
import { threadCpuMs } from '../../base/thread-clock.ts';
import { CLOSE_LIMIT_MS } from '../../lua/coroutine.ts';

/** Tasks of one run at once: more than a page has sources, and some hundred bytes each. */
export const TASKS_MAX = 256;

/** A task, as far as its group knows it. */
interface GroupedTask {
  /** Ends it now; `closeLimitMs`: processor time for what it closes. */
  kill(closeLimitMs: number): void;
}

export class TaskGroup {
  readonly #tasks = new Set<GroupedTask>();
  readonly #ended: () => void;
  #closed = false;

  /** `ended` is told whenever the last one has ended, unless by `close`. */
  constructor(ended: () => void) {
    this.#ended = ended;
  }

  /** Tasks that have not ended. */
  get size(): number {
    return this.#tasks.size;
  }

  /** True from `close` on: no task may begin any more. */
  get closed(): boolean {
    return this.#closed;
  }

  add(task: GroupedTask): void {
    this.#tasks.add(task);
  }

  remove(task: GroupedTask): void {
    if (this.#tasks.delete(task) && this.#tasks.size === 0 && !this.#closed) this.#ended();
  }

  /** Ends all tasks; what they close takes no longer than what one may close. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#tasks.size === 0) return;
    const until = threadCpuMs() + CLOSE_LIMIT_MS;
    for (const task of [...this.#tasks]) task.kill(Math.max(0, until - threadCpuMs()));
  }
}
