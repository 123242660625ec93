/**
 * Decides which worker runs a timer that runs in one worker only, and lets another worker repeat a run that a dead worker has lost.
 * At an upgrade the knowledge goes over to the successor: claims wait there until the predecessor begins no run any more.
 */
import type { OnceClaim } from '../worker/messages.ts';

/** Names remembered; past that the one granted longest ago is forgotten, and may run once more than it should. */
const NAMES_MAX = 1000;
/** Claims that wait for the predecessor; past that they are refused. Each timer of a worker has one at most. */
const WAITING_MAX = 10_000;
/** A worker's timer that has waited this share of the time since the last run is not too early: clocks jitter. */
export const WAITED_SHARE = 0.9;
/** A run that nothing is known of. */
const NEVER = Number.NEGATIVE_INFINITY;
/** In the place of a worker's number: the run goes on in the process before this one. */
const PREDECESSOR = 0;

interface Entry {
  /** The run under way or the last one: whose it was, and by which claim. */
  workerId: number;
  claimId: number;
  running: boolean;
  startedAt: number;
  /** The newest generation that has had a run. */
  generation: number;
}

/** What a successor gets to know of a timer. */
export interface OnceRecord {
  readonly name: string;
  readonly running: boolean;
  /** Since the begin of the last run, ms; undefined: it was lost. */
  readonly ageMs: number | undefined;
}

interface Waiting {
  readonly workerId: number;
  readonly claimId: number;
  readonly claim: OnceClaim;
  readonly answer: (granted: boolean) => void;
}

export class OnceRegistry {
  /** The timers; the one whose run was granted last stands last. */
  readonly #entries = new Map<string, Entry>();
  /** Where runs are granted: here, by the predecessor still, or by the successor already. */
  #place: 'here' | 'predecessor' | 'successor' = 'here';
  readonly #waiting = new Set<Waiting>();
  #tellSuccessor: ((name: string, completed: boolean) => void) | undefined;

  /** Tells whether the worker is to run it: at once, or when the predecessor has told. `now`: ms of a steady clock. */
  ask(
    workerId: number,
    claimId: number,
    claim: OnceClaim,
    answer: (granted: boolean) => void,
    now: () => number,
  ): void {
    if (this.#place === 'successor') answer(false);
    else if (this.#hasToWait(claim)) {
      if (this.#waiting.size < WAITING_MAX) this.#waiting.add({ workerId, claimId, claim, answer });
      else answer(false);
    } else answer(this.claim(workerId, claimId, claim, now()));
  }

  /** True when the worker is to run it now. */
  claim(workerId: number, claimId: number, claim: OnceClaim, now: number): boolean {
    const { name, generation, waitMs } = claim;
    const last = this.#entries.get(name);
    if (last !== undefined) {
      // every worker loads the script, at its own time
      if (waitMs === undefined && last.generation >= generation) return false;
      if (waitMs !== undefined && (last.running || now - last.startedAt < waitMs * WAITED_SHARE))
        return false;
    }
    this.#set(name, {
      workerId,
      claimId,
      running: true,
      startedAt: now,
      generation: Math.max(generation, last?.generation ?? generation),
    });
    return true;
  }

  /** A run has ended. `completed` false: it was lost, and the next one who asks may make up for it. */
  release(workerId: number, claimId: number, completed: boolean): void {
    for (const [name, entry] of this.#entries)
      if (entry.running && entry.workerId === workerId && entry.claimId === claimId)
        this.#end(name, entry, completed);
  }

  /** The worker's thread has ended. */
  workerGone(workerId: number): void {
    for (const waiting of this.#waiting) if (waiting.workerId === workerId) this.#waiting.delete(waiting);
    for (const [name, entry] of this.#entries)
      if (entry.running && entry.workerId === workerId) this.#end(name, entry, false);
  }

  // ---- an upgrade: the predecessor's side ----

  /** Grants nothing from now on; returns what the successor has to know. `ended` hears of runs that are under way. */
  handOver(now: number, ended: (name: string, completed: boolean) => void): readonly OnceRecord[] {
    this.#place = 'successor';
    this.#tellSuccessor = ended;
    return [...this.#entries].map(([name, { running, startedAt }]) => ({
      name,
      running,
      ageMs: startedAt === NEVER ? undefined : now - startedAt,
    }));
  }

  // ---- the successor's side ----

  /** Claims wait until `takeOver`. */
  awaitPredecessor(): void {
    this.#place = 'predecessor';
  }

  /** What the predecessor knows; it grants nothing any more. None, when it has ended without a word. */
  takeOver(records: readonly OnceRecord[], now: () => number): void {
    if (this.#place !== 'predecessor') return;
    this.#place = 'here';
    for (const { name, running, ageMs } of records.slice(-NAMES_MAX))
      this.#set(name, {
        workerId: PREDECESSOR,
        claimId: 0,
        running,
        startedAt: ageMs === undefined ? NEVER : now() - ageMs,
        // scripts that are loaded here begin anew, as after a reload
        generation: NEVER,
      });
    this.#askAgain(now);
  }

  /** A run of the predecessor has ended. */
  predecessorEnded(name: string, completed: boolean, now: () => number): void {
    const entry = this.#entries.get(name);
    if (entry?.running && entry.workerId === PREDECESSOR) this.#end(name, entry, completed);
    this.#askAgain(now);
  }

  /** The predecessor has ended, and its runs with it. */
  predecessorGone(now: () => number): void {
    this.takeOver([], now);
    this.workerGone(PREDECESSOR);
    this.#askAgain(now);
  }

  /** A timer that is due at load is asked for once, so it must not be refused because a run before the upgrade goes on. */
  #hasToWait({ name, waitMs }: OnceClaim): boolean {
    if (this.#place === 'predecessor') return true;
    const entry = this.#entries.get(name);
    return waitMs === undefined && entry?.running === true && entry.workerId === PREDECESSOR;
  }

  #askAgain(now: () => number): void {
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const { workerId, claimId, claim, answer } of waiting)
      this.ask(workerId, claimId, claim, answer, now);
  }

  #set(name: string, entry: Entry): void {
    this.#entries.delete(name);
    this.#entries.set(name, entry);
    if (this.#entries.size > NAMES_MAX) this.#forgetOldest();
  }

  #end(name: string, entry: Entry, completed: boolean): void {
    entry.running = false;
    this.#tellSuccessor?.(name, completed);
    if (completed) return;
    entry.startedAt = NEVER;
    entry.generation = NEVER;
  }

  #forgetOldest(): void {
    const [oldest] = this.#entries.keys();
    if (oldest !== undefined) this.#entries.delete(oldest);
  }
}
