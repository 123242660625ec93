/** Reads the options of httpd.proxy that say how it chooses among its targets, and how it checks them. */
import type { Exchange } from '../http/exchange/exchange.ts';
import { LuaError } from '../lua/lua-error.ts';
import { LUA_TYPE, type LuaThread, NULL } from '../lua/lua-exports.ts';
import { type Reference, ScriptError, type State } from '../lua/state.ts';
import type { HashKey } from '../proxy/balancers.ts';
import type { Candidate } from '../proxy/candidates.ts';
import type { HealthSettings } from '../proxy/health-checks.ts';
import { CHECK_FALL, CHECK_INTERVAL_MS, CHECK_RISE, CHECK_TIMEOUT_MS } from '../proxy/proxy-limits.ts';
import type { BalanceRules } from '../proxy/server-group.ts';
import type { ScriptContext } from '../script/context/script-context.ts';
import type { LuaRun, RunOwner } from '../script/run/lua-run.ts';
import { countOption, readOptionTable, stringOption, wrongType } from '../script/run/option-table.ts';
import { secondsOption } from '../script/run/seconds.ts';

/** Processor time that a function has to choose: it holds up all requests of its worker (ms). */
const CHOICE_LIMIT_MS = 1;
/** Checks in a row that may be asked for. */
const COUNT_MAX = 100;
const STATUS_MAX = 599;
const SECONDS_MIN = 0.1;
/** Bytes of a text that requests are put in their place by. */
const KEY_BYTES_MAX = 1024;

/** What the options say so far. */
export interface BalanceDraft {
  kind: 'random2' | 'least' | 'hash';
  key: HashKey;
  /** A function of the script. */
  choice: Reference | undefined;
  health: HealthSettings | undefined;
  /** Keeps the value on top of the stack, which is popped, as long as the request that asks. */
  readonly keep: (L: LuaThread) => Reference;
}

export function newBalanceDraft({ state }: ScriptContext, { scope }: LuaRun): BalanceDraft {
  const keep = (L: LuaThread): Reference => {
    const reference = state.keep(L);
    scope.add(() => {
      if (!state.closed) state.release(reference);
    });
    return reference;
  };
  return { kind: 'random2', key: { by: 'address' }, choice: undefined, health: undefined, keep };
}

/** The value of `balance` on top of the stack; a function is kept. */
export function readBalance(state: State, L: LuaThread, name: string, draft: BalanceDraft): void {
  const { exports: x } = state;
  if (x.lua_type(L, -1) === LUA_TYPE.function) {
    x.lua_pushvalue(L, -1);
    draft.choice = draft.keep(L);
    return;
  }
  const kind = stringOption(state, L, name);
  if (kind !== 'random2' && kind !== 'least' && kind !== 'hash')
    throw new LuaError(`option "${name}" has to be "random2", "least", "hash" or a function`);
  draft.kind = kind;
}

/** The value of `hash`: "address", "path", or a table with `field` or `value`. */
export function readHashKey(state: State, L: LuaThread, name: string, draft: BalanceDraft): void {
  const { exports: x } = state;
  if (x.lua_type(L, -1) === LUA_TYPE.table) {
    readOptionTable(state, L, x.lua_absindex(L, -1), name, {
      field: (part) => {
        draft.key = { by: 'field', name: stringOption(state, L, part, KEY_BYTES_MAX).toLowerCase() };
      },
      value: (part) => {
        draft.key = { by: 'value', value: stringOption(state, L, part, KEY_BYTES_MAX) };
      },
    });
    return;
  }
  const by = stringOption(state, L, name);
  if (by !== 'address' && by !== 'path')
    throw new LuaError(`option "${name}" has to be "address", "path", {field = …} or {value = …}`);
  draft.key = { by };
}

/** The table of `health` on top of the stack. */
export function readHealth(state: State, L: LuaThread, name: string, draft: BalanceDraft): void {
  const { exports: x } = state;
  if (x.lua_type(L, -1) !== LUA_TYPE.table) throw wrongType(state, L, name, 'a table');
  const health: { -readonly [Name in keyof HealthSettings]: HealthSettings[Name] } = {
    path: '/',
    intervalMs: CHECK_INTERVAL_MS,
    timeoutMs: CHECK_TIMEOUT_MS,
    status: undefined,
    fall: CHECK_FALL,
    rise: CHECK_RISE,
  };
  const seconds = (part: string): number => {
    const ms = secondsOption(state, L, part);
    if (Number.isFinite(ms) && ms >= SECONDS_MIN * 1000) return ms;
    throw new LuaError(
      `option "${part}" is ${ms / 1000} (seconds from ${SECONDS_MIN} to a day were expected)`,
    );
  };
  readOptionTable(state, L, x.lua_absindex(L, -1), name, {
    path: (part) => {
      health.path = stringOption(state, L, part, KEY_BYTES_MAX);
      if (!/^\/[\x21-\x7e]*$/.test(health.path))
        throw new LuaError(`option "${part}" has to begin with a slash and to be plain ASCII without blanks`);
    },
    interval: (part) => {
      health.intervalMs = seconds(part);
    },
    timeout: (part) => {
      health.timeoutMs = seconds(part);
    },
    status: (part) => {
      health.status = countOption(state, L, part, STATUS_MAX);
    },
    fall: (part) => {
      health.fall = countOption(state, L, part, COUNT_MAX);
    },
    rise: (part) => {
      health.rise = countOption(state, L, part, COUNT_MAX);
    },
  });
  draft.health = health;
}

/** The rules for one request; a function of the script is called on behalf of `run`. */
export function balanceRules(
  script: ScriptContext,
  draft: BalanceDraft,
  run: LuaRun & RunOwner,
): BalanceRules {
  const { kind, key, choice, health } = draft;
  if (choice !== undefined) {
    const choose = (_exchange: Exchange, open: readonly Candidate[]): Candidate | undefined =>
      callChoice(script, choice, run, open);
    return { balancing: { kind: 'choice', choose }, health };
  }
  return { balancing: kind === 'hash' ? { kind, key } : { kind }, health };
}

/** Calls the function with the names of the targets that are up; it gives the place of one in that list. */
function callChoice(
  script: ScriptContext,
  choice: Reference,
  run: LuaRun & RunOwner,
  open: readonly Candidate[],
): Candidate | undefined {
  const { state, scheduler, log, closed } = script;
  const { exports: x, mainThread: L } = state;
  if (closed || state.closed) return undefined;
  const outcome = scheduler.actFor(run, () => {
    state.pushReference(L, choice);
    x.lua_createtable(L, open.length, 0);
    for (const [i, { upstream }] of open.entries()) {
      state.pushString(L, upstream.target.name);
      x.lua_rawseti(L, -2, BigInt(i + 1));
    }
    scheduler.call(1, 1, CHOICE_LIMIT_MS);
    const place = x.lua_isinteger(L, -1) === 0 ? 0 : x.lua_tonumberx(L, -1, NULL);
    const candidate = open[place - 1];
    if (candidate === undefined)
      throw new ScriptError(`option "balance": the function gave no place from 1 to ${open.length}`);
    return candidate;
  });
  if (!(outcome instanceof ScriptError)) return outcome;
  log.reportError(outcome.message, { ...run.logFields(), option: 'balance' });
  return undefined;
}
