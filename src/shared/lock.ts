/** One word of shared memory as a lock: it names the thread that holds it, so that the lock of a dead thread can be broken. */
import { GatewayError } from '../base/errors.ts';

/** The bit that is set while threads may sleep. */
const WAITED = 2 ** 30;
const OWNER_MASK = WAITED - 1;

/** Tries before a thread sleeps: they take as long as several operations, and less time than to sleep and to be woken. */
const SPINS = 200;
/** Milliseconds of one sleep. A thread that is woken may die before it takes the lock; the other threads then wake by this limit. */
const SLEEP_MS = 20;
/** The longest wait: no operation takes so long, and the lock of a dead thread is broken within milliseconds. */
export const LOCK_WAIT_MAX_MS = 5000;

export class SharedLock {
  readonly #words: Int32Array;
  readonly #index: number;
  readonly #owner: number;
  readonly #waitMaxMs: number;

  /** `owner` is the number of this thread, 1 to 2^30 - 1, which no other thread has or has had. */
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

  /** Gives the lock back and wakes a thread that waits. */
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
      // an exception, as of a full stack, has kept this thread from giving the lock back
      if ((word & OWNER_MASK) === this.#owner) return;
      // a thread that has slept cannot know whether others still sleep
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

/** If the ended thread `owner` holds the lock, calls `repair` and then frees the lock. True if the thread held it. */
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
