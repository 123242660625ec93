/**
 * What was purged, for all threads: a mark in shared memory for each tag and each target, by a hash with a secret. It is the number of the purge.
 * An answer counts only while none of its marks is younger than the request for it, so that a purge holds in every thread at once, and also for
 * what is on its way from a server. Two names with one mark are purged together, which costs a request to the server.
 *
 * Where machines share a store, the memory has a second table: the marks of all machines, by numbers that the store gives (common-marks.ts).
 */
import { randomFillSync } from 'node:crypto';
import { sipHash } from '../shared/sip-hash.ts';
import { CUT_OFF_MS } from './cache-limits.ts';

/** Words before the marks: the two of the secret, the number of purges, the mark of all answers. */
const WORDS = 4;
const NUMBER = 2;
/** The mark of all answers. */
export const ALL_MARK = 3;
/** With ten thousand names, one of seven is purged with another one now and then. */
const MARKS = 65_536;
/** A mark is below this, and not below that of all answers. */
export const MARK_END: number = WORDS + MARKS;

/** Behind the marks, where machines share a store: words, marks of all machines, and purges of this machine that the store has not taken. */
export const WORD: Readonly<Record<'known' | 'contact' | 'epoch' | 'marks' | 'pending', number>> = {
  /** All purges up to this number are in the table. */
  known: MARK_END,
  /** When the store was asked for them last, in tenths of a second of `steadyTenths`. */
  contact: MARK_END + 1,
  /** Counts up with each secret that was taken from the store; 0: none was yet. */
  epoch: MARK_END + 2,
  marks: MARK_END + 3,
  pending: 2 * MARK_END + 3,
};
const SHARED_END = 3 * MARK_END + 3;

/** `isShared`: machines share a store. */
export function createPurgeMemory(isShared = false): SharedArrayBuffer {
  const length = isShared ? SHARED_END : MARK_END;
  const memory = new SharedArrayBuffer(length * Int32Array.BYTES_PER_ELEMENT);
  randomFillSync(new Int32Array(memory, 0, 2));
  return memory;
}

/** The clock of this thread begins with it; this one is the same for all. */
const CLOCK_OFFSET_MS: number = Number(process.hrtime.bigint() / 1_000_000n) - performance.now();
const TENTH_MS = 100;

/** `now`: of this thread, ms. Goes round after seven years: only differences count. */
export function steadyTenths(now: number): number {
  return Math.floor((now + CLOCK_OFFSET_MS) / TENTH_MS) | 0;
}

/** The marks of one answer. */
export interface MarkedAnswer {
  readonly marks: readonly number[];
  /** Number of the last purge when its request began. */
  readonly purgesBefore: number;
  /** When that was, by the clock of this thread (ms). */
  readonly askedAt: number;
}

/** A purge of this machine, for the others; `epoch`: of the secret that the mark was made with. */
export type PurgeNotice = (mark: number, epoch: number) => void;

export class PurgeMarks {
  readonly #words: Int32Array;
  /** Machines share a store. */
  readonly isShared: boolean;
  /** Hears of each purge of this thread, where machines share a store. */
  onPurge: PurgeNotice | undefined;

  constructor(memory: SharedArrayBuffer = createPurgeMemory()) {
    this.#words = new Int32Array(memory);
    this.isShared = this.#words.length === SHARED_END;
  }

