/**
 * Bounds the disk operations of one worker that are in flight. Mappings take turns, and so do the owners (exchanges, files) of a mapping.
 * None has all places: what does not answer, a disk or a server of files, holds up its own mapping alone.
 */
import { assert } from '../base/assert.ts';
import type { Share } from '../mapping/shares.ts';

/** An operation that keeps a thread of libuv's pool busy once it has started, and then calls `finished` of its queue with its owner. */
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
  /** Operations in flight of each mapping that has some. */
  readonly #ofShare = new Map<Share | undefined, number>();
  readonly #ofShareMax: number;
  #inFlight = 0;
  #pumping = false;

  /**
   * `operationsMax`: operations that libuv has at once; its pool runs them in the order in which they come. `ofShareMax`: those of
   * one mapping, less than all.
   */
  constructor(operationsMax: number, ofShareMax: number = operationsMax) {
    this.#operationsMax = operationsMax;
    this.#ofShareMax = ofShareMax;
  }

  /** Operations that have started and not finished. */
  get inFlight(): number {
    return this.#inFlight;
  }

  /** Starts `operation` now when there is room, otherwise when the turn of its owner comes. */
  submit(owner: OperationOwner, operation: Operation): void {
    const { turn } = owner;
    // those that wait while there is room have as many as they may
    const isNext = !this.#pumping && !this.#turns.has(turn);
    if (isNext && this.#inFlight < this.#operationsMax && this.#mayStart(turn)) {
      this.#start(owner, operation);
      return;
    }
    owner.waiting.push(operation);
    if (owner.waiting.length > 1) return;
    const owners = this.#turns.get(turn);
    if (owners === undefined) this.#turns.set(turn, [owner]);
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
  finished(owner: OperationOwner): void {
    const count = this.#ofShare.get(owner.turn);
    assert(count !== undefined && this.#inFlight > 0, 'an operation finishes once');
    if (count === 1) this.#ofShare.delete(owner.turn);
    else this.#ofShare.set(owner.turn, count - 1);
    this.#inFlight -= 1;
    // an operation that finishes within its start must not call this loop again
    if (this.#pumping) return;
    this.#pumping = true;
    while (this.#inFlight < this.#operationsMax && this.#startNext());
    this.#pumping = false;
  }

  /** Loads and the gateway itself have all places: they end, and what they wait for is the gateway's own. */
  #mayStart(share: Share | undefined): boolean {
    return share === undefined || (this.#ofShare.get(share) ?? 0) < this.#ofShareMax;
  }

  #start(owner: OperationOwner, operation: Operation): void {
    this.#inFlight += 1;
    this.#ofShare.set(owner.turn, (this.#ofShare.get(owner.turn) ?? 0) + 1);
    operation.start();
  }

  /**
   * Starts the next operation of the first mapping that may have one more. Its owner goes to the end of the owners of its mapping,
   * and the mapping to the end of all mappings. False: there is none.
   */
  #startNext(): boolean {
    for (const [share, owners] of this.#turns) {
      if (!this.#mayStart(share)) continue;
      const owner = owners.shift() as OperationOwner;
      const operation = owner.waiting.shift() as Operation;
      if (owner.waiting.length > 0) owners.push(owner);
      this.#turns.delete(share);
      if (owners.length > 0) this.#turns.set(share, owners);
      this.#start(owner, operation);
      return true;
    }
    return false;
  }
}
