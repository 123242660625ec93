/**
 * What all workers know of one upstream: whether requests fail there (passive), and what checks have found (active). Each word is
 * changed by itself; two workers that change the same row at once count one failure more or less, and nothing else.
 */

/** Failures within so many ms take an upstream out, for as long. */
export const FAILURES_WINDOW_MS = 10_000;
/** So many of them. */
export const FAILURES_MAX = 3;

/** Bytes of a row: a cache line, so that workers which write to different rows do not wait for each other. */
export const ROW_BYTES = 64;

/** Words of a row; the first two are its key. */
const WORD = {
  /** Until when requests rest; 0: they do not. */
  restsUntil: 2,
  /** Failures so far; its rest says which of the next is the oldest. */
  failures: 3,
  failedAt: 4,
  /** 1: checks say that it is down. */
  isDown: 7,
  passes: 8,
  fails: 9,
  checkedAt: 10,
} as const;

/** Times are counts of so many ms, in 32 bits that go round after 497 days. */
const TICK_MS = 10;

/** `up`: requests go there. `rests`: it has failed, and its time is not over. `due`: one request may try it. `down`: checks say so. */
export type HealthState = 'up' | 'rests' | 'due' | 'down';

/** A time of the clock that all threads of a process have in common. */
export function healthNow(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return (seconds * (1000 / TICK_MS) + Math.floor(nanoseconds / (TICK_MS * 1_000_000))) | 0;
}

export class HealthRow {
  readonly #words: Int32Array;

  constructor(memory: SharedArrayBuffer, offset: number) {
    this.#words = new Int32Array(memory, offset, ROW_BYTES / Int32Array.BYTES_PER_ELEMENT);
  }

  /** True where nothing speaks against it; asks no clock. */
  get isUp(): boolean {
    return this.#get(WORD.isDown) === 0 && this.#get(WORD.restsUntil) === 0;
  }

  /** Cheap where it is up. */
  state(now: number): HealthState {
    if (this.#get(WORD.isDown) !== 0) return 'down';
    const until = this.#get(WORD.restsUntil);
    if (until === 0) return 'up';
    return ((now - until) | 0) >= 0 ? 'due' : 'rests';
  }

  /** Takes the one request that may try an upstream that is `due`, `overdueMs` later: false where another worker has been faster. */
  claim(now: number, overdueMs: number): boolean {
    const until = this.#get(WORD.restsUntil);
    if (until === 0) return true;
    if (((now - until) | 0) * TICK_MS < overdueMs) return false;
    const next = after(now, FAILURES_WINDOW_MS);
    return Atomics.compareExchange(this.#words, WORD.restsUntil, until, next) === until;
  }

  /** A request has been answered. True: this has brought it back. */
  succeeded(): boolean {
    return this.#get(WORD.restsUntil) !== 0 && this.#clear();
  }

  /** A request has failed. True: this has taken it out. */
  failed(now: number): boolean {
    if (this.#get(WORD.restsUntil) !== 0) {
      this.#set(WORD.restsUntil, after(now, FAILURES_WINDOW_MS));
      return false;
    }
    const count = Atomics.add(this.#words, WORD.failures, 1) >>> 0;
    const at = WORD.failedAt + (count % FAILURES_MAX);
    this.#set(at, now || 1);
    const oldest = this.#get(WORD.failedAt + ((count + 1) % FAILURES_MAX));
    if (oldest === 0 || ((now - oldest) | 0) * TICK_MS > FAILURES_WINDOW_MS) return false;
    this.#set(WORD.restsUntil, after(now, FAILURES_WINDOW_MS));
    return true;
  }

  /** True for one worker of all when `intervalMs` are over since the last check. */
  claimCheck(now: number, intervalMs: number): boolean {
    const before = this.#get(WORD.checkedAt);
    if (before !== 0 && ((now - before) | 0) * TICK_MS < intervalMs) return false;
    return Atomics.compareExchange(this.#words, WORD.checkedAt, before, now || 1) === before;
  }

  /** A check has come to its end. 'up' or 'down': this has changed the upstream to that. */
  checked(passed: boolean, rise: number, fall: number): 'up' | 'down' | undefined {
    this.#set(passed ? WORD.fails : WORD.passes, 0);
    const count = Atomics.add(this.#words, passed ? WORD.passes : WORD.fails, 1) + 1;
    if (!passed) {
      if (count < fall || Atomics.exchange(this.#words, WORD.isDown, 1) === 1) return undefined;
      return 'down';
    }
    if (count < rise) return undefined;
    const wasDown = Atomics.exchange(this.#words, WORD.isDown, 0) === 1;
    // requests may go on at once
    const rested = this.succeeded();
    return wasDown || rested ? 'up' : undefined;
  }

  /** Nobody checks it any more: what checks have found does not count. */
  uncheck(): void {
    for (const word of [WORD.isDown, WORD.passes, WORD.fails, WORD.checkedAt]) this.#set(word, 0);
  }

  /** Forgets failures. True: it rested. */
  #clear(): boolean {
    for (let i = 0; i < FAILURES_MAX; i++) this.#set(WORD.failedAt + i, 0);
    return Atomics.exchange(this.#words, WORD.restsUntil, 0) !== 0;
  }

  #get(word: number): number {
    return Atomics.load(this.#words, word);
  }

  #set(word: number, value: number): void {
    Atomics.store(this.#words, word, value);
  }
}

/** 0 stands for no time. */
function after(now: number, ms: number): number {
  return (now + ms / TICK_MS) | 0 || 1;
}
