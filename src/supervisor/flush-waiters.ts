/** Those that wait until a sink of log lines has written all that it was given. */

export class FlushWaiters {
  #waiting: (() => void)[] = [];

  /** Calls `done` when all is written. */
  add(done: () => void): void {
    this.#waiting.push(done);
  }

  /** Resolves when all is written, or after `timeoutMs` at the latest. */
  async wait(timeoutMs: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, timeoutMs);
      this.add(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  /** All is written. */
  release(): void {
    for (const done of this.#waiting.splice(0)) done();
  }
}
