/** One call of a timer's function: a run without a client, bounded in CPU time and in all its time. */

import { nextRequestNumber, requestIdOf } from '../../base/request-id.ts';
import { Scope } from '../../base/scope.ts';
import { OperationOwner } from '../../file/operation-queue.ts';
import type { Coroutine, LimitReached } from '../../lua/coroutine.ts';
import type { Reference } from '../../lua/state.ts';
import type { HandlerOptions, LoadedScript } from '../loaded-script.ts';
import type { LuaRun, RunOwner } from '../run/lua-run.ts';
import { RunProgress } from '../run/run-progress.ts';
import { TaskGroup } from '../run/task-group.ts';

export class TimerRun implements LuaRun, RunOwner {
  readonly number: number = nextRequestNumber();
  readonly scope: Scope = new Scope();
  readonly operationOwner: OperationOwner;
  readonly tasks: TaskGroup = new TaskGroup(() => this.tasksEnded());
  readonly progress: RunProgress = new RunProgress();
  cpuUsedMs = 0;
  readonly hasNoClient = 'called in a timer, which has no client';
  readonly #script: LoadedScript;
  readonly #timerNumber: number;
  readonly #limits: HandlerOptions;
  readonly #startedAt: number = performance.now();
  readonly #done: () => void;
  #coroutine: Coroutine | undefined;
  #returned = false;
  #ended = false;

  /** `done` is called when everything of the run has ended. */
  constructor(script: LoadedScript, timerNumber: number, limits: HandlerOptions, done: () => void) {
    this.#script = script;
    this.operationOwner = new OperationOwner(script.share);
    this.#timerNumber = timerNumber;
    this.#limits = limits;
    this.#done = done;
  }

  get run(): LuaRun {
    return this;
  }

  get turnOwner(): object {
    return this.#script;
  }

  get cpuLimitMs(): number {
    return this.#limits.cpuLimitMs;
  }

  get requestId(): string {
    return requestIdOf(this.#script.workerId, this.number);
  }

  /** Calls the function. It may have ended when this returns. */
  start(callback: Reference): void {
    this.#script.runStarted(this);
    const coroutine = this.#script.scheduler.start(
      this,
      (L) => {
        this.#script.state.pushReference(L, callback);
        return 0;
      },
      this,
    );
    if (!this.#ended && !this.#returned) this.#coroutine = coroutine;
    this.#script.watchRuns();
  }

  logFields(): Record<string, string> {
    return {
      request: this.requestId,
      mapping: this.#script.prefix,
      timer: String(this.#timerNumber),
    };
  }

  suspended(): void {
    // nobody has to be told
  }

  finished(): void {
    this.#returned = true;
    this.#coroutine = undefined;
    if (this.tasks.size === 0) this.#end();
  }

  tasksEnded(): void {
    if (this.#returned) this.#end();
  }

  failed(message: string, limit: LimitReached | undefined): void {
    if (this.#ended) return;
    const used =
      limit === undefined
        ? {}
        : { limit: limit.name, limitMs: limit.limitMs, usedMs: Math.round(limit.usedMs) };
    this.#script.reportError(message, { ...this.logFields(), ...used });
    this.cancel();
  }

  cancel(): void {
    if (this.#ended) return;
    const coroutine = this.#coroutine ?? this.#script.scheduler.current;
    if (coroutine?.owner === this) coroutine.kill();
    this.#end();
  }

  checkTime(now: number): void {
    const { timeLimitMs } = this.#limits;
    const usedMs = now - this.#startedAt;
    if (usedMs < timeLimitMs) return;
    const message = 'Time limit reached: the timer still runs';
    this.#script.reportError(this.#coroutine?.traceback(message) ?? message, {
      ...this.logFields(),
      limit: 'time',
      limitMs: timeLimitMs,
      usedMs: Math.round(usedMs),
    });
    this.cancel();
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#coroutine = undefined;
    try {
      this.tasks.close();
    } finally {
      this.scope.close();
      this.#script.runEnded(this);
      this.#done();
    }
  }
}
