/** The timers of one script, and `httpd.timer`. */

import type { HostFunction } from '../../lua/host-functions.ts';
import { LuaError } from '../../lua/lua-error.ts';
import { LUA_TYPE, type LuaThread, NULL } from '../../lua/lua-exports.ts';
import { type Failure, pushFailure } from '../../lua/push-failure.ts';
import { Handles } from '../objects/handles.ts';
import { checkArgumentCount } from '../run/argument-count.ts';
import { readOptionTable, stringOption } from '../run/option-table.ts';
import type { RunLimits } from '../run/run-limits.ts';
import { checkSeconds, SECONDS_MAX } from '../run/seconds.ts';
import type { ScriptContext } from './script-context.ts';
import { type OnceClaims, ScriptTimer, type TimerOptions } from './script-timer.ts';

export type { OnceClaims } from './script-timer.ts';

/** Timers of one state, waiting or running: as many as a page of jobs may need, and few enough to be no storm. */
const TIMERS_MAX = 1000;
/** Shorter periods would be a loop. */
const EVERY_SECONDS_MIN = 0.001;
/** Bytes of a name for `once`: the supervisor remembers it. */
const ONCE_NAME_BYTES_MAX = 64;
const MS_PER_SECOND = 1000;

export class Timers {
  /** `httpd.timer`. */
  readonly create: HostFunction = (L) => this.#create(L);
  readonly #script: ScriptContext;
  readonly #claims: OnceClaims;
  readonly #handles: Handles;
  readonly #timers = new Map<number, ScriptTimer>();
  #lastNumber = 0;
  #status: 'loading' | 'serving' | 'retired' = 'loading';
  #graceTimer: NodeJS.Timeout | undefined;

  constructor(script: ScriptContext, claims: OnceClaims) {
    this.#script = script;
    this.#claims = claims;
    this.#handles = new Handles(script.state, 'httpd.timer', { cancel: (L) => this.#cancel(L) });
  }

  /** Timers that wait or run. */
  get count(): number {
    return this.#timers.size;
  }