  /** Number of the last purge. */
  get number(): number {
    return Atomics.load(this.#words, NUMBER);
  }

  /** Of the secret. */
  get epoch(): number {
    return this.isShared ? Atomics.load(this.#words, WORD.epoch) : 0;
  }

  ofTag(tag: string): number {
    return this.#markOf(`t${tag}`);
  }

  /** `key`: of scheme, host and target. */
  ofTarget(key: string): number {
    return this.#markOf(`u${key}`);
  }

  purgeTag(tag: string): void {
    // before the mark is made: another secret may come meanwhile
    const { epoch } = this;
    this.#purge(this.ofTag(tag), epoch);
  }

  /** `key`: as of `ofTarget`. */
  purgeTarget(key: string): void {
    const { epoch } = this;
    this.#purge(this.ofTarget(key), epoch);
  }

  purgeAll(): void {
    this.#purge(ALL_MARK, this.epoch);
  }

  isPurged({ marks, purgesBefore }: MarkedAnswer): boolean {
    const words = this.#words;
    if (((Atomics.load(words, ALL_MARK) - purgesBefore) | 0) > 0) return true;
    for (const mark of marks) if (((Atomics.load(words, mark) - purgesBefore) | 0) > 0) return true;
    return false;
  }

  /** Another machine may have purged it, and this one has not heard of the others since. `now`: of this thread, ms. */
  isDoubtful({ askedAt }: MarkedAnswer, now: number): boolean {
    if (!this.isShared || now - askedAt <= CUT_OFF_MS) return false;
    const silence = (steadyTenths(now) - Atomics.load(this.#words, WORD.contact)) | 0;
    return this.epoch === 0 || silence * TENTH_MS > CUT_OFF_MS;
  }

  /** For an answer that others are to have: what purges count for it already. Undefined: it was purged, or a purge is on its way. */
  stamp(marked: MarkedAnswer): { readonly epoch: string; readonly known: number } | undefined {
    const epoch = this.#epochText;
    // what is known now counts here already, and `isPurged` sees it
    const known = Atomics.load(this.#words, WORD.known);
    if (epoch === undefined || this.isPurged(marked)) return undefined;
    const isPending = this.#isPending(ALL_MARK) || marked.marks.some((mark) => this.#isPending(mark));
    return isPending ? undefined : { epoch, known };
  }

  /** For an answer that another machine has stamped so. Undefined: it was purged since, or may have been. `now`: of this thread, ms. */
  accept(epoch: string, known: number, marks: readonly number[], now: number): MarkedAnswer | undefined {
    // what is purged from here on is younger
    const purgesBefore = this.number;
    if (this.#epochText !== epoch) return undefined;
    const isGood = (mark: number): boolean =>
      ((Atomics.load(this.#words, WORD.marks + mark) - known) | 0) <= 0 && !this.#isPending(mark);
    if (!isGood(ALL_MARK) || !marks.every(isGood)) return undefined;
    const marked = { marks, purgesBefore, askedAt: Number.NEGATIVE_INFINITY };
    return this.isDoubtful(marked, now) ? undefined : marked;
  }

  /** Purges of this machine are on their way to the store. */
  #isPending(mark: number): boolean {
    return Atomics.load(this.#words, WORD.pending + mark) !== 0;
  }

  /** The secret in hexadecimal digits; undefined: none was taken from a store yet. */
  get #epochText(): string | undefined {
    const { epoch } = this;
    if (epoch === 0) return undefined;
    const text = [0, 1]
      .map((i) => (Atomics.load(this.#words, i) >>> 0).toString(16).padStart(8, '0'))
      .join('');
    // another one may just come
    return this.epoch === epoch ? text : undefined;
  }

  #purge(mark: number, epoch: number): void {
    if (this.isShared) Atomics.add(this.#words, WORD.pending + mark, 1);
    purgeMark(this.#words, mark);
    if (this.isShared) this.onPurge?.(mark, epoch);
  }

  #markOf(name: string): number {
    const bytes = Buffer.from(name, 'latin1');
    const [seed0, seed1] = this.#words as unknown as [number, number];
    return WORDS + (sipHash(bytes, 0, bytes.length, seed0, seed1) & (MARKS - 1));
  }
}

/** It may be one of an answer. */
export function isMark(mark: unknown): mark is number {
  return Number.isInteger(mark) && (mark as number) >= ALL_MARK && (mark as number) < MARK_END;
}

/** In this machine. */
export function purgeMark(words: Int32Array, mark: number): void {
  const number = Atomics.add(words, NUMBER, 1) + 1;
  for (;;) {
    const before = Atomics.load(words, mark);
    // another thread may have made a younger one; the numbers go round, after two thousand million purges
    if (((number - before) | 0) <= 0) return;
    if (Atomics.compareExchange(words, mark, before, number) === before) return;
  }
}
