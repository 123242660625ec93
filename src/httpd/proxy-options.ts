/** Reads the arguments of httpd.proxy: misuse raises, what a stranger may have caused is a GatewayError. */
import { GatewayError } from '../base/errors.ts';
import { checkFields } from '../http/semantics/fields.ts';
import { LuaError } from '../lua/lua-error.ts';
import { LUA_TYPE, type LuaThread } from '../lua/lua-exports.ts';
import type { State } from '../lua/state.ts';
import {
  type CallCache,
  DEFAULT_PROXY_RULES,
  isSettableField,
  type ProxyRules,
  type ProxyTimeouts,
  TARGETS_MAX,
  TRUSTED_MAX,
  type UpstreamTls,
  type WeightedTarget,
} from '../mapping/proxy-settings.ts';
import { PROXY_VALUES, type ValueRule } from '../mapping/proxy-values.ts';
import type { ScriptContext } from '../script/context/script-context.ts';
import { FieldSize } from '../script/run/field-size.ts';
import { booleanOption, readOptionTable, stringOption, wrongType } from '../script/run/option-table.ts';
import { secondsOption } from '../script/run/seconds.ts';
import { type BalanceDraft, readBalance, readHashKey, readHealth } from './balance-options.ts';
import { readTags } from './cache-tags.ts';
import { checked, numberOption, optionText } from './checked-option.ts';

const NO_TAGS: CallCache = { tags: [] };

type Draft = { -readonly [Name in keyof ProxyRules]: ProxyRules[Name] };

/** The targets of argument 1: a text, or a list of texts and of tables with `url` and `weight`. */
export function readTargets({ state }: ScriptContext, L: LuaThread): WeightedTarget[] {
  const { exports: x } = state;
  if (x.lua_type(L, 1) !== LUA_TYPE.table) return [{ url: state.checkString(L, 1), weight: 1 }];
  const count = Number(x.lua_rawlen(L, 1));
  if (count === 0 || count > TARGETS_MAX)
    state.argumentError(L, 1, `a list of 1 to ${TARGETS_MAX} targets expected, and it has ${count}`);
  return readList(count, (i) => {
    x.lua_rawgeti(L, 1, BigInt(i));
    const target = readTarget(state, L, i);
    state.pop(L);
    return target;
  });
}

/** The target on top of the stack. */
function readTarget(state: State, L: LuaThread, i: number): WeightedTarget {
  const { exports: x } = state;
  if (x.lua_type(L, -1) === LUA_TYPE.string) return { url: state.toString(L, -1) as string, weight: 1 };
  if (x.lua_type(L, -1) !== LUA_TYPE.table)
    state.argumentError(L, 1, `target ${i} is no string and no table`);
  let url: string | undefined;
  let weight = 1;
  readOptionTable(state, L, x.lua_absindex(L, -1), `target ${i}`, {
    url: (name) => {
      url = stringOption(state, L, name);
    },
    weight: (name) => {
      weight = checked(name, numberOption(state, L, name), PROXY_VALUES.weight);
    },
  });
  return url === undefined ? state.argumentError(L, 1, `target ${i} has no url`) : { url, weight };
}

/** What the options say beside how a target is chosen. */
export interface ProxyRulesGiven {
  readonly rules: ProxyRules;
  /** The target of the request, in the place of the client's. */
  readonly path: string | undefined;
  /** Undefined: the server is asked for each request. */
  readonly cache: CallCache | undefined;
}

/** The table that is argument 2, or absent. */
export function readProxyRules(script: ScriptContext, L: LuaThread, balance: BalanceDraft): ProxyRulesGiven {
  const { state } = script;
  const { exports: x } = state;
  const draft: Draft = { ...DEFAULT_PROXY_RULES };
  let wantedPath: string | undefined;
  let cache: CallCache | undefined;
  readOptionTable(state, L, 2, 'proxy', {
    timeout: (name) => {
      draft.timeouts = readTimeouts(script, L, name);
    },
    headers: (name) => {
      if (x.lua_type(L, -1) !== LUA_TYPE.table) throw wrongType(state, L, name, 'a table');
      readHeaders(script, L, draft);
    },
    host: (name) => {
      draft.host = permitted(name, textOrBoolean(script, L, name), PROXY_VALUES.host);
    },
    retries: (name) => {
      draft.retries = checked(name, numberOption(state, L, name), PROXY_VALUES.retries);
    },
    path: (name) => {
      wantedPath = permitted(name, stringOption(state, L, name), PROXY_VALUES.path);
    },
    tls: (name) => {
      if (x.lua_type(L, -1) !== LUA_TYPE.table) throw wrongType(state, L, name, 'a table');
      draft.tls = readTls(script, L);
    },
    forwarded: (name) => {
      draft.forwarded = checked(name, textOrBoolean(script, L, name), PROXY_VALUES.forwarded);
    },
    cache: (name) => {
      cache = readCallCache(state, L, name);
    },
    balance: (name) => readBalance(state, L, name, balance),
    hash: (name) => readHashKey(state, L, name, balance),
    health: (name) => readHealth(state, L, name, balance),
    trusted: (name) => {
      if (x.lua_type(L, -1) !== LUA_TYPE.table) throw wrongType(state, L, name, 'a list of addresses');
      draft.trusted = readTrusted(script, L);
    },
  });
  return { rules: draft, path: wantedPath, cache };
}

