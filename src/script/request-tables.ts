/**
 * Fills the two tables a handler is called with: `env` and `header` (spec: reference lhttpd, plus our additions). What
 * they are filled from waits inside the VM: a packed string, or for requests that repeat two tables to be copied.
 */
import { fullRequestNumber, requestIdOf } from '../base/request-id.ts';
import type { Exchange } from '../http/exchange/exchange.ts';
import type { Route } from '../http/exchange/handler.ts';
import { httpDate } from '../http/semantics/http-date.ts';
import { FOUND_KEYS, type LazyTables } from '../lua/lazy-tables.ts';
import { LIGHT_USERDATA } from '../lua/light-userdata.ts';
import { LuaError } from '../lua/lua-error.ts';
import { LUA_TYPE, type LuaThread, NULL } from '../lua/lua-exports.ts';
import type { Reference, State } from '../lua/state.ts';
import { TableCopier } from '../lua/table-copy.ts';
import {
  CONSTANT_NAMES,
  ENVIRONMENT_NAMES,
  environmentValue,
  type MappingFacts,
  VARYING_NAMES,
} from './environment-values.ts';
import {
  HEADER_ALIASES,
  headerValue,
  isKnownName,
  joinAnyCase,
  joinLowerCase,
  pathOf,
} from './header-values.ts';
import { factsOf, packRequest, type RequestFacts, unpackRequest } from './request-facts.ts';

/** Entries of env and header that are looked up one by one; a handler that wants more gets the filled tables. */
const PEEKS_MAX = 8;

/** No field has a longer name (bytes). */
const NAME_BYTES_MAX = 32 * 1024;
/** Entries of a table that are looked through for a name in another case; more fields than a head can have. */
const ENTRIES_MAX = 10_000;
/** To look at one of them. */
const UNITS_PER_ENTRY = 30;

/** Requests whose tables are kept ready to be copied. */
const TEMPLATES_MAX = 256;
/** Once there are so many, the share of other repeated requests that take the place of the oldest. */
const REPLACED = 1 / 16;

/** Keys of `env` and of `header` in what they are copied from. */
const TEMPLATE_KEYS = [LIGHT_USERDATA.firstTemplate, LIGHT_USERDATA.secondTemplate] as const;

/** Names whose values are remembered for each of these two, and bytes of such a name: those that scripts ask for again and again. */
const FOUND_MAX = 64;
const FOUND_NAME_BYTES_MAX = 64;
/** How many there are, beside them; no script can write this key. */
const FOUND_COUNT_KEY = LIGHT_USERDATA.tableNumber;

/** What is remembered with a request that may come again. */
class RequestMemo {
  readonly owner: RequestTables;
  readonly handlerName: string;
  readonly canPush: boolean;
  /** Its two tables, ready to be copied, under TEMPLATE_KEYS. */
  template: Reference | undefined;

  constructor(owner: RequestTables, handlerName: string, canPush: boolean) {
    this.owner = owner;
    this.handlerName = handlerName;
    this.canPush = canPush;
  }
}

export class RequestTables {
  readonly #state: State;
  readonly #facts: MappingFacts;
  readonly #copier: TableCopier;
  #last: { readonly packed: string; readonly facts: RequestFacts } | undefined;
  /** Look-ups in tables of the last request that were answered without filling them. */
  #peeks = 0;
  /** The memos that have a template, in a ring. */
  readonly #templates: RequestMemo[] = [];
  #oldest = 0;
  /** Metatable of filled header tables, by scheme: case-insensitive lookup and aliases. */
  readonly #headerMetatables: Readonly<Record<'https' | 'http', Reference>>;

