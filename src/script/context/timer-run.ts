/** One call of a timer's function: a run without a client, bounded in CPU time and in all its time. */
import type { Reference } from '../../lua/state.ts';
import type { RunLimits } from '../run/run-limits.ts';
import type { ScriptContext } from './script-context.ts';
import { ScriptRun } from './script-run.ts';

export class TimerRun extends ScriptRun {
  readonly hasNoClient = 'called in a timer, which has no client';
  readonly #timerNumber: number;
  readonly #startedAt: number = performance.now();
  readonly #done: () => void;

  /** `done` is called when everything of the run has ended. */
  constructor(script: ScriptContext, timerNumber: number, limits: RunLimits, done: () => void) {
    super(script, limits);
    this.#timerNumber = timerNumber;
    this.#done = done;
  }

  get turnOwner(): object {
    return this.script;
  }

  /** Calls the function, with the fence where only one worker runs it. It may have ended when this returns. */
  start(callback: Reference, fence: number | undefined): void {
    this.script.runs.started(this);
    this.begin((L) => {
      this.script.state.pushReference(L, callback);
      if (fence === undefined) return 0;
      this.script.state.pushInteger(L, fence);
      return 1;
    });
    this.script.runs.watch();
  }

  logFields(): Record<string, string> {
    return {
      request: this.requestId,
      mapping: this.script.mappingName,
      timer: String(this.#timerNumber),
    };
  }

  suspended(): void {
    // nobody has to be told
  }

  cancel(): void {
    if (!this.ended) this.kill();
  }

  checkTime(now: number): void {
    const usedMs = now - this.#startedAt;
    if (usedMs >= this.limits.timeLimitMs)
      this.takenTooLong('Time limit reached: the timer still runs', usedMs);
  }

  protected complete(): void {
    this.end();
  }

  protected override over(): void {
    this.#done();
  }
}