/** A boolean, or a table with `tags`. */
function readCallCache(state: State, L: LuaThread, name: string): CallCache | undefined {
  const { exports: x } = state;
  const type = x.lua_type(L, -1);
  if (type === LUA_TYPE.boolean) return booleanOption(state, L, name) ? NO_TAGS : undefined;
  if (type !== LUA_TYPE.table) throw wrongType(state, L, name, 'a boolean or a table');
  let tags: readonly string[] = [];
  readOptionTable(state, L, x.lua_absindex(L, -1), 'cache', {
    tags: (part) => {
      tags = readTags(state, L, part);
    },
  });
  return { tags };
}

/** A number: until the head of the answer, however many tries that takes; a table: the parts. */
function readTimeouts({ state }: ScriptContext, L: LuaThread, name: string): ProxyTimeouts {
  const timeouts: { -readonly [Name in keyof ProxyTimeouts]: ProxyTimeouts[Name] } = {
    ...DEFAULT_PROXY_RULES.timeouts,
  };
  if (state.exports.lua_type(L, -1) !== LUA_TYPE.table) {
    timeouts.headMs = secondsOption(state, L, name);
    timeouts.totalMs = timeouts.headMs;
    return timeouts;
  }
  readOptionTable(state, L, state.exports.lua_absindex(L, -1), 'timeout', {
    connect: (part) => {
      timeouts.connectMs = secondsOption(state, L, part);
    },
    head: (part) => {
      timeouts.headMs = secondsOption(state, L, part);
    },
    total: (part) => {
      timeouts.totalMs = secondsOption(state, L, part);
    },
    idle: (part) => {
      timeouts.idleMs = secondsOption(state, L, part);
    },
    tunnel: (part) => {
      timeouts.tunnelMs = secondsOption(state, L, part);
    },
  });
  return timeouts;
}

/** The table on top of the stack: names with strings, lists of them, or false for a field that is left out. */
function readHeaders({ state }: ScriptContext, L: LuaThread, draft: Draft): void {
  const { exports: x } = state;
  const fields: string[] = [];
  const removed: string[] = [];
  const size = new FieldSize(state);
  const add = (name: string): void => {
    const type = x.lua_type(L, -1);
    if (type !== LUA_TYPE.string && type !== LUA_TYPE.number)
      throw new LuaError(`header "${name}" is a ${state.typeName(L, -1)} (a string or false was expected)`);
    fields.push(name, size.text(L, -1) as string);
  };
  x.lua_pushnil(L);
  while (x.lua_next(L, -2) !== 0) {
    if (x.lua_type(L, -2) !== LUA_TYPE.string)
      throw new LuaError(`a header name is a ${state.typeName(L, -2)} (a string was expected)`);
    const name = size.text(L, -2) as string;
    if (!isSettableField(name))
      throw new LuaError(`header "${name}" is the gateway's own (see option "host")`);
    removed.push(name.toLowerCase());
    if (x.lua_type(L, -1) === LUA_TYPE.table) {
      const index = x.lua_absindex(L, -1);
      readList(Number(x.lua_rawlen(L, index)), (i) => {
        x.lua_rawgeti(L, index, BigInt(i));
        add(name);
        state.pop(L);
      });
    } else if (x.lua_type(L, -1) !== LUA_TYPE.boolean || x.lua_toboolean(L, -1) !== 0) {
      // lua_next needs the value as it is
      x.lua_pushvalue(L, -1);
      add(name);
      state.pop(L);
    }
    state.pop(L);
  }
  checkFields(fields);
  draft.setFields = fields;
  draft.removedFields = removed;
}

function readTls({ state }: ScriptContext, L: LuaThread): UpstreamTls {
  const tls: { -readonly [Name in keyof UpstreamTls]: UpstreamTls[Name] } = { ...DEFAULT_PROXY_RULES.tls };
  readOptionTable(state, L, state.exports.lua_absindex(L, -1), 'tls', {
    verify: (name) => {
      tls.verify = booleanOption(state, L, name);
    },
    ca: (name) => {
      tls.ca = checked(name, stringOption(state, L, name), PROXY_VALUES.ca);
    },
    servername: (name) => {
      tls.servername = checked(name, stringOption(state, L, name), PROXY_VALUES.servername);
    },
  });
  return tls;
}

/** The list on top of the stack: addresses, and networks as `10.0.0.0/8`. */
function readTrusted({ state }: ScriptContext, L: LuaThread): string[] {
  const { exports: x } = state;
  const index = x.lua_absindex(L, -1);
  const count = Number(x.lua_rawlen(L, index));
  if (count > TRUSTED_MAX)
    throw new LuaError(`option "trusted" has ${count} addresses and the limit is ${TRUSTED_MAX}`);
  const texts = readList(count, (i) => {
    x.lua_rawgeti(L, index, BigInt(i));
    const text = stringOption(state, L, `trusted[${i}]`);
    state.pop(L);
    return text;
  });
  return [...checked('trusted', texts, PROXY_VALUES.trusted)];
}

function textOrBoolean({ state }: ScriptContext, L: LuaThread, name: string): string | boolean {
  return state.exports.lua_type(L, -1) === LUA_TYPE.boolean
    ? booleanOption(state, L, name)
    : stringOption(state, L, name);
}

/** For what a script may have from a stranger: a value that is refused is no misuse. */
function permitted<T>(name: string, value: unknown, rule: ValueRule<T>): T {
  if (rule.accepts(value)) return value;
  throw new GatewayError(
    'LGW_PROXY_INVALID',
    `Cannot pass the request on: ${optionText(name, value, rule)}`,
    {
      luaCode: 'invalid',
    },
  );
}

function readList<T>(count: number, read: (i: number) => T): T[] {
  const list: T[] = [];
  for (let i = 1; i <= count; i++) list.push(read(i));
  return list;
}
