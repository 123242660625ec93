/** Runs the steps of a file operation on libuv's pool, each when the operation queue gives it a turn. */
import { close, Dir } from 'node:fs';
import type { Operation, OperationOwner, OperationQueue } from './operation-queue.ts';
import { perform, type Steps, type SystemCall, type SystemResult } from './system-call.ts';

/** A running operation that can be cancelled: its callback is then not called, and what it has opened is closed. */
export interface Cancellable {
  cancel(): void;
}

export class Task<Result> implements Operation, Cancellable {
  readonly #steps: Steps<Result>;
  readonly #operations: OperationQueue;
  readonly #owner: OperationOwner;
  readonly #done: (thrown: unknown, result: Result | undefined) => void;
  #next: SystemCall | undefined;
  #state: 'running' | 'cancelled' | 'finished' = 'running';

  /** `done` is called once, never before `begin` returns, with a thrown value or a result. */
  constructor(
    steps: Steps<Result>,
    operations: OperationQueue,
    owner: OperationOwner,
    done: (thrown: unknown, result: Result | undefined) => void,
  ) {
    this.#steps = steps;
    this.#operations = operations;
    this.#owner = owner;
    this.#done = done;
  }

  /** Starts the first step; the creator calls this once. */
  begin(): this {
    this.#advance(() => this.#steps.next(), true);
    return this;
  }

  cancel(): void {
    if (this.#state !== 'running') return;
    this.#state = 'cancelled';
    const call = this.#next;
    // a call in flight ends first; `#arrived` then closes what it has opened
    if (call === undefined || !this.#operations.withdraw(this.#owner, this)) return;
    this.#next = undefined;
    this.#steps.return(undefined as Result);
  }

  /** Makes the next call, as the queue has given this operation a turn. */
  start(): void {
    const call = this.#next as SystemCall;
    this.#next = undefined;
    perform(call, (thrown, result) => {
      this.#operations.finished(this.#owner);
      this.#arrived(call, thrown, result);
    });
  }

  #arrived(call: SystemCall, thrown: unknown, result: SystemResult): void {
    if (this.#state === 'cancelled') {
      if (call.call === 'open' && typeof result === 'number') close(result, () => {});
      else if (call.call === 'opendir' && result instanceof Dir) result.close(() => undefined);
      this.#steps.return(undefined as Result);
    } else if (thrown === undefined) {
      this.#advance(() => this.#steps.next(result), false);
    } else {
      this.#advance(() => this.#steps.throw(thrown), false);
    }
  }

  #advance(step: () => IteratorResult<SystemCall, Result>, isFirst: boolean): void {
    let state: IteratorResult<SystemCall, Result>;
    try {
      state = step();
    } catch (thrown) {
      this.#finish(thrown, undefined, isFirst);
      return;
    }
    if (state.done === true) {
      this.#finish(undefined, state.value, isFirst);
    } else if (state.value.call === 'pause') {
      const call = state.value;
      perform(call, (thrown, result) => this.#arrived(call, thrown, result));
    } else {
      this.#next = state.value;
      this.#operations.submit(this.#owner, this);
    }
  }

  #finish(thrown: unknown, result: Result | undefined, isFirst: boolean): void {
    if (isFirst) {
      queueMicrotask(() => this.#finish(thrown, result, false));
      return;
    }
    if (this.#state !== 'running') return;
    this.#state = 'finished';
    this.#done(thrown, result);
  }
}
