/**
 * Gives leave to run timers that run in one worker only: among the workers of this process by the registry and, where machines share a store, among
 * all machines by a lease. Each leave has a fence.
 */
import type { Logger } from '../base/logger.ts';
import type { Lease, LeaseRefusal, Leases } from '../fleet/leases.ts';
import type { OnceClaim } from '../worker/messages.ts';
import { type OnceRegistry, WAITED_SHARE } from './once-registry.ts';

/** Before the store is asked again for a timer that runs once only. */
const ASK_AGAIN_MS = 1000;
/** Claims that wait for the store; beyond that they are refused. Each timer of a worker has one at most. */
const WAITING_MAX = 10_000;

/** Who asks, and how it hears. */
export interface OnceAsker {
  readonly workerId: number;
  readonly claimId: number;
  readonly claim: OnceClaim;
  /** Called once; undefined: another runs it. */
  answer(fence: number | undefined): void;
  /** The leave is over though the run is not: another machine may have it. */
  revoke(): void;
}

export class OnceRuns {
  readonly #registry: OnceRegistry;
  readonly #leases: () => Leases | undefined;
  readonly #logger: Logger;
  /** Those that wait for the store, and what it has given, by worker and claim. */
  readonly #asking = new Map<string, OnceAsker>();
  readonly #held = new Map<string, { readonly workerId: number; readonly lease: Lease }>();
  #lastFence = 0;

  /** `leases` undefined: there is this machine only. */
  constructor(registry: OnceRegistry, leases: () => Leases | undefined, logger: Logger) {
    this.#registry = registry;
    this.#leases = leases;
    this.#logger = logger;
  }

  ask(asker: OnceAsker): void {
    const { workerId, claimId, claim } = asker;
    const decided = (granted: boolean): void => {
      if (!granted) asker.answer(undefined);
      else if (this.#leases() === undefined) asker.answer(this.#nextFence());
      else if (this.#asking.size >= WAITING_MAX) this.#refuse(asker, false);
      else {
        this.#asking.set(keyOf(workerId, claimId), asker);
        this.#askStore(asker);
      }
    };
    this.#registry.ask(workerId, claimId, claim, decided, () => performance.now());
  }

  /** A run has ended. `completed` false: it was lost, and the next one who asks may make up for it. */
  release(workerId: number, claimId: number, completed: boolean): void {
    this.#registry.release(workerId, claimId, completed);
    const key = keyOf(workerId, claimId);
    this.#held.get(key)?.lease.release(completed);
    this.#held.delete(key);
  }

  /** The worker's thread has ended. */
  workerGone(workerId: number): void {
    this.#registry.workerGone(workerId);
    for (const [key, asker] of this.#asking) if (asker.workerId === workerId) this.#asking.delete(key);
    for (const [key, held] of this.#held) {
      if (held.workerId !== workerId) continue;
      held.lease.release(false);
      this.#held.delete(key);
    }
  }

  #askStore(asker: OnceAsker): void {
    const { workerId, claimId, claim } = asker;
    const key = keyOf(workerId, claimId);
    const ageMs = (claim.waitMs ?? claim.everyMs ?? 0) * WAITED_SHARE;
    this.#leases()?.take(
      claim.name,
      ageMs,
      (outcome) => {
        const isWanted = this.#asking.get(key) === asker;
        if (isLease(outcome)) {
          if (!isWanted) outcome.release(false);
          else {
            this.#asking.delete(key);
            this.#held.set(key, { workerId, lease: outcome });
            asker.answer(outcome.fence);
          }
        } else if (!isWanted) return;
        else if (outcome === 'held' || outcome === 'early') {
          this.#asking.delete(key);
          this.#refuse(asker, true);
        } else if (claim.everyMs === undefined)
          // nobody would ask for it again
          setTimeout(() => this.#asking.get(key) === asker && this.#askStore(asker), ASK_AGAIN_MS).unref();
        else {
          this.#asking.delete(key);
          this.#refuse(asker, false);
        }
      },
      () => this.#lost(asker),
    );
  }

  #lost(asker: OnceAsker): void {
    const { workerId, claimId, claim } = asker;
    const key = keyOf(workerId, claimId);
    if (!this.#held.delete(key)) return;
    this.#registry.release(workerId, claimId, false);
    const [mapping = '', timer] = claim.name.split('\0');
    const reason = 'this machine stood still or could not reach the store, and another may run it now';
    this.#logger.warn(`A timer with once was ended: ${reason}`, { mapping, timer });
    asker.revoke();
  }

  /** `done`: the run of this time is another's. */
  #refuse({ workerId, claimId, answer }: OnceAsker, done: boolean): void {
    this.#registry.release(workerId, claimId, done);
    answer(undefined);
  }

  /** From the clock, so that it counts up over restarts, too. */
  #nextFence(): number {
    this.#lastFence = Math.max(this.#lastFence + 1, Date.now());
    return this.#lastFence;
  }
}

/** Without the class, which comes with all that talks to stores. */
function isLease(outcome: Lease | LeaseRefusal): outcome is Lease {
  return typeof outcome === 'object' && 'fence' in outcome;
}

function keyOf(workerId: number, claimId: number): string {
  return `${workerId} ${claimId}`;
}
