/** Reads the options of httpd.proxy that say how it chooses among its targets, and how it checks them. */
import type { Exchange } from '../http/exchange/exchange.ts';
import { LUA_TYPE, type LuaThread, NULL } from '../lua/lua-exports.ts';
import { type Reference, ScriptError, type State } from '../lua/state.ts';
import {
  type BalanceSettings,
  DEFAULT_HEALTH,
  type HashKey,
  type HealthSettings,
} from '../mapping/proxy-settings.ts';
import { PROXY_VALUES, type ValueRule } from '../mapping/proxy-values.ts';
import type { Candidate } from '../proxy/candidates.ts';
import type { BalanceRules } from '../proxy/server-group.ts';
import type { ScriptContext } from '../script/context/script-context.ts';
import type { LuaRun, RunOwner } from '../script/run/lua-run.ts';
import { readOptionTable, stringOption, wrongType } from '../script/run/option-table.ts';
import { secondsOption } from '../script/run/seconds.ts';
import { checked, numberOption } from './checked-option.ts';

/** Processor time that a function has to choose: it holds up all requests of its worker (ms). */
const CHOICE_LIMIT_MS = 1;
/** What the options say so far. */
export interface BalanceDraft {
  kind: BalanceSettings['kind'];
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
  draft.kind = checked(name, stringOption(state, L, name), PROXY_VALUES.balance, ' or a function');
}

/** The value of `hash`: "address", "path", or a table with `field` or `value`. */
export function readHashKey(state: State, L: LuaThread, name: string, draft: BalanceDraft): void {
  const { exports: x } = state;
  if (x.lua_type(L, -1) === LUA_TYPE.table) {
    readOptionTable(state, L, x.lua_absindex(L, -1), name, {
      field: (part) => {
        const field = checked(part, stringOption(state, L, part), PROXY_VALUES.hashField);
        draft.key = { by: 'field', name: field.toLowerCase() };
      },
      value: (part) => {
        draft.key = {
          by: 'value',
          value: checked(part, stringOption(state, L, part), PROXY_VALUES.hashValue),
        };
      },
    });
    return;
  }
  draft.key = { by: checked(name, stringOption(state, L, name), PROXY_VALUES.hashBy) };
}

/** The table of `health` on top of the stack. */
export function readHealth(state: State, L: LuaThread, name: string, draft: BalanceDraft): void {
  const { exports: x } = state;
  if (x.lua_type(L, -1) !== LUA_TYPE.table) throw wrongType(state, L, name, 'a table');
  const health: { -readonly [Name in keyof HealthSettings]: HealthSettings[Name] } = { ...DEFAULT_HEALTH };
  const count = (part: string, rule: ValueRule<number>): number =>
    checked(part, numberOption(state, L, part), rule);
  readOptionTable(state, L, x.lua_absindex(L, -1), name, {
    path: (part) => {
      health.path = checked(part, stringOption(state, L, part), PROXY_VALUES.checkPath);
    },
    interval: (part) => {
      health.intervalMs = checked(part, secondsOption(state, L, part), PROXY_VALUES.checkMs);
    },
    timeout: (part) => {
      health.timeoutMs = checked(part, secondsOption(state, L, part), PROXY_VALUES.checkMs);
    },
    status: (part) => {
      health.status = count(part, PROXY_VALUES.checkStatus);
    },
    fall: (part) => {
      health.fall = count(part, PROXY_VALUES.checkCount);
    },
    rise: (part) => {
      health.rise = count(part, PROXY_VALUES.checkCount);
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
