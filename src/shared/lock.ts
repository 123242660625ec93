/** One word of shared memory as a lock: it names the thread that holds it, so that the lock of a dead thread can be broken. */
import { GatewayError } from '../base/errors.ts';

/** Set while somebody may be asleep. */
const WAITED = 2 ** 30;
const OWNER_MASK = WAITED - 1;

/** Looks before a thread sleeps: as long as an operation takes, some times over; to sleep and be woken costs more. */
const SPINS = 200;
/** Milliseconds of one sleep. A thread that is woken may die before it takes the lock; the other threads then wake by this limit. */
const SLEEP_MS = 20;
/** The longest wait; a dead owner's lock is broken within milliseconds, and no operation takes that long. */
export const LOCK_WAIT_MAX_MS = 5000;

export class SharedLock {
  readonly #words: Int32Array;
  readonly #index: number;
  readonly #owner: number;
  readonly #waitMaxMs: number;

  /** `owner` is this thread's number, 1 to 2^30 - 1, and no other thread's, dead or alive. */
  constructor(words: Int32Array, index: number, owner: number, waitMaxMs: number = LOCK_WAIT_MAX_MS) {
    this.#words = words;
    this.#index = index;
    this.#owner = owner;
    this.#waitMaxMs = waitMaxMs;
  }

  /** Takes the lock; throws GatewayError when another thread keeps it for too long. */
  acquire(): void {
    if (Atomics.compareExchange(this.#words, this.#index, 0, this.#owner) !== 0) this.#wait();
  }

  /** Gives it back and wakes one who waits. */
  release(): void {
    const word = Atomics.exchange(this.#words, this.#index, 0);
    if ((word & WAITED) !== 0) Atomics.notify(this.#words, this.#index, 1);
  }

  #wait(): void {
    const words = this.#words;
    const index = this.#index;
    for (let spin = 0; spin < SPINS; spin++)
      if (Atomics.load(words, index) === 0 && Atomics.compareExchange(words, index, 0, this.#owner) === 0)
        return;
    const deadline = performance.now() + this.#waitMaxMs;
    for (;;) {
      const word = Atomics.load(words, index);
      // an exception (the stack was full) has kept this thread from giving it back
      if ((word & OWNER_MASK) === this.#owner) return;
      // whoever has slept cannot know whether others still do
      if (word === 0) {
        if (Atomics.compareExchange(words, index, 0, this.#owner | WAITED) === 0) return;
      } else if (
        (word & WAITED) !== 0 ||
        Atomics.compareExchange(words, index, word, word | WAITED) === word
      ) {
        if (performance.now() > deadline) throw stuckError(this.#waitMaxMs);
        Atomics.wait(words, index, word | WAITED, Math.min(SLEEP_MS, this.#waitMaxMs));
      }
    }
  }
}

/** If the thread `owner`, which has ended, holds the lock: calls `repair`, then sets the lock free. True if it did. */
export function breakLock(words: Int32Array, index: number, owner: number, repair: () => void): boolean {
  if ((Atomics.load(words, index) & OWNER_MASK) !== owner) return false;
  repair();
  Atomics.store(words, index, 0);
  Atomics.notify(words, index);
  return true;
}

function stuckError(waitMaxMs: number): GatewayError {
  return new GatewayError(
    'LGW_SHARED_LOCK',
    `Cannot use the dictionary: another thread has held it for ${waitMaxMs} ms`,
    { luaCode: 'timeout' },
  );
}