  /** Those that were started while the script was loaded begin to count; they are due after `holdMs` at the earliest. */
  begin(holdMs: number): void {
    if (this.#status !== 'loading') return;
    this.#status = 'serving';
    for (const timer of this.#timers.values()) timer.start(true, holdMs);
  }

  /** Cancels those that wait; those that run have `graceMs` to end. */
  retire(graceMs: number): void {
    if (this.#status === 'retired') return;
    this.#status = 'retired';
    for (const timer of [...this.#timers.values()]) timer.cancel();
    if (this.#timers.size === 0) return;
    this.#graceTimer = setTimeout(() => this.#endRuns(), graceMs);
    this.#graceTimer.unref();
  }

  /** Ends all of them now. */
  close(): void {
    this.#status = 'retired';
    clearTimeout(this.#graceTimer);
    for (const timer of [...this.#timers.values()]) timer.cancel();
    for (const timer of [...this.#timers.values()]) timer.endRun();
  }

  #endRuns(): void {
    for (const timer of [...this.#timers.values()]) {
      if (timer.running)
        this.#script.logger.warn('Timer ended: its script has been replaced', {
          mapping: this.#script.mappingName,
          timer: timer.number,
        });
      timer.endRun();
    }
  }

  /** `timer(delay, fn [, options])`: a timer, or nil, message, code. */
  #create(L: LuaThread): number {
    const { state } = this.#script;
    const { exports: x } = state;
    checkArgumentCount(state, L, 'timer', 2, 3);
    const delayMs = checkSeconds(state, L, 1);
    x.luaL_checktype(L, 2, LUA_TYPE.function);
    const options = this.#readOptions(L, delayMs);
    // what may raise comes first
    this.#handles.push(L, this.#lastNumber + 1, 0);
    x.lua_pushvalue(L, 2);
    const failure = this.#start(L, options);
    return failure === undefined ? 1 : pushFailure(state, L, failure);
  }

  /** Calls the function on top of the stack, which is popped, as soon as the script serves. */
  startAtOnce(L: LuaThread): Failure | undefined {
    return this.#start(L, { delayMs: 0, everyMs: undefined, once: undefined, limits: this.#script.limits });
  }

  /** Starts a timer of the next number for the function on top of the stack, which is popped. */
  #start(L: LuaThread, options: TimerOptions): Failure | undefined {
    const script = this.#script;
    if (this.#status === 'retired')
      return { message: 'Cannot start a timer: the script has been replaced', luaCode: 'closed' };
    if (this.#timers.size >= TIMERS_MAX) {
      const message = `Cannot start a timer: ${this.#timers.size} wait or run and the limit is ${TIMERS_MAX}`;
      return { message, luaCode: 'limit' };
    }
    const callback = script.state.keep(L);
    const refusal = script.share.take('timers', this.#status === 'loading');
    if (refusal !== undefined) {
      script.state.release(callback);
      return { message: `Cannot start a timer: ${refusal}`, luaCode: 'limit' };
    }
    this.#lastNumber += 1;
    const timer = new ScriptTimer(this.#lastNumber, callback, script, options, this.#claims, (ended) =>
      this.#forget(ended),
    );
    this.#timers.set(timer.number, timer);
    if (this.#status === 'serving') timer.start(false);
    return undefined;
  }

  /** `timer:cancel()`: true, or false when no run would have come any more. */
  #cancel(L: LuaThread): number {
    const number = this.#handles.check(L, 1);
    const timer = number === undefined ? undefined : this.#timers.get(number);
    this.#script.state.exports.lua_pushboolean(L, timer?.cancel() === true ? 1 : 0);
    return 1;
  }

  #forget(timer: ScriptTimer): void {
    this.#timers.delete(timer.number);
    this.#script.share.give('timers');
    if (!this.#script.state.closed) this.#script.state.release(timer.callback);
    if (this.#timers.size === 0) clearTimeout(this.#graceTimer);
  }

  #readOptions(L: LuaThread, delayMs: number): TimerOptions {
    const { state, limits } = this.#script;
    let everyMs: number | undefined;
    let once: string | undefined;
    const own: { -readonly [K in keyof RunLimits]: RunLimits[K] } = { ...limits };
    const limit = (name: string): number => {
      const seconds = this.#seconds(L);
      if (!(seconds >= 0)) throw new LuaError(`option "${name}" has to be a number of seconds, 0 or more`);
      return seconds === 0 ? Number.POSITIVE_INFINITY : seconds * MS_PER_SECOND;
    };
    readOptionTable(state, L, 3, 'timer', {
      every: () => {
        const seconds = this.#seconds(L);
        if (!(seconds >= EVERY_SECONDS_MIN && seconds <= SECONDS_MAX)) {
          const range = `from ${EVERY_SECONDS_MIN} to ${SECONDS_MAX}`;
          throw new LuaError(`option "every" has to be a number of seconds ${range}`);
        }
        everyMs = seconds * MS_PER_SECOND;
      },
      once: (name) => {
        once = stringOption(state, L, name);
        if (once.length === 0 || once.length > ONCE_NAME_BYTES_MAX)
          throw new LuaError(`option "once" has to be a name of 1 to ${ONCE_NAME_BYTES_MAX} bytes`);
      },
      cpu: (name) => {
        own.cpuLimitMs = limit(name);
      },
      timeout: (name) => {
        own.timeLimitMs = limit(name);
      },
    });
    return { delayMs, everyMs, once, limits: own };
  }

  /** The number on top of the stack; NaN for anything else. */
  #seconds(L: LuaThread): number {
    const { exports: x } = this.#script.state;
    return x.lua_type(L, -1) === LUA_TYPE.number ? x.lua_tonumberx(L, -1, NULL) : Number.NaN;
  }
}
