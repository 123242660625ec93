/** How far a run has come, for limits of silence: bytes its code has moved, and what has come for what it waits for. */

/** Tells how much has come so far of what is waited for. */
export type Arrived = () => number;

export class RunProgress {
  /** Bytes read from the client, files and upstreams, and written to files and upstreams. */
  moved = 0;
  /** One for each coroutine of the run that waits for bytes; made when the first one waits. */
  #awaited: Set<Arrived> | undefined;

  await(arrived: Arrived): void {
    this.#awaited ??= new Set();
    this.#awaited.add(arrived);
  }

  done(arrived: Arrived): void {
    this.#awaited?.delete(arrived);
  }

  /** Another number means that something has moved. */
  get mark(): number {
    let mark = this.moved;
    for (const arrived of this.#awaited ?? []) mark += arrived();
    return mark;
  }
}
