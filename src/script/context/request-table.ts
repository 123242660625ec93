/** What a script knows of one request: its two tables, and the table that `httpd.request` returns, which is made when it is asked for. */
import type { LuaThread } from '../../lua/lua-exports.ts';
import type { Reference, State } from '../../lua/state.ts';
import type { RequestCall, ScriptContext } from './script-context.ts';

/** What the tables are made of. */
interface RequestSource extends RequestCall {
  readonly requestId: string;
}

/** Slots of the stack that are used. */
const SLOTS = 8;

/** Held by the run of a request and by the hooks that run behind it: the same tables for all of them. */
export class RequestTable {
  readonly #script: ScriptContext;
  readonly #source: RequestSource;
  #env: Reference | undefined;
  #header: Reference | undefined;
  #table: Reference | undefined;
  #holders = 1;

  constructor(script: ScriptContext, source: RequestSource) {
    this.#script = script;
    this.#source = source;
  }

  /** Takes `env` and `header` of the handler, on top of the stack, which are popped; the first ones are kept. */
  take(L: LuaThread): void {
    const { state } = this.#script;
    if (this.#env !== undefined) {
      state.pop(L, 2);
      return;
    }
    this.#header = state.keep(L);
    this.#env = state.keep(L);
  }

  /** Pushes the table, always the same one. `thread`: the one that the handler runs in, which perhaps has the two tables. May raise. */
  push(L: LuaThread, thread: LuaThread | undefined): void {
    this.#findTables(L, thread);
    this.#table ??= this.#make(L);
    this.#script.state.pushReference(L, this.#table);
  }

  /** Pushes `env` alone. */
  pushEnvironment(L: LuaThread, thread: LuaThread | undefined): void {
    this.#findTables(L, thread);
    this.#script.state.pushReference(L, this.#env as Reference);
  }

  /** One more holds it. */
  share(): this {
    this.#holders += 1;
    return this;
  }

  /** One less does; the last one lets the tables go. */
  release(): void {
    this.#holders -= 1;
    const { state } = this.#script;
    if (this.#holders > 0 || state.closed) return;
    for (const reference of [this.#env, this.#header, this.#table])
      if (reference !== undefined) state.release(reference);
  }

  /** Those of the handler; without it others are made of the same facts. */
  #findTables(L: LuaThread, thread: LuaThread | undefined): void {
    if (this.#env !== undefined) return;
    const { state, lazyTables } = this.#script;
    state.exports.lua_checkstack(L, SLOTS);
    if (thread === undefined || !lazyTables.pushTablesOf(L, thread)) this.#pushFresh(L);
    this.take(L);
  }

  #pushFresh(L: LuaThread): void {
    const { exchange, route, number } = this.#source;
    this.#script.lazyTables.make(L, this.#script.pushFacts(L, exchange, route, number));
  }

  #make(L: LuaThread): Reference {
    const { state } = this.#script;
    const { exports: x, memory } = state;
    const { route, requestId } = this.#source;
    x.lua_checkstack(L, SLOTS);
    x.lua_createtable(L, 0, 5);
    state.pushReference(L, this.#header as Reference);
    x.lua_setfield(L, -2, memory.constant('header'));
    state.pushReference(L, this.#env as Reference);
    x.lua_setfield(L, -2, memory.constant('env'));
    pushParams(state, L, route.params ?? NO_PARAMS);
    x.lua_setfield(L, -2, memory.constant('params'));
    x.lua_createtable(L, 0, 0);
    x.lua_setfield(L, -2, memory.constant('ctx'));
    state.pushString(L, requestId);
    x.lua_setfield(L, -2, memory.constant('id'));
    return state.keep(L);
  }
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
