/** One call of a hook that runs on its own: when a request is over, or before its state ends. A run without a client. */
import type { LuaThread } from '../../lua/lua-exports.ts';
import type { Reference } from '../../lua/state.ts';
import type { RunLimits } from '../run/run-limits.ts';
import type { HookPhase } from './hooks.ts';
import type { RequestTable } from './request-table.ts';
import type { ScriptContext } from './script-context.ts';
import { ScriptRun } from './script-run.ts';

/** The request that a hook runs for. */
export interface HookedRequest {
  /** The run that answered it: log lines of the hook join its own. */
  readonly answeredBy: { readonly requestId: string };
  /** Its tables, of which the run is a holder from then on. */
  readonly tables: RequestTable;
}

export class HookRun extends ScriptRun {
  readonly hasNoClient: string;
  readonly #phase: HookPhase;
  readonly #request: HookedRequest | undefined;
  #startedAt: number | undefined;
  #done: (() => void) | undefined;

  /** It counts as a run from now on, and begins with `start`. */
  constructor(
    script: ScriptContext,
    phase: HookPhase,
    limits: RunLimits,
    request: HookedRequest | undefined,
  ) {
    super(script, limits);
    this.hasNoClient = `called in a hook "${phase}", which has no client`;
    this.#phase = phase;
    this.#request = request;
    script.runs.started(this);
  }

  get turnOwner(): object {
    return this.script;
  }

  /** Log lines of the hook join those of its request. */
  override get requestId(): string {
    return this.#request?.answeredBy.requestId ?? super.requestId;
  }

  /** Calls the function, when it is its turn; `done` is called when that is over. */
  start(callback: Reference, pushArguments: (L: LuaThread) => number, done: () => void): void {
    if (this.ended) {
      done();
      return;
    }
    this.#done = done;
    this.#startedAt = performance.now();
    this.goOnInTurn(() =>
      this.begin((L) => {
        this.script.state.pushReference(L, callback);
        return pushArguments(L);
      }),
    );
    this.script.runs.watch();
  }

  pushRequest(L: LuaThread): void {
    if (this.#request === undefined) this.script.state.exports.lua_pushnil(L);
    else this.#request.tables.push(L, undefined);
  }

  pushEnvironment(L: LuaThread): void {
    if (this.#request === undefined) this.script.state.exports.lua_pushnil(L);
    else this.#request.tables.pushEnvironment(L, undefined);
  }

  logFields(): Record<string, string> {
    return { request: this.requestId, mapping: this.script.mappingName, hook: this.#phase };
  }

  suspended(): void {
    // nobody has to be told
  }

  cancel(): void {
    if (!this.ended) this.kill();
  }

  checkTime(now: number): void {
    if (this.#startedAt === undefined) return;
    const usedMs = now - this.#startedAt;
    if (usedMs >= this.limits.timeLimitMs)
      this.takenTooLong(`Time limit reached: the hook "${this.#phase}" still runs`, usedMs);
  }

  protected complete(): void {
    this.end();
  }

  protected override over(): void {
    this.#request?.tables.release();
    this.#done?.();
  }
}
