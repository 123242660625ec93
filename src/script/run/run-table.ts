/** The runs of one script that are under way: their count, their time limits, and the moment when none is left. */

import type { Exchange } from '../../http/exchange/exchange.ts';
import { isRoundFull } from '../../lua/turns.ts';
import { COUNT, type Counters } from '../../metrics/worker-metrics.ts';
import type { LuaRun } from './lua-run.ts';

/** Time limits are looked at this often. */
const SWEEP_MS = 50;

export class RunTable {
  /** Each at its `place`: a `Set` would be allocated anew whenever it gets empty, which is with each request of a calm server. */
  readonly #runs: LuaRun[] = [];
  readonly #counters: Counters;
  readonly #ended: () => void;
  readonly #whenIdle: (() => void)[] = [];
  #sweepTimer: NodeJS.Timeout | undefined;
  #closed = false;
  #streamsEnd = false;

  /** `ended` is told of each run that ends before `close`, while it is counted no more. */
  constructor(counters: Counters, ended: () => void) {
    this.#counters = counters;
    this.#ended = ended;
  }

  get size(): number {
    return this.#runs.length;
  }

  /** True while `run` is under way. */
  has(run: LuaRun): boolean {
    return this.#runs[run.place] === run;
  }

  /** A run is about to begin; `watch` follows. */
  started(run: LuaRun): void {
    run.place = this.#runs.length;
    this.#runs.push(run);
    this.countCoroutine(1);
  }

  /** Looks at runs from now on, if any of those that were started waits. */
  watch(): void {
    if (this.#runs.length > 0) this.#sweepTimer ??= setInterval(() => this.#sweep(), SWEEP_MS).unref();
  }

  ended(run: LuaRun): void {
    this.#remove(run);
    this.countCoroutine(-1);
    if (this.#closed) return;
    this.#ended();
    if (this.#runs.length > 0) return;
    if (this.#sweepTimer !== undefined) clearInterval(this.#sweepTimer);
    this.#sweepTimer = undefined;
    if (this.#whenIdle.length > 0) this.tellIdle();
  }

  /** Counts coroutines of runs and tasks. */
  countCoroutine(change: 1 | -1): void {
    this.#counters.add(COUNT.coroutines, change);
  }

  /** Resolves when no run is left; new ones must not be started any more. */
  idle(): Promise<void> {
    if (this.#runs.length === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#whenIdle.push(resolve);
    });
  }

  /** Another state takes over: those for whom nobody waits end as soon as they can. */
  retire(): void {
    this.endStreams();
    for (const run of [...this.#runs]) run.retire?.();
  }

  /** Answers without an end are ended, those that begin from now on, too. */
  get streamsEnd(): boolean {
    return this.#streamsEnd;
  }

  /** Another state takes over, or the gateway drains: ends answers that have no end of their own. */
  endStreams(): void {
    if (this.#streamsEnd) return;
    this.#streamsEnd = true;
    for (const run of [...this.#runs]) run.endStream?.();
  }

  /** Nobody looks at the runs any more, and nobody is told of their ends; they have to be ended by the caller. */
  close(): void {
    this.#closed = true;
    clearInterval(this.#sweepTimer);
  }

  /** Ends all of them; clients get `status` if they have got nothing yet. */
  cancelAll(status: number): void {
    for (const run of [...this.#runs]) run.cancel(status);
  }

  /** The state is lost: ends all of them like `cancelAll`, but returns the exchanges of those that have not begun. */
  withdrawAll(status: number): Exchange[] {
    const unbegun: Exchange[] = [];
    for (const run of [...this.#runs]) {
      const exchange = run.withdraw?.();
      if (exchange === undefined) run.cancel(status);
      else unbegun.push(exchange);
    }
    return unbegun;
  }

  /** Tells those who wait for the end of the last run, of which nobody is told any more. */
  tellIdle(): void {
    for (const resolve of this.#whenIdle.splice(0)) resolve();
  }

  /** Ends runs that have been silent, or gone on, for too long. */
  #sweep(): void {
    const now = performance.now();
    // from the last to the first: the run that takes the place of one that ends has been looked at
    for (let place = this.#runs.length - 1; place >= 0; place -= 1) {
      this.#runs[place]?.checkTime(now);
      // those that end may have much to close; the rest is looked at the next time
      if (isRoundFull()) return;
    }
  }

  /** The last run takes its place. */
  #remove(run: LuaRun): void {
    const last = this.#runs.at(-1) as LuaRun;
    if (last !== run) {
      this.#runs[run.place] = last;
      last.place = run.place;
    }
    this.#runs.pop();
  }
}
