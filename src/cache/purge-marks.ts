/**
 * What was purged, for all threads: a mark in shared memory for each tag and each target, by a hash with a secret. It is the number of the purge.
 * An answer counts only while none of its marks is younger than the request for it, so that a purge holds in every thread at once, and also for
 * what is on its way from a server. Two names with one mark are purged together, which costs a request to the server.
 */
import { randomFillSync } from 'node:crypto';
import { sipHash } from '../shared/sip-hash.ts';

/** Words before the marks: the two of the secret, the number of purges, the mark of all answers. */
const WORDS = 4;
const NUMBER = 2;
const ALL = 3;
/** With ten thousand names, one of seven is purged with another one now and then. */
const MARKS = 65_536;

export function createPurgeMemory(): SharedArrayBuffer {
  const memory = new SharedArrayBuffer((WORDS + MARKS) * Int32Array.BYTES_PER_ELEMENT);
  randomFillSync(new Int32Array(memory, 0, 2));
  return memory;
}

/** The marks of one answer. */
export interface MarkedAnswer {
  readonly marks: readonly number[];
  /** Number of the last purge when its request began. */
  readonly purgesBefore: number;
}

export class PurgeMarks {
  readonly #words: Int32Array;

  constructor(memory: SharedArrayBuffer = createPurgeMemory()) {
    this.#words = new Int32Array(memory);
  }

  /** Number of the last purge. */
  get number(): number {
    return Atomics.load(this.#words, NUMBER);
  }

  ofTag(tag: string): number {
    return this.#markOf(`t${tag}`);
  }

  /** `key`: of scheme, host and target. */
  ofTarget(key: string): number {
    return this.#markOf(`u${key}`);
  }

  purge(mark: number): void {
    const number = Atomics.add(this.#words, NUMBER, 1) + 1;
    for (;;) {
      const before = Atomics.load(this.#words, mark);
      // another thread may have made a younger one; the numbers go round, after two thousand million purges
      if (((number - before) | 0) <= 0) return;
      if (Atomics.compareExchange(this.#words, mark, before, number) === before) return;
    }
  }

  purgeAll(): void {
    this.purge(ALL);
  }

  isPurged({ marks, purgesBefore }: MarkedAnswer): boolean {
    const words = this.#words;
    if (((Atomics.load(words, ALL) - purgesBefore) | 0) > 0) return true;
    for (const mark of marks) if (((Atomics.load(words, mark) - purgesBefore) | 0) > 0) return true;
    return false;
  }

  #markOf(name: string): number {
    const bytes = Buffer.from(name, 'latin1');
    const [seed0, seed1] = this.#words as unknown as [number, number];
    return WORDS + (sipHash(bytes, 0, bytes.length, seed0, seed1) & (MARKS - 1));
  }
}
