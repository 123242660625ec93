/** The hooks of one script: which functions it wants to be called at which moments (`httpd.hook`). */
import type { HeadReviser } from '../../http/exchange/exchange.ts';
import type { LazyTables } from '../../lua/lazy-tables.ts';
import type { LuaThread } from '../../lua/lua-exports.ts';
import { type Reference, ScriptError, type State } from '../../lua/state.ts';
import type { LuaRun, RunOwner } from '../run/lua-run.ts';
import { RateLimit } from './rate-limit.ts';

/** The moments that have hooks. */
export const HOOK_PHASES = ['start', 'stop', 'request', 'response', 'log', 'abort'] as const;
export type HookPhase = (typeof HOOK_PHASES)[number];

/** Functions of one phase; each costs every request a call. */
export const HOOKS_MAX = 64;

/** Those that are called for a request, and not once in the life of a state. */
const OF_REQUESTS: ReadonlySet<HookPhase> = new Set(['request', 'response', 'log', 'abort']);

/** Calls of hooks `log` and `abort` that run at once: far more than a store that answers leaves waiting. */
const LATE_RUNS_MAX = 1000;
/** Lines in the log that say that some are left out, per second. */
const WARNINGS_PER_SECOND_MAX = 1;

/** Bounds what is under way of hooks that run when their requests are over, and nobody waits for them any more. */
class LateRuns {
  #running = 0;
  readonly #warnings = new RateLimit(WARNINGS_PER_SECOND_MAX);

  /** Undefined: one more may begin, and `end` follows. Otherwise why not; empty where that has been said already. */
  begin(): string | undefined {
    if (this.#running >= LATE_RUNS_MAX) {
      if (this.#warnings.admit() === undefined) return '';
      return `Calls of hooks left out: ${this.#running} run and the limit is ${LATE_RUNS_MAX}`;
    }
    this.#running += 1;
    return undefined;
  }

  end(): void {
    this.#running -= 1;
  }
}

/** What runs the hooks `response`: made by whoever knows the functions of `httpd`. */
export interface HeadHooks {
  /** Gives a run's reviser, which calls them. */
  createReviser(run: LuaRun & RunOwner): HeadReviser;
  /** Takes one more, on top of the stack, which is popped. */
  add(L: LuaThread): void;
}

export class Hooks {
  readonly #state: State;
  readonly #lazyTables: LazyTables;
  readonly #counts = new Map<HookPhase, number>();
  readonly #functions = new Map<HookPhase, Reference[]>();
  #ofHeads: HeadHooks | undefined;
  #refusal: string | undefined;
  readonly late: LateRuns = new LateRuns();
  /** Some of them run before handlers. */
  areBefore = false;
  /** Some of those take the tables of the request. */
  takeTables = false;
  /** Some of them see heads. */
  areOfHeads = false;
  /** Some of them run when a request is over. */
  areAtEnd = false;

  constructor(state: State, lazyTables: LazyTables) {
    this.#state = state;
    this.#lazyTables = lazyTables;
  }

  set ofHeads(ofHeads: HeadHooks) {
    this.#ofHeads = ofHeads;
  }

  get ofHeads(): HeadHooks {
    if (this.#ofHeads === undefined) throw new Error('hooks of heads are there when a script may add one');
    return this.#ofHeads;
  }

  /** Requests have hooks. */
  get areForRequests(): boolean {
    return this.areBefore || this.areAround;
  }

  /** Requests have hooks that concern more than the call of their handler. */
  get areAround(): boolean {
    return this.areOfHeads || this.areAtEnd;
  }

  /** Why requests of this script have no hooks; undefined: they may have some. */
  get refusal(): string | undefined {
    return this.#refusal;
  }

  /** Requests of this script can have no hooks; throws when they have some. */
  refuseForRequests(reason: string): void {
    if (this.areForRequests) throw new ScriptError(reason);
    this.#refusal = reason;
  }

  isForRequests(phase: HookPhase): boolean {
    return OF_REQUESTS.has(phase);
  }

  count(phase: HookPhase): number {
    return this.#counts.get(phase) ?? 0;
  }

  /** Takes the function on top of the stack, which is popped. */
  add(phase: HookPhase, L: LuaThread): void {
    if (phase === 'request') {
      this.takeTables ||= this.#lazyTables.takesTables(L);
      this.#lazyTables.precede(L);
      this.areBefore = true;
    } else if (phase === 'response') {
      this.ofHeads.add(L);
      this.areOfHeads = true;
    } else {
      const functions = this.#functions.get(phase) ?? [];
      functions.push(this.#state.keep(L));
      this.#functions.set(phase, functions);
      this.areAtEnd ||= OF_REQUESTS.has(phase);
    }
    if (this.areAround) this.#lazyTables.keepTables(L);
    this.#counts.set(phase, this.count(phase) + 1);
  }

  /** Those that have a run of their own each. */
  functions(phase: 'stop' | 'log' | 'abort'): readonly Reference[] {
    return this.#functions.get(phase) ?? NONE;
  }
}

const NONE: readonly Reference[] = [];
