/** Makes the table that `httpd.request` returns: what a script knows of one request, and what it wants to remember with it. */
import type { Exchange } from '../../http/exchange/exchange.ts';
import type { Route } from '../../http/exchange/handler.ts';
import type { LuaThread } from '../../lua/lua-exports.ts';
import type { Reference, State } from '../../lua/state.ts';
import type { ScriptContext } from './script-context.ts';

/** What the table is made of. */
export interface RequestSource {
  readonly exchange: Exchange;
  readonly route: Route;
  readonly number: number;
  readonly requestId: string;
}

/** Slots of the stack that are used. */
const SLOTS = 8;

/**
 * Keeps the table of a request. `thread`: the one that its handler runs in, which perhaps has the two tables of the handler;
 * without them, others are made of the same facts.
 */
export function keepRequest(
  script: ScriptContext,
  L: LuaThread,
  source: RequestSource,
  thread: LuaThread | undefined,
): Reference {
  script.state.exports.lua_checkstack(L, SLOTS);
  if (thread === undefined || !script.lazyTables.pushTablesOf(L, thread)) pushFreshTables(script, L, source);
  return keepRequestOf(script, L, source);
}

/** The same with the two tables on top of the stack, which are popped. */
export function keepRequestOf({ state }: ScriptContext, L: LuaThread, source: RequestSource): Reference {
  const { exports: x, memory } = state;
  x.lua_createtable(L, 0, 5);
  x.lua_rotate(L, -3, 1);
  x.lua_setfield(L, -3, memory.constant('header'));
  x.lua_setfield(L, -2, memory.constant('env'));
  pushParams(state, L, source.route.params ?? NO_PARAMS);
  x.lua_setfield(L, -2, memory.constant('params'));
  x.lua_createtable(L, 0, 0);
  x.lua_setfield(L, -2, memory.constant('ctx'));
  state.pushString(L, source.requestId);
  x.lua_setfield(L, -2, memory.constant('id'));
  return state.keep(L);
}

function pushFreshTables(script: ScriptContext, L: LuaThread, source: RequestSource): void {
  const count = script.pushFacts(L, source.exchange, source.route, source.number);
  script.lazyTables.make(L, count);
}

/** Pushes a table of the parameters of a pattern: names and values in turns. */
export function pushParams(state: State, L: LuaThread, params: readonly string[]): void {
  const { exports: x } = state;
  x.lua_createtable(L, 0, params.length / 2);
  for (let i = 0; i < params.length; i += 2) {
    state.pushString(L, params[i] as string);
    state.pushString(L, params[i + 1] as string);
    x.lua_rawset(L, -3);
  }
}

const NO_PARAMS: readonly string[] = [];
