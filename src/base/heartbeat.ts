/** A row in memory that a worker thread and its supervisor share: the thread says that it goes on, and what it has begun last. */

/** Time from one beat of a thread that can go on to the next. */
export const BEAT_INTERVAL_MS = 500;

const BEATS = 0;
const THREAD = 1;
const MAPPING = 2;
const SLOTS = 3;

export class Heartbeat {
  readonly memory: SharedArrayBuffer;
  readonly #row: Int32Array;

  /** Of one thread, which alone writes to it. */
  constructor(memory: SharedArrayBuffer = new SharedArrayBuffer(SLOTS * Int32Array.BYTES_PER_ELEMENT)) {
    this.memory = memory;
    this.#row = new Int32Array(memory);
  }

  /** The thread is not held up: its event loop has come round, or its guard looks at Lua code that computes. */
  beat(): void {
    Atomics.add(this.#row, BEATS, 1);
  }

  /** A request of a mapping begins; `mapping`: its row of counters. */
  began(mapping: number): void {
    this.#row[MAPPING] = mapping + 1;
  }

  /** Changes with each beat; it may wrap around. */
  get beats(): number {
    return Atomics.load(this.#row, BEATS);
  }

  /** The row of counters of the mapping that had the last request; undefined where none has told. */
  get mapping(): number | undefined {
    const place = Atomics.load(this.#row, MAPPING);
    return place === 0 ? undefined : place - 1;
  }

  /** What the system calls the thread; undefined where it has not told. */
  get systemThread(): number | undefined {
    const id = Atomics.load(this.#row, THREAD);
    return id === 0 ? undefined : id;
  }

  set systemThread(id: number | undefined) {
    Atomics.store(this.#row, THREAD, id ?? 0);
  }
}

let own = new Heartbeat();

/** The heartbeat of the thread that asks. */
export function ownHeartbeat(): Heartbeat {
  return own;
}

/** From now on the heartbeat of this thread goes to this memory. */
export function takeHeartbeat(memory: SharedArrayBuffer): Heartbeat {
  own = new Heartbeat(memory);
  return own;
}
