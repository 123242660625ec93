/** The memory of the dictionaries that all threads share: it outlives workers and reloads. */
import type { Logger } from '../base/logger.ts';
import type { SharedSize } from '../base/shared-size.ts';
import { SharedDictionary } from '../shared/shared-dictionary.ts';
import { createSharedMemory, releaseOwner, type SharedMemory } from '../shared/shared-memory.ts';
import { SharedStore } from '../shared/shared-store.ts';
import { readSharedUsage, type SharedUsage } from '../shared/shared-usage.ts';

/** The main thread breaks the locks of dead workers, so it must not wait for one for long. */
const MAIN_LOCK_WAIT_MAX_MS = 50;
/** The number of the main thread as a holder of locks; workers have higher numbers. */
const MAIN_OWNER = 1;

export class SharedKeeper {
  readonly #memory: SharedMemory;
  readonly #logger: Logger;
  /** Each thread is another owner of locks. */
  #lastOwner = MAIN_OWNER;
  #store: SharedStore | undefined;

  constructor(sizes: readonly SharedSize[], logger: Logger) {
    this.#memory = createSharedMemory(sizes);
    this.#logger = logger;
  }

  /** For one thread. */
  share(): { memory: SharedMemory; owner: number } {
    this.#lastOwner += 1;
    return { memory: this.#memory, owner: this.#lastOwner };
  }

  usage(): SharedUsage[] {
    return readSharedUsage(this.#memory);
  }

  /** A dictionary by its name. Throws as SharedStore does. */
  open(name: string): SharedDictionary {
    this.#store ??= new SharedStore({ memory: this.#memory, owner: MAIN_OWNER }, MAIN_LOCK_WAIT_MAX_MS);
    return new SharedDictionary(this.#store.open(name));
  }

  /** A thread may have ended inside an operation on a dictionary, and other threads could not use the dictionary any more. */
  release(workerId: number, owner: number): void {
    for (const { name, outcome } of releaseOwner(this.#memory, owner)) {
      const what =
        outcome === 'repaired'
          ? 'it has been repaired, without the entry that was being written, if any'
          : 'it was damaged and has been emptied';
      this.#logger.warn(
        `Worker ${workerId} ended in the middle of a change of dictionary "${name}": ${what}`,
      );
    }
  }
}
