/**
 * What all workers know of one upstream: whether requests fail there (passive), and what checks have found (active). Each word is
 * changed by itself; two workers that change the same row at once count one failure more or less, and nothing else.
 */
import { TICK_MS, WORD } from './health-memory.ts';

/** Failures within so many ms take an upstream out, for as long. */
export const FAILURES_WINDOW_MS = 10_000;
/** So many of them. */
export const FAILURES_MAX = 3;

/** `up`: requests go there. `rests`: it has failed, and its time is not over. `due`: one request may try it. `down`: checks say so. */
export type HealthState = 'up' | 'rests' | 'due' | 'down';

/** Where a row stands. */
export interface RowPlace {
  readonly words: Int32Array;
  /** What its first word says while it is this row's. */
  readonly mark: number;
  /** Requests of this worker that wait, by row. */
  readonly waiting: Int32Array;
  /** Its index in `waiting`. */
  readonly index: number;
}

/** Who gives rows their places. */
export interface RowOwner {
  /** Another key has taken the place of this one, which nobody had used or held for long: a new place. */
  take(key: string): RowPlace;
  /** The row is used or held from now on: its owner stamps it at intervals. */
  watch(): void;
}

export class HealthRow {
  readonly key: string;
  readonly #owner: RowOwner;
  #place: RowPlace;
  /** Requests of this worker that wait. */
  #waits = 0;
  #holders = 0;
  /** It was asked for or used since it was stamped last. */
  #isUsed = true;

  constructor(key: string, owner: RowOwner) {
    this.key = key;
    this.#owner = owner;
    this.#place = owner.take(key);
  }

  /** Its owner must not forget it. */
  get isHeld(): boolean {
    return this.#holders > 0 || this.#waits > 0;
  }

  /** True where nothing speaks against it; asks no clock. */
  get isUp(): boolean {
    this.#keep();
    return this.#get(WORD.isDown) === 0 && this.#get(WORD.restsUntil) === 0;
  }

  /** Cheap where it is up. */
  state(now: number): HealthState {
    this.#keep();
    return stateOf(this.#place.words, now);
  }

  /** Takes the one request that may try an upstream that is `due`, `overdueMs` later: false where another worker has been faster. */
  claim(now: number, overdueMs: number): boolean {
    this.#keep();
    const until = this.#get(WORD.restsUntil);
    if (until === 0) return true;
    if (((now - until) | 0) * TICK_MS < overdueMs) return false;
    const next = after(now, FAILURES_WINDOW_MS);
    return Atomics.compareExchange(this.#place.words, WORD.restsUntil, until, next) === until;
  }

  /** A request waits for it, or (-1) waits no longer. */
  waits(change: 1 | -1): void {
    this.#keep();
    this.#waits += change;
    const { waiting, index } = this.#place;
    waiting[index] = (waiting[index] as number) + change;
    if (this.#isUsed) return;
    this.#isUsed = true;
    this.#owner.watch();
  }

  /** A request has been answered. True: this has brought it back. */
  succeeded(): boolean {
    this.#keep();
    return this.#get(WORD.restsUntil) !== 0 && this.#clear();
  }

  /** A request has failed. True: this has taken it out. */
  failed(now: number): boolean {
    this.#keep();
    this.#add(WORD.failuresTotal);
    if (this.#get(WORD.restsUntil) !== 0) {
      this.#set(WORD.restsUntil, after(now, FAILURES_WINDOW_MS));
      return false;
    }
    const count = this.#add(WORD.failures) >>> 0;
    const at = WORD.failedAt + (count % FAILURES_MAX);
    this.#set(at, now || 1);
    const oldest = this.#get(WORD.failedAt + ((count + 1) % FAILURES_MAX));
    if (oldest === 0 || ((now - oldest) | 0) * TICK_MS > FAILURES_WINDOW_MS) return false;
    this.#set(WORD.restsUntil, after(now, FAILURES_WINDOW_MS));
    return true;
  }

  /** True for one worker of all when `intervalMs` are over since the last check. */
  claimCheck(now: number, intervalMs: number): boolean {
    this.#keep();
    const before = this.#get(WORD.checkedAt);
    if (before !== 0 && ((now - before) | 0) * TICK_MS < intervalMs) return false;
    return Atomics.compareExchange(this.#place.words, WORD.checkedAt, before, now || 1) === before;
  }

  /** A check has come to its end. 'up' or 'down': this has changed the upstream to that. */
  checked(passed: boolean, rise: number, fall: number): 'up' | 'down' | undefined {
    this.#keep();
    this.#add(WORD.checksTotal);
    this.#set(passed ? WORD.fails : WORD.passes, 0);
    const count = this.#add(passed ? WORD.passes : WORD.fails) + 1;
    if (!passed) {
      this.#add(WORD.failedChecksTotal);
      if (count < fall || Atomics.exchange(this.#place.words, WORD.isDown, 1) === 1) return undefined;
      return 'down';
    }
    if (count < rise) return undefined;
    const wasDown = Atomics.exchange(this.#place.words, WORD.isDown, 0) === 1;
    // requests may go on at once
    const rested = this.succeeded();
    return wasDown || rested ? 'up' : undefined;
  }

  /** Nobody checks it any more: what checks have found does not count. */
  uncheck(): void {
    this.#keep();
    for (const word of [WORD.isDown, WORD.passes, WORD.fails, WORD.checkedAt]) this.#set(word, 0);
  }

  /** A configuration names it: nobody else takes its place while it is idle. */
  hold(): void {
    this.#holders += 1;
    this.#owner.watch();
  }

  /** The opposite. Behind the last one of all workers the place is free at once. */
  release(): void {
    this.#holders -= 1;
    this.#keep();
    if (this.#holders === 0 && this.#waits === 0) this.#set(WORD.usedAt, 0);
  }

  /** Says in the memory that somebody has the row, if that is so. True: it has to be said again in a while. */
  stamp(now: number): boolean {
    if (!this.isHeld && !this.#isUsed) return false;
    this.#keep();
    this.#isUsed = false;
    this.#set(WORD.usedAt, now || 1);
    return this.isHeld;
  }

  /** Forgets failures. True: it rested. */
  #clear(): boolean {
    for (let i = 0; i < FAILURES_MAX; i++) this.#set(WORD.failedAt + i, 0);
    return Atomics.exchange(this.#place.words, WORD.restsUntil, 0) !== 0;
  }

  #keep(): void {
    if (this.#get(WORD.key) === this.#place.mark) return;
    const { waiting, index } = this.#place;
    waiting[index] = (waiting[index] as number) - this.#waits;
    this.#place = this.#owner.take(this.key);
    const next = this.#place;
    next.waiting[next.index] = (next.waiting[next.index] as number) + this.#waits;
  }

  #get(word: number): number {
    return Atomics.load(this.#place.words, word);
  }

  #set(word: number, value: number): void {
    Atomics.store(this.#place.words, word, value);
  }

  #add(word: number): number {
    return Atomics.add(this.#place.words, word, 1);
  }
}

export function stateOf(words: Int32Array, now: number): HealthState {
  if (Atomics.load(words, WORD.isDown) !== 0) return 'down';
  const until = Atomics.load(words, WORD.restsUntil);
  if (until === 0) return 'up';
  return ((now - until) | 0) >= 0 ? 'due' : 'rests';
}

/** 0 stands for no time. */
function after(now: number, ms: number): number {
  return (now + ms / TICK_MS) | 0 || 1;
}
