/**
 * The marks of all machines that share a store, as this machine knows them, in the memory of its marks. The main thread writes them: what other
 * machines purge, it purges here, too.
 */
import { ALL_MARK, isMark, MARK_END, purgeMark, steadyTenths, WORD } from './purge-marks.ts';

/** Sixteen hexadecimal digits: the secret that names are hashed with, which names the table of the store, too. */
const EPOCH = /^[0-9a-f]{16}$/;

export class CommonMarks {
  readonly allMark: number = ALL_MARK;
  readonly #words: Int32Array;
  #epoch = '';
  #known = 0;

  /** `memory`: made for machines that share a store. */
  constructor(memory: SharedArrayBuffer) {
    this.#words = new Int32Array(memory);
  }

  /** Empty: the store was not reached yet. */
  get epoch(): string {
    return this.#epoch;
  }

  /** How often it has changed. */
  get epochCount(): number {
    return Atomics.load(this.#words, WORD.epoch);
  }

  /** All purges up to this number are known. */
  get known(): number {
    return this.#known;
  }

  isEpoch(text: string): boolean {
    return EPOCH.test(text);
  }

  isMark(mark: number): boolean {
    return isMark(mark);
  }

  /** The table of the store is another one: marks made before mean nothing, and whatever was kept before is purged. */
  adopt(epoch: string): void {
    const words = this.#words;
    this.#epoch = epoch;
    this.#known = 0;
    Atomics.store(words, 0, Number.parseInt(epoch.slice(0, 8), 16) | 0);
    Atomics.store(words, 1, Number.parseInt(epoch.slice(8), 16) | 0);
    Atomics.store(words, WORD.known, 0);
    words.fill(0, WORD.marks, WORD.marks + MARK_END);
    Atomics.add(words, WORD.epoch, 1);
    purgeMark(words, ALL_MARK);
  }

  /** The purge with this number was made by another machine. */
  purged(mark: number, number: number): void {
    this.taken(mark, number);
    purgeMark(this.#words, mark);
  }

  /** The store has taken a purge of this machine as this number. */
  taken(mark: number, number: number): void {
    Atomics.store(this.#words, WORD.marks + mark, number | 0);
  }

  /** So many purges of this mark by this machine are not on their way any more; below 0: so many more are. */
  settled(mark: number, count: number): void {
    Atomics.sub(this.#words, WORD.pending + mark, count);
  }

  /** All purges up to this number are in the table. */
  reached(number: number): void {
    this.#known = number;
    Atomics.store(this.#words, WORD.known, number | 0);
  }

  /** The store was asked at this time of this thread, and has told all that had been purged by then. */
  heard(at: number): void {
    Atomics.store(this.#words, WORD.contact, steadyTenths(at));
  }
}