  constructor(state: State, facts: MappingFacts) {
    this.#state = state;
    this.#facts = facts;
    this.#copier = new TableCopier(state);
    this.#headerMetatables = {
      https: this.#createHeaderMetatable('https'),
      http: this.#createHeaderMetatable('http'),
    };
  }

  /** Pushes what the tables of a request are filled from, when they are. True: these facts are prepared. */
  pushFacts(L: LuaThread, exchange: Exchange, route: Route, lazyTables: LazyTables): boolean {
    const { identity, canPush } = exchange;
    const { memo } = identity;
    if (
      !(memo instanceof RequestMemo) ||
      memo.owner !== this ||
      memo.canPush !== canPush ||
      memo.handlerName !== route.handlerName
    ) {
      identity.memo = new RequestMemo(this, route.handlerName, canPush);
      this.#state.pushString(L, packRequest(exchange, route));
      return false;
    }
    if (memo.template === undefined && !this.#prepare(L, memo, exchange, route, lazyTables)) {
      this.#state.pushString(L, packRequest(exchange, route));
      return false;
    }
    this.#state.pushReference(L, memo.template as Reference);
    return true;
  }

  /** Fills `env` (0) or `header` (1), the table on top of the stack, from what `pushFacts` pushed, which is below it. */
  fill(L: LuaThread, argument: 0 | 1, number: number): void {
    if (this.#state.exports.lua_type(L, -2) === LUA_TYPE.table) {
      this.#copyTemplate(L, argument);
      if (argument === 1) this.#setHeaderMetatable(L);
    } else {
      const facts = this.#unpack(this.#state.toString(L, -2, Number.POSITIVE_INFINITY) ?? '');
      if (argument === 0) this.#fillEnvironment(L, facts);
      else this.#fillHeader(L, facts);
    }
    if (argument === 1) return;
    for (const name of VARYING_NAMES) {
      this.#state.pushInterned(L, name);
      this.#state.pushString(L, this.#varyingValue(name, number));
      this.#state.exports.lua_rawset(L, -3);
    }
  }

  /** Pushes the one value that the filled table has for the name at index 2; false: filling it costs less. */
  peek(L: LuaThread, argument: 0 | 1, number: number): boolean {
    const { exports: x } = this.#state;
    const name = this.#state.toString(L, 2, NAME_BYTES_MAX) ?? '';
    if (argument === 0 && (name === 'REQUEST_ID' || name === 'DATE_UTC')) {
      this.#state.pushString(L, this.#varyingValue(name, number));
      return true;
    }
    if (x.lua_type(L, -1) === LUA_TYPE.table) {
      if (x.lua_rawgetp(L, -1, TEMPLATE_KEYS[argument]) !== LUA_TYPE.table) throw new LuaError(NO_FACTS);
      x.lua_pushvalue(L, 2);
      x.lua_gettable(L, -2);
      if (name.length <= FOUND_NAME_BYTES_MAX) this.#remember(L, argument);
      return true;
    }
    const facts = this.#unpack(this.#state.toString(L, -1, Number.POSITIVE_INFINITY) ?? '');
    this.#peeks += 1;
    if (this.#peeks > PEEKS_MAX) return false;
    const value =
      argument === 0 ? environmentValue(name, facts, this.#facts) : headerValue(name.toLowerCase(), facts);
    if (value === undefined) x.lua_pushnil(L);
    else if (typeof value === 'number') this.#state.pushInteger(L, value);
    else this.#state.pushString(L, value);
    return true;
  }

  /** Keeps the value on top of the stack for the name at index 2: the next look-up is Lua's alone. The facts are two below it. */
  #remember(L: LuaThread, argument: 0 | 1): void {
    const { exports: x } = this.#state;
    if (x.lua_rawgetp(L, -3, FOUND_KEYS[argument]) !== LUA_TYPE.table) throw new LuaError(NO_FACTS);
    x.lua_rawgetp(L, -1, FOUND_COUNT_KEY);
    const count = Number(x.lua_tointegerx(L, -1, NULL));
    this.#state.pop(L);
    if (count < FOUND_MAX) {
      this.#state.pushInteger(L, count + 1);
      x.lua_rawsetp(L, -2, FOUND_COUNT_KEY);
      x.lua_pushvalue(L, 2);
      if (x.lua_type(L, -3) === LUA_TYPE.nil) x.lua_pushboolean(L, 0);
      else x.lua_pushvalue(L, -3);
      x.lua_rawset(L, -3);
    }
    this.#state.pop(L);
  }

  /** Makes the two tables of a request that has come again; false: there are others enough. */
  #prepare(
    L: LuaThread,
    memo: RequestMemo,
    exchange: Exchange,
    route: Route,
    lazyTables: LazyTables,
  ): boolean {
    const { exports: x } = this.#state;
    if (this.#templates.length === TEMPLATES_MAX) {
      if (Math.random() >= REPLACED) return false;
      const oldest = this.#templates[this.#oldest] as RequestMemo;
      this.#state.release(oldest.template as Reference);
      oldest.template = undefined;
    }
    const facts = factsOf(exchange, route);
    x.lua_createtable(L, 2, 4);
    lazyTables.prepare(L);
    x.lua_createtable(L, 0, ENVIRONMENT_NAMES.length);
    this.#fillEnvironment(L, facts);
    x.lua_rawsetp(L, -2, TEMPLATE_KEYS[0]);
    x.lua_createtable(L, 0, facts.fields.length / 2 + 4);
    this.#fillHeader(L, facts);
    x.lua_rawsetp(L, -2, TEMPLATE_KEYS[1]);
    memo.template = this.#state.keep(L);
    this.#templates[this.#oldest] = memo;
    this.#oldest = (this.#oldest + 1) % TEMPLATES_MAX;
    return true;
  }

  /** Copies a table of the template below it into the one on top of the stack. */
  #copyTemplate(L: LuaThread, argument: 0 | 1): void {
    const { exports: x } = this.#state;
    if (x.lua_rawgetp(L, -2, TEMPLATE_KEYS[argument]) !== LUA_TYPE.table) throw new LuaError(NO_FACTS);
    x.lua_rotate(L, -2, 1);
    this.#copier.copy(L);
    x.lua_rotate(L, -2, 1);
    this.#state.pop(L);
  }

  #setHeaderMetatable(L: LuaThread): void {
    const { exports: x } = this.#state;
    x.lua_rawgetp(L, -2, TEMPLATE_KEYS[1]);
    x.lua_getmetatable(L, -1);
    x.lua_setmetatable(L, -3);
    this.#state.pop(L);
  }

  #varyingValue(name: (typeof VARYING_NAMES)[number], number: number): string {
    return name === 'DATE_UTC' ? httpDate() : requestIdOf(this.#facts.workerId, fullRequestNumber(number));
  }

  /** The last request is remembered: its entries are mostly looked up one after the other. */
  #unpack(packed: string): RequestFacts {
    if (this.#last?.packed === packed) return this.#last.facts;
    const facts = unpackRequest(packed);
    if (facts === undefined) throw new LuaError('the request holds a line feed where none is allowed');
    this.#last = { packed, facts };
    this.#peeks = 0;
    return facts;
  }

  /** Strings and integers only, as scripts print them. */
  #fillEnvironment(L: LuaThread, facts: RequestFacts): void {
    for (const name of ENVIRONMENT_NAMES) {
      const value = environmentValue(name, facts, this.#facts);
      if (value === undefined) continue;
      this.#state.pushInterned(L, name);
      if (typeof value === 'number') this.#state.pushInteger(L, value);
      else if (CONSTANT_NAMES.has(name)) this.#state.pushInterned(L, value);
      else this.#state.pushString(L, value);
      this.#state.exports.lua_rawset(L, -3);
    }
  }

  #fillHeader(L: LuaThread, facts: RequestFacts): void {
    const { exports: x } = this.#state;
    const http2 = facts.protocol === 'HTTP/2';
    this.#setString(L, http2 ? ':method' : 'method', facts.method);
    this.#setString(L, http2 ? ':path' : 'path', pathOf(facts));
    if (http2) {
      this.#setString(L, ':scheme', facts.scheme);
      this.#setString(L, ':authority', facts.authority);
    }
    for (const [name, value] of http2 ? joinLowerCase(facts.fields) : joinAnyCase(facts.fields)) {
      this.#setString(L, name, value);
    }
    this.#state.pushReference(L, this.#headerMetatables[facts.scheme]);
    x.lua_setmetatable(L, -2);
  }

  #setString(L: LuaThread, key: string, value: string): void {
    if (isKnownName(key)) this.#state.pushInterned(L, key);
    else this.#state.pushString(L, key);
    this.#state.pushString(L, value);
    this.#state.exports.lua_rawset(L, -3);
  }

  #createHeaderMetatable(scheme: 'https' | 'http'): Reference {
    const state = this.#state;
    const { exports: x, memory, mainThread: L } = state;
    const { index } = state.addFunctions({
      index: (T) => {
        x.luaL_checktype(T, 1, LUA_TYPE.table);
        if (x.lua_type(T, 2) !== LUA_TYPE.string) return 0;
        if (Number(x.lua_rawlen(T, 2)) > NAME_BYTES_MAX) return 0;
        const name = (state.toString(T, 2, NAME_BYTES_MAX) as string).toLowerCase();
        if (this.#findField(T, name)) return 1;
        const alias = HEADER_ALIASES.get(name);
        if (alias === undefined) return 0;
        if (this.#findField(T, alias)) return 1;
        if (alias !== 'scheme' && alias !== ':scheme') return 0;
        state.pushInterned(T, scheme);
        return 1;
      },
    });
    x.lua_createtable(L, 0, 1);
    x.lua_pushcclosure(L, index, 0);
    x.lua_setfield(L, -2, memory.constant('__index'));
    return state.keep(L);
  }

  /** True when the key below the value on top of the stack is `name` in any case. */
  #isNamed(L: LuaThread, name: string): boolean {
    const { exports: x } = this.#state;
    return (
      x.lua_type(L, -2) === LUA_TYPE.string &&
      Number(x.lua_rawlen(L, -2)) === name.length &&
      this.#state.toString(L, -2)?.toLowerCase() === name
    );
  }

  /** Pushes the value of the field called `name` (lower case) in whatever case the table at index 1 has it. */
  #findField(L: LuaThread, name: string): boolean {
    const { exports: x } = this.#state;
    const top = x.lua_gettop(L);
    this.#state.pushString(L, name);
    if (x.lua_rawget(L, 1) !== LUA_TYPE.nil) return true;
    this.#state.pop(L);
    // what a script has made of the table may have any size
    let entries = 0;
    x.lua_pushnil(L);
    while (entries < ENTRIES_MAX && x.lua_next(L, 1) !== 0) {
      entries += 1;
      if (this.#isNamed(L, name)) break;
      this.#state.pop(L);
    }
    x.pay(entries * UNITS_PER_ENTRY);
    return x.lua_gettop(L) > top + 1;
  }
}

const NO_FACTS = 'the request is not known';
