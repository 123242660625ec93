/** Counts the workers that have taken what was given to them, in memory that they share; whoever gave it waits for them. */

/** A worker that takes nothing for so long is held up, and is replaced: nobody waits for it. */
const TAKE_MS_MAX = 10_000;

export class TakenCount {
  /** One cell, which each worker adds one to. */
  readonly memory: SharedArrayBuffer = new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT);

  /** Adds this worker. */
  static add(memory: SharedArrayBuffer): void {
    const cell = new Int32Array(memory);
    Atomics.add(cell, 0, 1);
    Atomics.notify(cell, 0);
  }

  /** Resolves when `count` workers have taken it, or the time is over. */
  async reaches(count: number): Promise<void> {
    const cell = new Int32Array(this.memory);
    const end = performance.now() + TAKE_MS_MAX;
    for (let now = Atomics.load(cell, 0); now < count; now = Atomics.load(cell, 0)) {
      const left = end - performance.now();
      if (left <= 0) return;
      const { value } = Atomics.waitAsync(cell, 0, now, left);
      await value;
    }
  }
}
