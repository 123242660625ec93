/** `httpd.spawn`, `httpd.wait` and `httpd.kill`. */

import type { Coroutine, LimitReached } from '../lua/coroutine.ts';
import { VmAbandoned } from '../lua/guard.ts';
import type { HostFunction } from '../lua/host-functions.ts';
import { LuaError } from '../lua/lua-error.ts';
import { LUA_TYPE, type LuaThread, NULL } from '../lua/lua-exports.ts';
import { pushFailure } from '../lua/push-failure.ts';
import { ScriptError } from '../lua/state.ts';
import { takeTurn } from '../lua/turns.ts';
import type { ScriptContext } from '../script/context/script-context.ts';
import { Handles } from '../script/objects/handles.ts';
import { checkArgumentCount } from '../script/run/argument-count.ts';
import { currentRun, type LuaRun } from '../script/run/lua-run.ts';
import { Task, type TaskWatch } from '../script/run/task.ts';
import { TASKS_MAX } from '../script/run/task-group.ts';

/** Where a traceback begins behind a message. */
const TRACEBACK = '\nstack traceback:\n';
/** Results of one task: moving them is work that no limit of time sees. */
const RESULTS_MAX = 1000;
/** What `httpd.wait` says of a task that was killed. */
const KILLED = 'killed';

export class TaskFunctions implements TaskWatch {
  readonly #script: ScriptContext;
  readonly #handles: Handles;
  /** Tasks that have not ended. */
  readonly #live = new Map<number, Task>();
  #lastNumber = 0;

  constructor(script: ScriptContext) {
    this.#script = script;
    this.#handles = new Handles(script.state, 'httpd.task', {});
  }

  /** For the module. */
  get functions(): Record<string, HostFunction> {
    return {
      spawn: (L) => this.#spawn(L),
      wait: (L) => this.#wait(L),
      kill: (L) => this.#kill(L),
    };
  }

