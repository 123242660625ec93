/** Bounds the disk operations one worker has in flight, and gives every owner (an exchange, a file) its turn. */
import { assert } from '../base/assert.ts';

/** Something that keeps a thread of libuv's pool busy once started, and then calls `finished` of its queue. */
export interface Operation {
  start(): void;
}

/** Who waits: operations of one owner start in order, owners take turns. */
export class OperationOwner {
  readonly waiting: Operation[] = [];
}

export class OperationQueue {
  readonly #operationsMax: number;
  /** Owners that have operations waiting; the first is next. */
  readonly #turns: OperationOwner[] = [];
  #inFlight = 0;
  #pumping = false;

  /** `operationsMax`: operations handed to libuv at once; its pool serves them first come, first served. */
  constructor(operationsMax: number) {
    this.#operationsMax = operationsMax;
  }

  /** Operations started and not finished. */
  get inFlight(): number {
    return this.#inFlight;
  }

  /** Starts `operation` now when there is room, else when its owner's turn comes. */
  submit(owner: OperationOwner, operation: Operation): void {
    if (this.#inFlight < this.#operationsMax && this.#turns.length === 0) {
      this.#inFlight += 1;
      operation.start();
      return;
    }
    owner.waiting.push(operation);
    if (owner.waiting.length === 1) this.#turns.push(owner);
  }

  /** Takes back an operation that has not started; false when it has. */
  withdraw(owner: OperationOwner, operation: Operation): boolean {
    const at = owner.waiting.indexOf(operation);
    if (at === -1) return false;
    owner.waiting.splice(at, 1);
    if (owner.waiting.length === 0) this.#turns.splice(this.#turns.indexOf(owner), 1);
    return true;
  }

  /** An operation has ended: the next may start. */
  finished(): void {
    assert(this.#inFlight > 0, 'an operation finishes once');
    this.#inFlight -= 1;
    // a start that finishes at once must not nest
    if (this.#pumping) return;
    this.#pumping = true;
    while (this.#inFlight < this.#operationsMax) {
      const owner = this.#turns.shift();
      if (owner === undefined) break;
      const operation = owner.waiting.shift();
      if (owner.waiting.length > 0) this.#turns.push(owner);
      this.#inFlight += 1;
      operation?.start();
    }
    this.#pumping = false;
  }
}
