/** Dictionaries by name, as one thread sees them. */
import { monotonicMs } from '../base/clock.ts';
import { GatewayError } from '../base/errors.ts';
import { SHARED_NAME } from '../base/shared-size.ts';
import { Dictionary } from './dictionary.ts';
import { type Views, viewsOf } from './layout.ts';
import { LOCK_WAIT_MAX_MS, SharedLock } from './lock.ts';
import {
  DIRECTORY,
  DIRECTORY_NAME_BYTES,
  DIRECTORY_NAMES_AT,
  makeDictionary,
  type SharedAccess,
  spareViews,
  UNDECLARED_MAX,
  undeclaredNames,
} from './shared-memory.ts';

export class SharedStore {
  readonly #access: SharedAccess;
  readonly #lock: SharedLock;
  readonly #lockWaitMaxMs: number;
  readonly #opened = new Map<string, Dictionary>();

  constructor(access: SharedAccess, lockWaitMaxMs: number = LOCK_WAIT_MAX_MS) {
    const { memory, owner } = access;
    this.#access = access;
    this.#lockWaitMaxMs = lockWaitMaxMs;
    this.#lock = new SharedLock(new Int32Array(memory.directory), DIRECTORY.lock, owner, lockWaitMaxMs);
  }

  /**
   * Returns the dictionary of this name, the same in all threads. A name that was not declared gets a spare dictionary.
   * Throws GatewayError (`limit`) when no spare one is left, and RangeError for an invalid name.
   */
  open(name: string): Dictionary {
    const opened = this.#opened.get(name);
    if (opened !== undefined) return opened;
    if (!SHARED_NAME.test(name))
      throw new RangeError(
        `"${name}" is no name of a dictionary (1 to 63 of letters, digits, "_", "." and "-" were expected)`,
      );
    const { memory, owner } = this.#access;
    const declared = memory.declared.find((one) => one.name === name);
    const views = declared === undefined ? this.#claim(name) : viewsOf(declared.buffer);
    const dictionary = new Dictionary(views, owner, monotonicMs, this.#lockWaitMaxMs);
    this.#opened.set(name, dictionary);
    return dictionary;
  }

  #claim(name: string): Views {
    const { memory } = this.#access;
    this.#lock.acquire();
    try {
      const names = undeclaredNames(memory);
      const known = names.indexOf(name);
      const index = known === -1 ? names.length : known;
      if (index === UNDECLARED_MAX)
        throw new GatewayError(
          'LGW_SHARED',
          `Cannot open dictionary "${name}": ${UNDECLARED_MAX} undeclared ones are in use and the limit is ${UNDECLARED_MAX}`,
          { luaCode: 'limit' },
        );
      const views = spareViews(memory, index);
      if (known === -1) {
        makeDictionary(views);
        const slot = Buffer.from(
          memory.directory,
          DIRECTORY_NAMES_AT + index * DIRECTORY_NAME_BYTES,
          DIRECTORY_NAME_BYTES,
        );
        slot[0] = slot.write(name, 1, 'latin1');
        Atomics.store(new Int32Array(memory.directory), DIRECTORY.count, index + 1);
      }
      return views;
    } finally {
      this.#lock.release();
    }
  }
}
