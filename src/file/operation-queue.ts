/** Bounds the disk operations of one worker that are in flight. Mappings take turns, and so do the owners (exchanges, files) of a mapping. */
import { assert } from '../base/assert.ts';
import type { Share } from '../mapping/shares.ts';

/** An operation that keeps a thread of libuv's pool busy once it has started, and then calls `finished` of its queue. */
export interface Operation {
  start(): void;
}

/** The owner of operations: the operations of one owner start in order, and owners take turns. */
export class OperationOwner {
  readonly waiting: Operation[] = [];
  /** The mapping that the owner belongs to, which its files count for; undefined: the gateway itself. */
  readonly share: Share | undefined;
  /** The mapping of the owner is being loaded. */
  readonly loading: boolean;

  constructor(share?: Share, loading = false) {
    this.share = share;
    this.loading = loading;
  }

  /** The mapping whose turns the owner takes; undefined for a load, which does not wait behind requests of its mapping. */
  get turn(): Share | undefined {
    return this.loading ? undefined : this.share;
  }
}

export class OperationQueue {
  readonly #operationsMax: number;
  /** Owners with waiting operations, by mapping (undefined: loads and the gateway). The first owner of the first mapping is next. */
  readonly #turns = new Map<Share | undefined, OperationOwner[]>();
  #inFlight = 0;
  #pumping = false;

  /** `operationsMax`: operations that libuv has at once; its pool runs them in the order in which they come. */
  constructor(operationsMax: number) {
    this.#operationsMax = operationsMax;
  }

  /** Operations that have started and not finished. */
  get inFlight(): number {
    return this.#inFlight;
  }

  /** Starts `operation` now when there is room, otherwise when the turn of its owner comes. */
  submit(owner: OperationOwner, operation: Operation): void {
    if (this.#inFlight < this.#operationsMax && this.#turns.size === 0) {
      this.#inFlight += 1;
      operation.start();
      return;
    }
    owner.waiting.push(operation);
    if (owner.waiting.length > 1) return;
    const owners = this.#turns.get(owner.turn);
    if (owners === undefined) this.#turns.set(owner.turn, [owner]);
    else owners.push(owner);
  }

  /** Takes back an operation that has not started; false when the operation has started. */
  withdraw(owner: OperationOwner, operation: Operation): boolean {
    const at = owner.waiting.indexOf(operation);
    if (at === -1) return false;
    owner.waiting.splice(at, 1);
    if (owner.waiting.length > 0) return true;
    const owners = this.#turns.get(owner.turn) ?? [];
    owners.splice(owners.indexOf(owner), 1);
    if (owners.length === 0) this.#turns.delete(owner.turn);
    return true;
  }

  /** Counts an operation that has ended, and starts the next ones. */
  finished(): void {
    assert(this.#inFlight > 0, 'an operation finishes once');
    this.#inFlight -= 1;
    // an operation that finishes within its start must not call this loop again
    if (this.#pumping) return;
    this.#pumping = true;
    while (this.#inFlight < this.#operationsMax) {
      const operation = this.#next();
      if (operation === undefined) break;
      this.#inFlight += 1;
      operation.start();
    }
    this.#pumping = false;
  }

  /** Takes the next operation. Its owner goes to the end of the owners of its mapping, and the mapping to the end of all mappings. */
  #next(): Operation | undefined {
    for (const [share, owners] of this.#turns) {
      const owner = owners.shift();
      const operation = owner?.waiting.shift();
      if (owner !== undefined && owner.waiting.length > 0) owners.push(owner);
      this.#turns.delete(share);
      if (owners.length > 0) this.#turns.set(share, owners);
      return operation;
    }
    return undefined;
  }
}
