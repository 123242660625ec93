/** What calls the hooks `response`, which see and change the head of an answer. */
import type { FinalHead, HeadReviser } from '../http/exchange/exchange.ts';
import { checkFields, type Fields, isNamed } from '../http/semantics/fields.ts';
import { FixedFields, isFixed } from '../http/semantics/fixed-fields.ts';
import { LuaError } from '../lua/lua-error.ts';
import { type LuaThread, NULL } from '../lua/lua-exports.ts';
import { readLuaSource } from '../lua/lua-source.ts';
import { type Reference, ScriptError, type State } from '../lua/state.ts';
import type { HeadHooks } from '../script/context/hooks.ts';
import type { ScriptContext } from '../script/context/script-context.ts';
import type { LuaRun, RunOwner } from '../script/run/lua-run.ts';
import { HeadCache } from './head-cache.ts';
import { HeadMakers } from './head-makers.ts';
import type { HeadTable } from './response-head.ts';

const PRELUDE = readLuaSource('httpd/head-hooks.lua');
/** Where a hook finds and sets the status of a head. */
const STATUS = 'status';
/** It says what is sent, which is not for a hook to say. */
const LENGTH = 'content-length';

/** Makes what runs the hooks `response` of a script. */
export function installHeadHooks(script: ScriptContext): void {
  script.hooks.ofHeads = new ScriptHeadHooks(script);
}

/** What the hooks have made of a head, where neither the fields before nor those behind them ever change. */
interface Revised {
  readonly table: HeadTable;
  readonly head: FinalHead;
}

class ScriptHeadHooks implements HeadHooks {
  readonly #script: ScriptContext;
  readonly #makers: HeadMakers;
  readonly #heads: HeadCache;
  /** Remembered tables that are heads. */
  readonly #checked = new WeakSet<HeadTable>();
  /** By the fields that the handler has given: the last of each. */
  readonly #revised = new FixedFields<Revised>();
  readonly #revise: Reference;
  readonly #add: Reference;
  /** What the hooks of the head under way have made of it. */
  #taken: HeadTable | undefined;
  /** Hooks of a head run. */
  #isRevising = false;

  constructor(script: ScriptContext) {
    this.#script = script;
    const { state } = script;
    const { exports: x, mainThread: L } = state;
    this.#makers = new HeadMakers(state);
    this.#heads = new HeadCache(state);
    const { take } = state.addFunctions({
      take: (T) => {
        if (x.lua_toboolean(T, 2) !== 0)
          throw new LuaError(`a head has its status as "${STATUS}", not as ":status"`, 0);
        this.#taken = this.#readHead(T);
        return 0;
      },
    });
    state.load(L, PRELUDE, '=lgateway');
    x.lua_pushcclosure(L, take, 0);
    state.call(L, 1, 2);
    this.#add = state.keep(L);
    this.#revise = state.keep(L);
  }

  add(L: LuaThread): void {
    const { state } = this.#script;
    state.pushReference(L, this.#add);
    state.exports.lua_rotate(L, -2, 1);
    state.exports.lua_callk(L, 1, 0, 0, NULL);
  }

  createReviser(run: LuaRun & RunOwner): HeadReviser {
    return (status, fields) => this.#reviseHead(run, status, fields);
  }

  #reviseHead(run: LuaRun & RunOwner, status: number, fields: Fields): FinalHead | undefined {
    const { state, scheduler, log, closed } = this.#script;
    // no code of the script may run any more
    if (closed || state.closed) return { status, fields };
    if (this.#isRevising)
      throw new LuaError('cannot answer in a hook "response": it may change the head that it is given');
    this.#isRevising = true;
    this.#taken = undefined;
    try {
      const outcome = scheduler.actFor(run, () => this.#callHooks(run, status, fields));
      if (!(outcome instanceof ScriptError)) return this.#restored(fields);
      log.reportError(outcome.message, { ...run.logFields(), hook: 'response' });
      return undefined;
    } finally {
      this.#isRevising = false;
    }
  }

  #callHooks(run: LuaRun, status: number, fields: Fields): void {
    const { state } = this.#script;
    const { exports: x, mainThread: L } = state;
    state.pushReference(L, this.#revise);
    run.pushEnvironment?.(L);
    const hasMaker = this.#makers.push(L, status, fields);
    if (!hasMaker && pushHead(state, L, status, fields)) this.#makers.consider(L, status, fields);
    x.lua_pushboolean(L, hasMaker ? 1 : 0);
    state.call(L, 3, 0);
  }

  /** The table at index 1; raises where it is no head. */
  #readHead(L: LuaThread): HeadTable {
    const table = this.#heads.read(L, 'HTTP/1.1');
    if (this.#checked.has(table)) return table;
    const { status, pseudo, fields } = table;
    const [name] = Object.keys(pseudo);
    if (name !== undefined) throw new LuaError(`a head cannot hold "${name}"`, 0);
    if (status === undefined || status < 200) throw new LuaError(`a head needs a status from 200 to 599`, 0);
    checkFields(fields);
    if (isFixed(fields)) this.#checked.add(table);
    return table;
  }

  /** The head as the hooks have left it, in the order of the handler's fields, and with the length that it had. */
  #restored(before: Fields): FinalHead | undefined {
    const table = this.#taken;
    if (table === undefined) return undefined;
    const known = this.#revised.get(before);
    if (known?.table === table) return known.head;
    const head: FinalHead = { status: table.status as number, fields: restoredFields(before, table.fields) };
    if (isFixed(table.fields) && isFixed(before)) {
      Object.freeze(head.fields);
      this.#revised.set(before, { table, head });
    }
    return head;
  }
}

/** Those of the hooks, in the order of the handler's. */
function restoredFields(before: Fields, after: Fields): Fields {
  const left = valuesByName(after);
  left.delete(LENGTH);
  const ordered: string[] = [];
  const append = (name: string, values: readonly string[]): void => {
    for (const value of values) ordered.push(name, value);
  };
  for (let i = 0; i < before.length; i += 2) {
    const given = before[i] as string;
    if (isNamed(given, LENGTH)) ordered.push(given, before[i + 1] as string);
    const name = given.toLowerCase();
    append(given, left.get(name) ?? []);
    left.delete(name);
  }
  for (const name of [...left.keys()].sort()) append(name, left.get(name) ?? []);
  return ordered;
}

/** Pushes its table: names in lower case; a field that comes again is a list. True: each has a place of its own. */
function pushHead(state: State, L: LuaThread, status: number, fields: Fields): boolean {
  const { exports: x, memory } = state;
  x.lua_createtable(L, 0, fields.length / 2 + 1);
  state.pushInteger(L, status);
  x.lua_setfield(L, -2, memory.constant(STATUS));
  const byName = valuesByName(fields);
  for (const [name, values] of byName) {
    state.pushString(L, name);
    if (values.length === 1) state.pushString(L, values[0] as string);
    else {
      x.lua_createtable(L, values.length, 0);
      for (const [i, value] of values.entries()) {
        state.pushString(L, value);
        x.lua_rawseti(L, -2, BigInt(i + 1));
      }
    }
    x.lua_rawset(L, -3);
  }
  return byName.size * 2 === fields.length && !byName.has(STATUS);
}

function valuesByName(fields: Fields): Map<string, string[]> {
  const values = new Map<string, string[]>();
  for (let i = 0; i < fields.length; i += 2) {
    const name = (fields[i] as string).toLowerCase();
    const known = values.get(name);
    if (known === undefined) values.set(name, [fields[i + 1] as string]);
    else known.push(fields[i + 1] as string);
  }
  return values;
}
