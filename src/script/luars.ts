/**
 * Scripts in the shape of luars' HTTP server: one function takes method, path and body and returns status, content type
 * and body; what they may wait for are global functions that look blocking.
 */

import { readHeadTable } from '../httpd/response-head.ts';
import { LuaError } from '../lua/lua-error.ts';
import { LUA_TYPE, type LuaThread, NULL } from '../lua/lua-exports.ts';
import { readLuaSource } from '../lua/lua-source.ts';
import { ARGUMENT_BYTES_MAX } from '../lua/state.ts';
import { currentInvocation } from './context/invocation.ts';
import type { ScriptContext } from './context/script-context.ts';
import { wantSize } from './objects/byte-transfer.ts';

/** Bytes of a request body, which a handler gets as one string. */
const BODY_BYTES_MAX = 16 * 1024 * 1024;
/** Heads that are given again and again, by content type. */
const HEADS_MAX = 64;
/** Longer types are mostly different. */
const REMEMBERED_LENGTH_MAX = 256;
const DEFAULT_TYPE = 'text/plain';
/** Bytes of a content type: what any string of a head may have. */
const TYPE_BYTES_MAX = ARGUMENT_BYTES_MAX;

const PRELUDE = readLuaSource('script/luars.lua');

export class Luars {
  readonly #script: ScriptContext;
  readonly #heads = new Map<string, readonly string[]>();

  constructor(script: ScriptContext) {
    this.#script = script;
  }

  /** Pushes the table of global functions, and a function that makes a handler of the script's own. */
  push(L: LuaThread): void {
    const { state } = this.#script;
    const { exports: x, memory } = state;
    const { request, respond } = state.addFunctions({
      request: (T) => this.#request(T),
      respond: (T) => this.#respond(T),
    });
    state.load(L, PRELUDE, '=luars');
    x.lua_getglobal(L, memory.constant('require'));
    state.pushString(L, 'httpd');
    state.call(L, 1, 1);
    x.lua_pushcclosure(L, request, 0);
    x.lua_pushcclosure(L, respond, 0);
    state.call(L, 3, 2);
  }

  /** Method, path and body; or with query and fields between them. Nothing where the body is too large. */
  #request(L: LuaThread): number {
    const { state, scheduler, transfer } = this.#script;
    const { exports: x } = state;
    const { exchange } = currentInvocation(scheduler);
    const { body, target, method } = exchange;
    const isShort = x.lua_toboolean(L, 1) !== 0;
    if ((body.declaredLength ?? 0) > BODY_BYTES_MAX) {
      exchange.reset(413);
      return 0;
    }
    const mark = target.indexOf('?');
    state.pushString(L, method.toUpperCase());
    state.pushString(L, mark === -1 ? target : target.slice(0, mark));
    if (!isShort) {
      state.pushString(L, mark === -1 ? '' : target.slice(mark + 1));
      state.pushString(L, fieldsAsJson(exchange.fields, exchange.authority));
    }
    const results = isShort ? 3 : 5;
    if (body.ended && body.queue.length === 0) {
      state.pushString(L, '');
      return results;
    }
    return transfer.read(L, body, wantSize(BODY_BYTES_MAX + 1), (T) => {
      if (x.lua_type(T, -1) === LUA_TYPE.nil) {
        state.pop(T);
        state.pushString(T, '');
      } else if (Number(x.lua_rawlen(T, -1)) > BODY_BYTES_MAX) {
        exchange.reset(413);
        return 0;
      }
      return results;
    });
  }

  /** Sends what the script's function has returned: status, content type, body, fields. */
  #respond(L: LuaThread): number {
    const { state, scheduler, transfer } = this.#script;
    const { exports: x } = state;
    const { exchange } = currentInvocation(scheduler);
    if (exchange.finished) return 0;
    x.lua_settop(L, 4);
    const status = this.#status(L);
    const type = this.#type(L) ?? DEFAULT_TYPE;
    const bodyType = x.lua_type(L, 3);
    if (bodyType !== LUA_TYPE.nil && bodyType !== LUA_TYPE.string && bodyType !== LUA_TYPE.number)
      throw new LuaError(`the handler returned a ${state.typeName(L, 3)} as body (a string was expected)`);
    exchange.head(status, this.#fields(L, type));
    return bodyType === LUA_TYPE.nil ? 0 : transfer.write(L, exchange, 3, returnNothing);
  }

  #status(L: LuaThread): number {
    const { state } = this.#script;
    const { exports: x } = state;
    if (x.lua_type(L, 1) === LUA_TYPE.nil) return 200;
    const status = x.lua_type(L, 1) === LUA_TYPE.number ? x.lua_tonumberx(L, 1, NULL) : Number.NaN;
    if (Number.isInteger(status) && status >= 200 && status <= 599) return status;
    const given = state.toString(L, 1) ?? `a ${state.typeName(L, 1)}`;
    throw new LuaError(`the handler returned ${given} as status (an integer from 200 to 599 was expected)`);
  }

  #type(L: LuaThread): string | undefined {
    const { state } = this.#script;
    const type = state.type(L, 2);
    if (type === LUA_TYPE.nil) return undefined;
    if (type !== LUA_TYPE.string)
      throw new LuaError(
        `the handler returned a ${state.typeName(L, 2)} as content type (a string was expected)`,
      );
    const size = Number(state.exports.lua_rawlen(L, 2));
    if (size > TYPE_BYTES_MAX)
      throw new LuaError(
        `the handler returned a content type of ${size} bytes and the limit is ${TYPE_BYTES_MAX}`,
      );
    return state.toString(L, 2, TYPE_BYTES_MAX);
  }

  #fields(L: LuaThread, type: string): readonly string[] {
    const { state, scheduler } = this.#script;
    const given = state.type(L, 4);
    if (given === LUA_TYPE.nil) return this.#head(type);
    if (given !== LUA_TYPE.table)
      throw new LuaError(`the handler returned a ${state.typeName(L, 4)} as fields (a table was expected)`);
    const { fields, status } = readHeadTable(state, L, currentInvocation(scheduler).exchange.protocol, 4);
    if (status !== undefined) throw new LuaError('the handler returned a status among the fields');
    const hasType = fields.some((name, i) => i % 2 === 0 && name.toLowerCase() === 'content-type');
    return hasType ? fields : ['content-type', type, ...fields];
  }

  #head(type: string): readonly string[] {
    if (type.length > REMEMBERED_LENGTH_MAX) return ['content-type', type];
    let head = this.#heads.get(type);
    if (head === undefined) {
      if (this.#heads.size === HEADS_MAX) this.#heads.clear();
      head = Object.freeze(['content-type', type]);
      this.#heads.set(type, head);
    }
    return head;
  }
}

const returnNothing = (): number => 0;

/** A JSON object of lower-case names; of a name that is repeated, the last value. */
function fieldsAsJson(fields: readonly string[], authority: string): string {
  const object: Record<string, string> = Object.create(null);
  if (authority !== '') object['host'] = authority;
  for (let i = 0; i < fields.length; i += 2)
    object[(fields[i] as string).toLowerCase()] = fields[i + 1] as string;
  return JSON.stringify(object);
}
