/**
 * Measures how long this thread works without a turn for other work, in its own processor time, so that other programs do not
 * count.
 */
import { readFileSync } from 'node:fs';

const NS_PER_MS = 1e6;

/** Processor time of the calling thread, ms (proc(5): schedstat). */
export function threadCpuMs(): number {
  return Number(readFileSync('/proc/thread-self/schedstat', 'latin1').split(' ', 1)[0]) / NS_PER_MS;
}

/** Steps of `computeRound`, and the processor time that they take on the machine on which the limits of tests were measured. */
const ROUND_STEPS = 500_000;
const ROUND_MS = 3.6;

function computeRound(): number {
  const table = new Uint32Array(4096);
  let sum = 0;
  for (let i = 0; i < ROUND_STEPS; i++) {
    const at = (sum ^ i) & 4095;
    sum = (sum * 31 + (table[at] as number) + i) | 0;
    table[at] = sum;
  }
  return sum;
}

/**
 * How many times the processor time this thread needs at this moment that it would need on the machine on which the limits of tests were
 * measured; 1 at least.
 */
export function slowness(): number {
  let best = Number.POSITIVE_INFINITY;
  for (let i = 0; i < 4; i++) {
    const before = threadCpuMs();
    computeRound();
    best = Math.min(best, threadCpuMs() - before);
  }
  return Math.max(1, best / ROUND_MS);
}

/** The constructor starts the measurement; `stop` returns the longest stretch. */
export class StretchMeter {
  /** Turns of the event loop so far. */
  turns = 0;
  #longestMs = 0;
  #last: number = threadCpuMs();
  #stopped = false;

  constructor() {
    this.#wait();
  }

  /** Processor time of the longest stretch between two turns of the event loop, ms. */
  stop(): number {
    this.#stopped = true;
    this.#look();
    return this.#longestMs;
  }

  #wait(): void {
    setImmediate(() => {
      if (this.#stopped) return;
      this.turns += 1;
      this.#look();
      this.#wait();
    });
  }

  #look(): void {
    const now = threadCpuMs();
    this.#longestMs = Math.max(this.#longestMs, now - this.#last);
    this.#last = now;
  }
}
