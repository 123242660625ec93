/** Decides which worker runs a timer that runs in one worker only, and lets another worker repeat a run that a dead worker has lost. */
import type { OnceClaim } from '../worker/messages.ts';

/** Names remembered; past that the one granted longest ago is forgotten, and may run once more than it should. */
const NAMES_MAX = 1000;
/** A worker's timer that has waited this share of the time since the last run is not too early: clocks jitter. */
const WAITED_SHARE = 0.9;
/** A run that nothing is known of. */
const NEVER = Number.NEGATIVE_INFINITY;

interface Entry {
  /** The run under way or the last one: whose it was, and by which claim. */
  workerId: number;
  claimId: number;
  running: boolean;
  startedAt: number;
  /** The newest generation that has had a run. */
  generation: number;
}

export class OnceRegistry {
  /** The timers; the one whose run was granted last stands last. */
  readonly #entries = new Map<string, Entry>();

  /** True when the worker is to run it now. `now`: ms of a steady clock. */
  claim(workerId: number, claimId: number, claim: OnceClaim, now: number): boolean {
    const { name, generation, waitMs } = claim;
    const last = this.#entries.get(name);
    if (last !== undefined) {
      // every worker loads the script, at its own time
      if (waitMs === undefined && last.generation >= generation) return false;
      if (waitMs !== undefined && (last.running || now - last.startedAt < waitMs * WAITED_SHARE))
        return false;
    }
    this.#entries.delete(name);
    this.#entries.set(name, {
      workerId,
      claimId,
      running: true,
      startedAt: now,
      generation: Math.max(generation, last?.generation ?? generation),
    });
    if (this.#entries.size > NAMES_MAX) this.#forgetOldest();
    return true;
  }

  /** A run has ended. `completed` false: it was lost, and the next one who asks may make up for it. */
  release(workerId: number, claimId: number, completed: boolean): void {
    for (const entry of this.#entries.values())
      if (entry.running && entry.workerId === workerId && entry.claimId === claimId) end(entry, completed);
  }

  /** The worker's thread has ended. */
  workerGone(workerId: number): void {
    for (const entry of this.#entries.values())
      if (entry.running && entry.workerId === workerId) end(entry, false);
  }

  #forgetOldest(): void {
    const [oldest] = this.#entries.keys();
    if (oldest !== undefined) this.#entries.delete(oldest);
  }
}

function end(entry: Entry, completed: boolean): void {
  entry.running = false;
  if (completed) return;
  entry.startedAt = NEVER;
  entry.generation = NEVER;
}
