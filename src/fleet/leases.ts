/**
 * What only one machine is to do at a time: whoever has a lease does it, and prolongs the lease until it is done. A lease whose machine is gone
 * ends by itself. Each has a fence, a number that is higher than those of all before: by it a holder that was late is told from the next one.
 */
import { GatewayError } from '../base/errors.ts';
import { AtomicSteps } from '../store/atomic-steps.ts';
import { ReplyError } from '../store/resp-reply.ts';
import type { StoreClient } from '../store/store-client.ts';
import { replyFailure } from '../store/store-failures.ts';

/** A machine that was not heard of for so long is taken for gone. Steps.lua knows none of more than a minute. */
export const LEASE_MS = 10_000;
/** Often enough that two tries may fail. */
const RENEW_MS = 3000;
const CALL_TIMEOUT_MS = 1000;

/** Why there is no lease: somebody has it; what it is for was done a moment ago; the store has not said. */
export type LeaseRefusal = 'held' | 'early' | GatewayError;

export interface LeaseTimes {
  readonly leaseMs: number;
  readonly renewMs: number;
}

export class Lease {
  readonly fence: number;
  readonly #leases: Leases;
  readonly #key: string;
  readonly #lost: () => void;
  /** Until then nobody else can have it: milliseconds of `performance.now()`, counted from before it was asked for. */
  #goodUntil: number;
  #timer: NodeJS.Timeout | undefined;
  #isOver = false;

  constructor(leases: Leases, key: string, fence: number, goodUntil: number, lost: () => void) {
    this.#leases = leases;
    this.#key = key;
    this.fence = fence;
    this.#goodUntil = goodUntil;
    this.#lost = lost;
    this.#plan();
  }

  /** Nobody else can have it at this moment. */
  get isGood(): boolean {
    return !this.#isOver && performance.now() < this.#goodUntil;
  }

  /** `completed` false: what it was for was not done, and another may do it at once. May be called again. */
  release(completed: boolean): void {
    if (this.#isOver) return;
    this.#end();
    this.#leases.run('release', this.#key, [String(this.fence), completed ? '1' : '0'], () => undefined);
  }

  #end(): void {
    this.#isOver = true;
    clearTimeout(this.#timer);
  }

  #plan(): void {
    const waitMs = Math.min(this.#leases.times.renewMs, Math.max(0, this.#goodUntil - performance.now()));
    this.#timer = setTimeout(() => this.#renew(), waitMs);
    this.#timer.unref();
  }

  #renew(): void {
    const askedAt = performance.now();
    if (askedAt >= this.#goodUntil) {
      // the process stood still, or the store was away
      this.release(false);
      this.#lost();
      return;
    }
    const { leaseMs } = this.#leases.times;
    this.#leases.run('renew', this.#key, [String(this.fence), String(leaseMs)], (outcome) => {
      if (this.#isOver) return;
      if (outcome === 0) {
        this.#end();
        this.#lost();
      } else if (outcome === 1) this.#goodUntil = askedAt + leaseMs;
    });
    this.#plan();
  }
}

export class Leases {
  readonly times: LeaseTimes;
  readonly #place: string;
  readonly #steps: AtomicSteps;

  constructor(client: StoreClient, times: LeaseTimes = { leaseMs: LEASE_MS, renewMs: RENEW_MS }) {
    this.#place = client.place;
    this.#steps = new AtomicSteps(client);
    this.times = times;
  }

  /**
   * Takes the lease of this name, unless what it is for began less than `ageMs` ago. `done` is called once; `lost` when the lease is over though it
   * was not given back, and at most once.
   */
  take(name: string, ageMs: number, done: (outcome: Lease | LeaseRefusal) => void, lost: () => void): void {
    // no dictionary has an empty name
    const key = `lg::lease:${name}`;
    const askedAt = performance.now();
    const { leaseMs } = this.times;
    this.run('claim', key, [String(leaseMs), String(Math.ceil(ageMs))], (outcome) => {
      if (outcome instanceof GatewayError) done(outcome);
      else if (outcome === -1) done('held');
      else if (outcome === -2) done('early');
      else done(new Lease(this, key, outcome, askedAt + leaseMs, lost));
    });
  }

  /** For leases. */
  run(
    step: 'claim' | 'renew' | 'release',
    key: string,
    words: readonly string[],
    done: (outcome: number | GatewayError) => void,
  ): void {
    this.#steps.run(step, key, words, CALL_TIMEOUT_MS, (outcome) => {
      if (outcome instanceof GatewayError) done(outcome);
      else if (outcome instanceof ReplyError) done(replyFailure(this.#place, outcome));
      else if (typeof outcome === 'number') done(outcome);
      else done(replyFailure(this.#place, new ReplyError('a step has given no number')));
    });
  }
}
