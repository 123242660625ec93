/** Compares loads that differ by less than what a busy machine changes from one second to the next. */
import { median } from '../median.ts';
import type { LoadRun } from './load.ts';

/** An odd number, so that the median is one of the values. */
const TURNS = 5;
/** Part of the requests of one turn: with much fewer, the handshakes of each run would count. */
const TURN_PART = 1 / 3;

/** Of several loads in short turns. */
export class Turns {
  /** CPU µs for one request: of each turn, in the order of the loads. */
  readonly #turns: readonly (readonly number[])[];

  private constructor(turns: readonly (readonly number[])[]) {
    this.#turns = turns;
  }

  /** Each turn begins with another load. */
  static async run(loads: readonly LoadRun[]): Promise<Turns> {
    const turns: number[][] = [];
    for (let turn = 0; turn < TURNS; turn++) {
      const times: number[] = [];
      for (let i = 0; i < loads.length; i++) {
        const which = (turn + i) % loads.length;
        times[which] = (await loads[which]?.(TURN_PART))?.['cpuUs'] ?? Number.NaN;
      }
      turns.push(times);
    }
    return new Turns(turns);
  }

  cpuUs(load: number): number {
    return median(this.#turns.map((times) => times[load] ?? Number.NaN));
  }

  /** The median of the ratios within a turn. */
  ratio(load: number, to: number): number {
    return median(this.#turns.map((times) => (times[load] ?? Number.NaN) / (times[to] ?? Number.NaN)));
  }
}