  taskFinished(task: Task, L: LuaThread): void {
    const { exports: x } = this.#script.state;
    const count = x.lua_gettop(L);
    if (count > RESULTS_MAX) {
      const message = `Task returned ${count} values and the limit is ${RESULTS_MAX}`;
      this.#script.log.reportError(message, { ...task.run.logFields(), task: task.number });
      this.#fileMessage(task, message);
      return;
    }
    this.#fileResults(task, (T) => {
      this.#createRecord(T, true, count);
      // results fill the stack of a coroutine that has ended
      if (x.lua_checkstack(L, 1) === 0) throw new ScriptError('not enough memory');
      for (let i = 1; i <= count; i++) {
        x.lua_pushvalue(L, i);
        x.lua_xmove(L, T, 1);
        x.lua_rawseti(T, -2, BigInt(i + 2));
      }
    });
  }

  taskFailed(task: Task, message: string, limit: LimitReached | undefined): void {
    // a limit ends the whole run, and no code runs in a VM that is lost
    if (limit !== undefined || this.#script.state.abandoned) {
      task.run.failed(message, limit);
      return;
    }
    this.#script.log.reportError(message, { ...task.run.logFields(), task: task.number });
    const [text = message] = message.split(TRACEBACK, 1);
    this.#fileMessage(task, text);
  }

  taskEnded(task: Task): void {
    this.#live.delete(task.number);
    this.#script.share.give('tasks');
    this.#script.runs.countCoroutine(-1);
  }

  /** `spawn(fn, ...)`: a task, or nil, message, code. */
  #spawn(L: LuaThread): number {
    const { state, scheduler } = this.#script;
    const { exports: x } = state;
    x.luaL_checktype(L, 1, LUA_TYPE.function);
    const run = this.#checkRun('spawn');
    if (run.tasks.closed)
      return pushFailure(this.#script.state, L, {
        message: 'Cannot spawn: the request has ended',
        luaCode: 'closed',
      });
    if (run.tasks.size >= TASKS_MAX) {
      const message = `Cannot spawn: ${run.tasks.size} tasks run and the limit is ${TASKS_MAX}`;
      return pushFailure(this.#script.state, L, { message, luaCode: 'limit' });
    }
    this.#lastNumber += 1;
    const task = new Task(this.#lastNumber, run, this);
    // what may raise comes first
    this.#handles.push(L, task.number, run.number);
    x.lua_rotate(L, 1, 1);
    const refusal = this.#script.share.take('tasks');
    if (refusal !== undefined)
      return pushFailure(this.#script.state, L, { message: `Cannot spawn: ${refusal}`, luaCode: 'limit' });
    const coroutine = scheduler.prepare(task, L, x.lua_gettop(L) - 1, run);
    if (coroutine === undefined || state.abandoned) this.#script.share.give('tasks');
    // nothing may go on in a VM that has been given up
    if (state.abandoned) throw new VmAbandoned('');
    if (coroutine === undefined)
      return pushFailure(this.#script.state, L, {
        message: 'Cannot spawn: not enough memory',
        luaCode: 'limit',
      });
    this.#live.set(task.number, task);
    this.#script.runs.countCoroutine(1);
    task.start(coroutine);
    return 1;
  }

  /** `wait(task...)`: the first that has ended, true and its results, or false and a message. */
  #wait(L: LuaThread): number {
    const { state, scheduler } = this.#script;
    const count = checkArgumentCount(state, L, 'wait', 1, TASKS_MAX);
    const run = this.#checkRun('wait');
    const tasks = new Set<Task>();
    let first = 0;
    for (let i = count; i >= 1; i--) {
      const task = this.#checkTask(L, i, run);
      if (task === undefined) first = i;
      else tasks.add(task);
    }
    if (first !== 0) return this.#pushOutcome(L, first);
    const coroutine = scheduler.running;
    if (tasks.has(coroutine.owner as Task)) throw new LuaError('a task cannot wait for itself');
    return this.#waitFor(L, coroutine, tasks, count);
  }

  #waitFor(L: LuaThread, coroutine: Coroutine, tasks: ReadonlySet<Task>, count: number): number {
    if (!this.#script.scheduler.canWait(L))
      throw new LuaError('cannot wait for a task here: a yield cannot cross this call');
    let cancelTurn: (() => void) | undefined;
    const withdraw = (): void => {
      for (const task of tasks) task.removeWaiter(ended);
    };
    const ended = (): void => {
      withdraw();
      // tasks that wait for each other must not resume each other on one stack
      cancelTurn = takeTurn(coroutine.turnOwner, coroutine.goOn);
    };
    for (const task of tasks) task.addWaiter(ended);
    return coroutine.wait(
      L,
      (T) => {
        for (let i = 1; i < count; i++) if (this.#find(T, i) === undefined) return this.#pushOutcome(T, i);
        return this.#pushOutcome(T, count);
      },
      () => {
        withdraw();
        cancelTurn?.();
      },
    );
  }

  /** `kill(task)`: true, or false when it has ended before. */
  #kill(L: LuaThread): number {
    const { state, scheduler } = this.#script;
    checkArgumentCount(state, L, 'kill', 1);
    const task = this.#checkTask(L, 1, this.#checkRun('kill'));
    if (task !== undefined && scheduler.current?.owner === task) return this.#killItself(L, task);
    task?.kill();
    state.exports.lua_pushboolean(L, task === undefined ? 0 : 1);
    return 1;
  }

  /** It stops here and is ended from outside, as any other that waits. */
  #killItself(L: LuaThread, task: Task): number {
    const { scheduler } = this.#script;
    if (!scheduler.canWait(L)) throw new LuaError('a task cannot end here: a yield cannot cross this call');
    const cancelTurn = takeTurn(task.turnOwner, () => task.kill());
    return scheduler.running.wait(L, () => 0, cancelTurn);
  }

  #checkRun(name: string): LuaRun {
    const run = currentRun(this.#script.scheduler);
    if (run === undefined) throw new LuaError(`'${name}' called outside of a request or timer`);
    return run;
  }

  /** The task that argument `n` stands for; undefined when it has ended; raises when it is no task of `run`. */
  #checkTask(L: LuaThread, n: number, run: LuaRun): Task | undefined {
    const task = this.#find(L, n);
    if (this.#handles.owner(L, n) !== run.number)
      return this.#script.state.argumentError(L, n, 'task of another request or timer');
    return task;
  }

  #find(L: LuaThread, n: number): Task | undefined {
    const number = this.#handles.check(L, n);
    const task = number === undefined ? undefined : this.#live.get(number);
    // it may be ending: what it closes asks too
    return task?.ended === false ? task : undefined;
  }

  /** Pushes the task at index `n`, which has ended, and what came of it. */
  #pushOutcome(L: LuaThread, n: number): number {
    const { state } = this.#script;
    const { exports: x } = state;
    x.lua_pushvalue(L, n);
    const task = x.lua_gettop(L);
    const record = task + 1;
    if (this.#handles.pushEntry(L, task) !== LUA_TYPE.table) {
      state.pop(L);
      x.lua_pushboolean(L, 0);
      state.pushString(L, KILLED);
      return 3;
    }
    x.lua_rawgeti(L, record, 2n);
    const count = x.lua_tonumberx(L, -1, NULL);
    state.pop(L);
    if (x.lua_checkstack(L, count + 1) === 0) throw new LuaError('too many results to unpack');
    x.lua_rawgeti(L, record, 1n);
    for (let i = 1; i <= count; i++) x.lua_rawgeti(L, record, BigInt(i + 2));
    // task, record, ok, results → task, ok, results
    x.lua_rotate(L, record, -1);
    state.pop(L);
    return count + 2;
  }

  /** Pushes the table that `httpd.wait` reads: ok, number of results, and room for them. */
  #createRecord(L: LuaThread, ok: boolean, count: number): void {
    const { state } = this.#script;
    const { exports: x } = state;
    x.lua_createtable(L, count + 2, 0);
    x.lua_pushboolean(L, ok ? 1 : 0);
    x.lua_rawseti(L, -2, 1n);
    state.pushInteger(L, count);
    x.lua_rawseti(L, -2, 2n);
  }

  #fileMessage(task: Task, message: string): void {
    this.#fileResults(task, (T) => {
      this.#createRecord(T, false, 1);
      this.#script.state.pushString(T, message);
      this.#script.state.exports.lua_rawseti(T, -2, 3n);
    });
  }

  /** Files what `pushRecord` pushes on the main thread, unless nobody can ask for it any more. */
  #fileResults(task: Task, pushRecord: (T: LuaThread) => void): void {
    const { state, scheduler } = this.#script;
    const { exports: x, mainThread } = state;
    const top = x.lua_gettop(mainThread);
    const filed = scheduler.attempt(() => {
      if (!this.#handles.has(mainThread, task.number)) return;
      pushRecord(mainThread);
      this.#handles.file(mainThread, task.number);
    });
    if (!(filed instanceof ScriptError) || state.abandoned) return;
    x.lua_settop(mainThread, top);
    this.#script.log.reportError(`Results of a task are lost: ${filed.message}`, task.run.logFields());
  }
}
