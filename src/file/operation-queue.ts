/** Bounds the disk operations one worker has in flight; mappings, and the owners (exchanges, files) of each, take turns. */
import { assert } from '../base/assert.ts';
import type { Share } from '../mapping/shares.ts';

/** Something that keeps a thread of libuv's pool busy once started, and then calls `finished` of its queue. */
export interface Operation {
  start(): void;
}

/** Who waits: operations of one owner start in order, owners take turns. */
export class OperationOwner {
  readonly waiting: Operation[] = [];
  /** The mapping that it belongs to, and that its files count for; undefined: the gateway itself. */
  readonly share: Share | undefined;
  /** Its mapping is being loaded. */
  readonly loading: boolean;

  constructor(share?: Share, loading = false) {
    this.share = share;
    this.loading = loading;
  }

  /** Whose turns it takes: a load does not wait behind what its mapping does. */
  get turn(): Share | undefined {
    return this.loading ? undefined : this.share;
  }
}

export class OperationQueue {
  readonly #operationsMax: number;
  /** Owners that have operations waiting, by mapping (undefined: loads and the gateway); the first mapping is next, and the first of its owners. */
  readonly #turns = new Map<Share | undefined, OperationOwner[]>();
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

  /** Takes back an operation that has not started; false when it has. */
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

  /** An operation has ended: the next may start. */
  finished(): void {
    assert(this.#inFlight > 0, 'an operation finishes once');
    this.#inFlight -= 1;
    // a start that finishes at once must not nest
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

  /** Takes the next operation. Its owner goes to the end of the queue of its mapping, and the mapping to the end of all. */
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
