/**
 * Times in buckets that grow with them: four to an octave, from 16 µs to 128 s, so that what is read out of them is at most a
 * fifth too high. Steps are cheap because the bits of a double name its bucket.
 */

/** The lower end of the first bucket, µs: a power of two. */
const FIRST_EXPONENT = 4;
const OCTAVES = 23;
const PER_OCTAVE = 4;
const BUCKETS = OCTAVES * PER_OCTAVE + 1;
/** Doubles that one histogram takes: its buckets, of which the last takes what is longer, and the sum (µs). */
export const HISTOGRAM_SLOTS: number = BUCKETS + 1;

const MICROSECONDS = 1000;
/** Exponent of a double that is 1, and the place of its two highest bits of the fraction in the upper word. */
const EXPONENT_BIAS = 1023;
const INDEX_SHIFT = 18;
const FIRST_INDEX = (EXPONENT_BIAS + FIRST_EXPONENT) * PER_OCTAVE;

const double = new Float64Array(1);
const words = new Uint32Array(double.buffer);
/** The machine keeps the upper word of a double behind the lower one. */
const UPPER = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1 ? 1 : 0;

/** A snapshot. */
export class Histogram {
  readonly #buckets: Float64Array;
  #sumUs: number;

  /** Reads the histogram that begins at `slot` of `values`. */
  constructor(values: Float64Array, slot: number) {
    this.#buckets = values.slice(slot, slot + BUCKETS);
    this.#sumUs = values[slot + BUCKETS] as number;
  }

  /** Counts one of `ms` milliseconds. */
  static add(values: Float64Array, slot: number, ms: number): void {
    const us = ms * MICROSECONDS;
    double[0] = us;
    const index = ((words[UPPER] as number) >>> INDEX_SHIFT) - FIRST_INDEX;
    const bucket = index < 0 || us < 0 ? 0 : index < BUCKETS ? index : BUCKETS - 1;
    values[slot + bucket] = (values[slot + bucket] as number) + 1;
    values[slot + BUCKETS] = (values[slot + BUCKETS] as number) + us;
  }

  /** What several have counted. */
  static sum(all: readonly Histogram[]): Histogram {
    const sum = new Histogram(new Float64Array(HISTOGRAM_SLOTS), 0);
    for (const one of all) {
      for (let i = 0; i < BUCKETS; i++)
        sum.#buckets[i] = (sum.#buckets[i] as number) + (one.#buckets[i] as number);
      sum.#sumUs += one.#sumUs;
    }
    return sum;
  }

  get count(): number {
    return this.#buckets.reduce((sum, count) => sum + count, 0);
  }

  get sumMs(): number {
    return this.#sumUs / MICROSECONDS;
  }

  /** How many were shorter than `ms`, which is the end of a bucket; those of a bucket that goes beyond are left out. */
  below(ms: number): number {
    let seen = 0;
    for (let bucket = 0; bucket < BUCKETS && upperEndMs(bucket) <= ms; bucket++)
      seen += this.#buckets[bucket] as number;
    return seen;
  }

  /** The time (ms) that a share of all did not exceed: the upper end of its bucket; Infinity above 128 s, 0 of none. */
  quantile(share: number): number {
    const wanted = this.count * share;
    if (wanted === 0) return 0;
    let seen = 0;
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      seen += this.#buckets[bucket] as number;
      if (seen >= wanted) return upperEndMs(bucket);
    }
    return Number.POSITIVE_INFINITY;
  }
}

/** The time at which a bucket ends, ms. */
function upperEndMs(bucket: number): number {
  if (bucket === BUCKETS - 1) return Number.POSITIVE_INFINITY;
  const next = bucket + 1;
  const octave = Math.floor(next / PER_OCTAVE);
  const quarter = next % PER_OCTAVE;
  return (2 ** (FIRST_EXPONENT + octave) * (1 + quarter / PER_OCTAVE)) / MICROSECONDS;
}
