/** One timer of a script: when it is due, who runs it where only one worker is to, and that its runs never overlap. */
import type { Reference } from '../../lua/state.ts';
import { takeTurn } from '../../lua/turns.ts';
import type { RunLimits } from '../run/run-limits.ts';
import type { ScriptContext } from './script-context.ts';
import { TimerRun } from './timer-run.ts';

/** Leave to run a timer, given to one worker of all. */
export interface OnceGrant {
  /** Higher than that of every run before, whoever had it: who gets something from two runs knows the older by it. */
  readonly fence: number;
  /** Called when the leave is over although the run may go on: another may have got it. */
  onRevoked: (() => void) | undefined;
  /** The run has ended. `completed` false: it was lost on the way, and another may make up for it. */
  release(completed: boolean): void;
}

/** Decides which of all workers runs a timer with `once`. */
export interface OnceClaims {
  /**
   * Asks for leave to run the timer `name` now; `answer` is called later, with undefined when another worker runs it.
   * `waitMs`: how long this one has waited for it; undefined: since its script was loaded. `everyMs`: its period, if it has one.
   */
  claim(
    name: string,
    times: { readonly waitMs: number | undefined; readonly everyMs: number | undefined },
    answer: (grant: OnceGrant | undefined) => void,
  ): void;
}

export interface TimerOptions {
  readonly delayMs: number;
  /** Time from one run to the next; undefined: it runs once. */
  readonly everyMs: number | undefined;
  /** Only one worker of all runs the timers of this name. */
  readonly once: string | undefined;
  readonly limits: RunLimits;
}

export class ScriptTimer {
  readonly number: number;
  readonly callback: Reference;
  readonly #script: ScriptContext;
  readonly #options: TimerOptions;
  readonly #claims: OnceClaims;
  readonly #ended: (timer: ScriptTimer) => void;
  #dueAt = 0;
  /** How long it waits for the next run, ms; undefined: since its script was loaded. */
  #waitMs: number | undefined;
  #handle: NodeJS.Timeout | undefined;
  #cancelTurn: (() => void) | undefined;
  #claiming = false;
  #run: TimerRun | undefined;
  /** No run will begin any more. */
  #over = false;
  #forgotten = false;

  /** `ended` is told once, when it has no run and will have none; `callback` is the caller's. */
  constructor(
    number: number,
    callback: Reference,
    script: ScriptContext,
    options: TimerOptions,
    claims: OnceClaims,
    ended: (timer: ScriptTimer) => void,
  ) {
    this.number = number;
    this.callback = callback;
    this.#script = script;
    this.#options = options;
    this.#claims = claims;
    this.#ended = ended;
  }

  get running(): boolean {
    return this.#run !== undefined;
  }

  /** The delay begins. `atLoad`: the timer was started while its script was loaded, as in every other worker. */
  start(atLoad: boolean, holdMs = 0): void {
    const now = performance.now();
    this.#dueAt = now + Math.max(this.#options.delayMs, holdMs);
    this.#waitMs = atLoad ? undefined : this.#options.delayMs;
    this.#arm(now);
  }

  /** Lets no run begin any more; one that has begun goes on. False when none would have come anyway. */
  cancel(): boolean {
    if (this.#over) return false;
    this.#over = true;
    clearTimeout(this.#handle);
    const wasWaiting = this.#cancelTurn !== undefined || this.#run === undefined || this.#repeats;
    this.#cancelTurn?.();
    this.#cancelTurn = undefined;
    this.#forgetIfDone();
    return wasWaiting;
  }

  /** Ends a run that is under way. */
  endRun(): void {
    this.#run?.cancel();
  }

  get #repeats(): boolean {
    return this.#options.everyMs !== undefined;
  }

  #arm(now: number): void {
    this.#handle = setTimeout(() => this.#due(), Math.max(0, Math.ceil(this.#dueAt - now)));
  }

  #due(): void {
    const now = performance.now();
    const waitMs = this.#waitMs;
    // a run that is late leaves out those it has missed
    const isBusy = this.#run !== undefined || this.#claiming || this.#cancelTurn !== undefined;
    const { everyMs, once } = this.#options;
    if (everyMs !== undefined) {
      // the period, however late this one is: else two workers that are late would share one
      this.#waitMs = everyMs;
      this.#dueAt += Math.max(1, Math.ceil((now - this.#dueAt) / everyMs)) * everyMs;
      this.#arm(now);
    }
    if (isBusy) return;
    if (once === undefined) this.#takeTurn(undefined);
    else {
      this.#claiming = true;
      this.#claims.claim(once, { waitMs, everyMs }, (grant) => this.#answered(grant));
    }
  }

  #answered(grant: OnceGrant | undefined): void {
    this.#claiming = false;
    if (this.#over) {
      grant?.release(false);
      this.#forgetIfDone();
    } else if (grant !== undefined) this.#takeTurn(grant);
    else if (!this.#repeats) {
      this.#over = true;
      this.#forgetIfDone();
    }
  }

  /** Many may be due at once. */
  #takeTurn(grant: OnceGrant | undefined): void {
    const cancelTurn = takeTurn(this.#script, () => {
      this.#cancelTurn = undefined;
      this.#begin(grant);
    });
    this.#cancelTurn = () => {
      cancelTurn();
      grant?.release(false);
    };
    if (grant === undefined) return;
    grant.onRevoked = () => {
      this.#run?.cancel();
      this.#cancelTurn?.();
      this.#cancelTurn = undefined;
      if (!this.#repeats) this.#over = true;
      this.#forgetIfDone();
    };
  }

  #begin(grant: OnceGrant | undefined): void {
    if (!this.#repeats) this.#over = true;
    const run = new TimerRun(this.#script, this.number, this.#options.limits, () => {
      if (grant !== undefined) grant.onRevoked = undefined;
      grant?.release(!this.#script.state.closed);
      this.#run = undefined;
      this.#forgetIfDone();
    });
    this.#run = run;
    run.start(this.callback, grant?.fence);
  }

  #forgetIfDone(): void {
    if (!this.#over || this.#run !== undefined || this.#claiming || this.#forgotten) return;
    this.#forgotten = true;
    this.#ended(this);
  }
}
