/**
 * Which stores of dictionaries do not answer: a byte of shared memory for each store and each worker, which that worker alone writes. So whoever asks needs no
 * message to a worker.
 */

/** `stores`: how many there are. */
export function createStoreStates(workers: number, stores: number): SharedArrayBuffer {
  return new SharedArrayBuffer(workers * stores);
}

export class StoreStates {
  readonly #away: Uint8Array;
  readonly #stores: number;

  constructor(memory: SharedArrayBuffer, stores: number) {
    this.#away = new Uint8Array(memory);
    this.#stores = stores;
  }

  /** `workerId`: 1 and up; `store`: 0 and up. */
  set(workerId: number, store: number, isAway: boolean): void {
    Atomics.store(this.#away, (workerId - 1) * this.#stores + store, isAway ? 1 : 0);
  }

  /** Workers that it does not answer. */
  awayFor(store: number): number {
    let count = 0;
    for (let i = store; i < this.#away.length; i += this.#stores) count += Atomics.load(this.#away, i);
    return count;
  }
}
