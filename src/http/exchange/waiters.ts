/** The functions that wait for one event: usually one of a handler, sometimes more of its tasks. */
export class Waiters {
  #first: (() => void) | undefined;
  #others: (() => void)[] | undefined;

  get size(): number {
    return this.#first === undefined ? 0 : 1 + (this.#others?.length ?? 0);
  }

  add(waiter: () => void): void {
    if (this.#first === undefined) this.#first = waiter;
    else {
      this.#others ??= [];
      this.#others.push(waiter);
    }
  }

  /** Removes one that waits no longer; the first when none is named. */
  remove(waiter?: () => void): void {
    if (waiter === undefined || waiter === this.#first) this.#first = this.#others?.shift();
    else this.#others = this.#others?.filter((other) => other !== waiter);
  }

  /** Removes the first, and returns it. */
  take(): (() => void) | undefined {
    const first = this.#first;
    this.#first = this.#others?.shift();
    return first;
  }

  /** As `notify`, but not before the caller has returned. */
  notifySoon(): void {
    process.nextTick(notify, this);
  }

  /** Calls the functions that wait now. Each may remove others, and add itself again. */
  notify(): void {
    for (let left = this.size; left > 0; left--) this.take()?.();
  }
}

function notify(waiters: Waiters): void {
  waiters.notify();
}
