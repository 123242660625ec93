/** What a run of Lua code is to the libraries: a call of a handler or of a timer, with its tasks and all it has opened. */
import type { Scope } from '../../base/scope.ts';
import type { TraceContext } from '../../base/trace-context.ts';
import type { OperationOwner } from '../../file/operation-queue.ts';
import type { Exchange } from '../../http/exchange/exchange.ts';
import type { CoroutineOwner, CpuBudget, LimitReached } from '../../lua/coroutine.ts';
import type { CoroutineScheduler } from '../../lua/coroutine-scheduler.ts';
import type { LuaThread } from '../../lua/lua-exports.ts';
import type { RunProgress } from './run-progress.ts';
import type { TaskGroup } from './task-group.ts';

/** One run. Its coroutines share one CPU budget. */
export interface LuaRun extends CpuBudget {
  /** Unique in this worker. */
  readonly number: number;
  /** Where the table of runs has it; the table sets it. */
  place: number;
  /** Joins log lines, also where there is no request. */
  readonly requestId: string;
  /** Why the functions for a client cannot be used; undefined in a handler. */
  readonly hasNoClient?: string;
  /** Pushes the request that it answers, or was started by, as its script knows it; undefined: it has none. */
  pushRequest?(L: LuaThread): void;
  /** Pushes the `env` of it alone. */
  pushEnvironment?(L: LuaThread): void;
  /** How many fetches have led to its request; undefined: it has none. */
  readonly fetchDepth?: number;
  /** Where its request stands in a trace; undefined: in none, or it has none. */
  readonly trace?: TraceContext | undefined;
  /** What the run opened and what ends with it at the latest. */
  readonly scope: Scope;
  /** Its files take turns with those of other runs, not with each other. */
  readonly operationOwner: OperationOwner;
  readonly tasks: TaskGroup;
  readonly progress: RunProgress;
  /** Whose turns its coroutines take: the connection, or the script of a timer. */
  readonly turnOwner: object;
  logFields(): Record<string, string>;
  /** One of its coroutines waits. */
  suspended(): void;
  /** One of its coroutines has come to a limit, or cost the VM: all of it ends. */
  failed(message: string, limit: LimitReached | undefined): void;
  /** The last of its tasks has ended. */
  tasksEnded(): void;
  /** Ends it from outside; a client gets `status` if it has got nothing yet. */
  cancel(status: number): void;
  /** Another state takes over: ends it as soon as nobody waits for it. */
  retire?(): void;
  /** Ends an answer that has no end of its own, so that its client comes back to whoever serves then. */
  readonly endStream?: (() => void) | undefined;
  /** Something of its own kind has been dealt with, of which it may have many: the next one has the whole budget. */
  renewBudget(): void;
  /** It waits for what others do: it is over as soon as its client has ended its side. */
  endWithClient?(): void;
  /** Calls `closed` once, when the WebSocket that its request has become, or becomes, is closed. */
  whenClosed?(closed: () => void): void;
  cancelClosed?(closed: () => void): void;
  /** Gives back the exchange of a run that has not begun, which is over then; undefined when it has. */
  withdraw?(): Exchange | undefined;
  /** Ends it when it has taken longer than it may. */
  checkTime(now: number): void;
}

/** Owns a coroutine of a run. */
export interface RunOwner extends CoroutineOwner {
  readonly run: LuaRun;
}

/** The run whose code calls now; undefined where there is none, as while a script is loaded. */
export function currentRun(scheduler: CoroutineScheduler): LuaRun | undefined {
  const owner: Partial<RunOwner> | undefined = scheduler.standIn ?? scheduler.current?.owner;
  return owner?.run;
}

/** What ends with the code that calls now: the scope of its run, or that of the load of its script. */
export function currentScope(scheduler: CoroutineScheduler): Scope | undefined {
  const owner: (Partial<RunOwner> & { readonly scope?: Scope }) | undefined = scheduler.current?.owner;
  return owner?.run?.scope ?? owner?.scope;
}
