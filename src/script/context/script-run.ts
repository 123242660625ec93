/** What all runs of a script have in common: their budget, what they open, their tasks, and one way out. */
import { nextRequestNumber, requestIdOf } from '../../base/request-id.ts';
import { Scope } from '../../base/scope.ts';
import { OperationOwner } from '../../file/operation-queue.ts';
import type { Coroutine, LimitReached } from '../../lua/coroutine.ts';
import type { LuaThread } from '../../lua/lua-exports.ts';
import { takeTurn } from '../../lua/turns.ts';
import type { LuaRun, RunOwner } from '../run/lua-run.ts';
import type { RunLimits } from '../run/run-limits.ts';
import { RunProgress } from '../run/run-progress.ts';
import { TaskGroup } from '../run/task-group.ts';
import type { ScriptContext } from './script-context.ts';

/** The parts that few runs need are made when they are first asked for. */
export abstract class ScriptRun implements LuaRun, RunOwner {
  number: number = nextRequestNumber();
  cpuUsedMs = 0;
  place = -1;
  protected readonly script: ScriptContext;
  protected readonly limits: RunLimits;
  #coroutine: Coroutine | undefined;
  /** Its turn to begin, or to end, has not come yet. */
  #cancelTurn: (() => void) | undefined;
  /** The function has returned, and its tasks go on. */
  #returned = false;
  #ended = false;
  #scope: Scope | undefined;
  #operationOwner: OperationOwner | undefined;
  #tasks: TaskGroup | undefined;
  #progress: RunProgress | undefined;
  /** When the run was first seen silent, and how much it had moved then; -1: it has not been looked at. */
  #silentSince = 0;
  #silentBytes = -1;
  /** Processor time of before the budget was renewed, ms. */
  #renewedMs = 0;

  constructor(script: ScriptContext, limits: RunLimits) {
    this.script = script;
    this.limits = limits;
  }

  abstract get turnOwner(): object;
  abstract suspended(): void;
  abstract cancel(status: number): void;
  abstract checkTime(now: number): void;
  abstract logFields(): Record<string, string>;
  /** The function and all its tasks have ended well. `L` has the results of the function, when it was the last. */
  protected abstract complete(L?: LuaThread): void;
  /** Everything of the run has ended. */
  protected over(): void {}
  /** The function has returned, with its results on the stack of `L`, and its tasks go on. */
  protected outlived(_L: LuaThread): void {}

  get run(): LuaRun {
    return this;
  }

  get cpuLimitMs(): number {
    return this.limits.cpuLimitMs;
  }

  /** All that it has used, ms. */
  get cpuTotalMs(): number {
    return this.#renewedMs + this.cpuUsedMs;
  }

  renewBudget(): void {
    this.#renewedMs += this.cpuUsedMs;
    this.cpuUsedMs = 0;
  }

  get requestNumber(): number {
    return this.number;
  }

  get requestId(): string {
    return requestIdOf(this.script.workerId, this.number);
  }

  get scope(): Scope {
    this.#scope ??= new Scope();
    return this.#scope;
  }

  get operationOwner(): OperationOwner {
    this.#operationOwner ??= new OperationOwner(this.script.share);
    return this.#operationOwner;
  }

  get progress(): RunProgress {
    this.#progress ??= new RunProgress();
    return this.#progress;
  }

  get tasks(): TaskGroup {
    this.#tasks ??= new TaskGroup(() => this.tasksEnded());
    return this.#tasks;
  }

  protected get ended(): boolean {
    return this.#ended;
  }

  /** The coroutine of the function itself; undefined before it begins and when it has returned. */
  protected get coroutine(): Coroutine | undefined {
    if (this.#coroutine !== undefined) return this.#coroutine;
    const { current } = this.script.scheduler;
    return current?.owner === this ? current : undefined;
  }

  finished(L: LuaThread): void {
    this.#returned = true;
    if (this.#tasks === undefined || this.#tasks.size === 0) {
      this.complete(L);
      return;
    }
    this.outlived(L);
    this.#coroutine = undefined;
    this.suspended();
  }

  tasksEnded(): void {
    if (this.#returned && !this.#ended) this.complete();
  }

  failed(message: string, limit: LimitReached | undefined): void {
    if (this.#ended) return;
    const used =
      limit === undefined
        ? {}
        : { limit: limit.name, limitMs: limit.limitMs, usedMs: Math.round(limit.usedMs) };
    this.script.log.reportError(message, { ...this.logFields(), ...used });
    this.cancel(500);
  }

  /** Calls the function that `push` pushes with its arguments, whose number it returns. The run may have ended when this returns. */
  protected begin(push: (L: LuaThread) => number): void {
    const coroutine = this.script.scheduler.start(this, push, this);
    if (!this.#ended && !this.#returned) this.#coroutine = coroutine;
  }

  /** Goes on when it is the turn of its owner, unless it has ended by then. */
  protected goOnInTurn(goOn: () => void): void {
    this.#cancelTurn?.();
    this.#cancelTurn = takeTurn(this.turnOwner, () => {
      this.#cancelTurn = undefined;
      goOn();
    });
  }

  /** It moves nothing for a good reason: its silence begins later. */
  protected isExcused(): void {
    this.#silentBytes = -1;
  }

  /** Ends it when it has moved nothing for as long as it may: none of `written` bytes, and none of what it reads or stores. */
  protected checkSilence(now: number, written: number, what: string): void {
    const bytes = written + (this.#progress?.mark ?? 0);
    if (bytes !== this.#silentBytes) {
      this.#silentBytes = bytes;
      this.#silentSince = now;
    } else if (now - this.#silentSince >= this.limits.timeLimitMs)
      this.takenTooLong(`Time limit reached: ${what} has moved no bytes`, now - this.#silentSince);
  }

  /** Reports where it stood, and ends it. */
  protected takenTooLong(message: string, usedMs: number): void {
    this.script.log.reportError(this.#coroutine?.traceback(message) ?? message, {
      ...this.logFields(),
      limit: 'time',
      limitMs: this.limits.timeLimitMs,
      usedMs: Math.round(usedMs),
    });
    this.cancel(500);
  }

  /** Ends it, at once when it waits, at its next wait when it runs. */
  protected kill(): void {
    this.coroutine?.kill();
    this.end();
  }

  /** The one way out: what it has opened is closed, and its tasks end. */
  protected end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#cancelTurn?.();
    this.#coroutine = undefined;
    try {
      this.#tasks?.close();
    } finally {
      this.#scope?.close();
      this.over();
      this.script.runs.ended(this);
    }
  }
}
