/** Reads the table of `httpd.header`: a final head, an informational one, or a push promise. */

import type { Protocol } from '../http/exchange/exchange.ts';
import type { Fields } from '../http/semantics/fields.ts';
import { LuaError } from '../lua/lua-error.ts';
import { LUA_TYPE, type LuaThread, NULL } from '../lua/lua-exports.ts';
import type { State } from '../lua/state.ts';
import { FieldSize } from '../script/run/field-size.ts';

/** The table as it was given. `status` undefined: a promise. */
export interface HeadTable {
  readonly status: number | undefined;
  /** Values of `:method`, `:scheme`, `:authority`, `:path`. */
  readonly pseudo: Readonly<Record<string, string>>;
  /** Names and values, flat; not yet checked for legal bytes. */
  readonly fields: Fields;
}

const NO_PSEUDO: Readonly<Record<string, string>> = {};
const COLON = 58;

/** Reads the table at `index`; raises on anything that is neither a field nor a status. */
export function readHeadTable(state: State, L: LuaThread, protocol: Protocol, index = 1): HeadTable {
  const { exports: x } = state;
  const fields: string[] = [];
  let pseudo: Record<string, string> | undefined;
  let status: number | undefined;
  const size = new FieldSize(state);
  x.lua_pushnil(L);
  while (x.lua_next(L, index) !== 0) {
    if (x.lua_type(L, -2) !== LUA_TYPE.string) {
      throw new LuaError(`header has a ${state.typeName(L, -2)} as field name (a string was expected)`);
    }
    const name = size.text(L, -2) as string;
    if (name === ':status' || name === 'status') {
      // where both are given, each protocol has its own, as in lhttpd
      const own = (name === ':status') === (protocol === 'HTTP/2');
      const given = readStatus(size, L, name);
      if (own || status === undefined) status = given;
    } else if (name.charCodeAt(0) === COLON) {
      pseudo ??= {};
      pseudo[name] = scalar(size, L, name);
    } else if (x.lua_type(L, -1) === LUA_TYPE.table) appendList(size, L, name, fields);
    else fields.push(name, scalar(size, L, name));
    state.pop(L);
  }
  return { status, pseudo: pseudo ?? NO_PSEUDO, fields };
}

/** The field's value on top of the stack as text: a string or a number. */
function scalar(size: FieldSize, L: LuaThread, name: string): string {
  const value = size.text(L, -1);
  if (value !== undefined) return value;
  throw new LuaError(
    `header field "${name}" is a ${size.state.typeName(L, -1)} (a string, number or list was expected)`,
  );
}

/** A list repeats the field. */
function appendList(size: FieldSize, L: LuaThread, name: string, fields: string[]): void {
  const { state } = size;
  const { exports: x } = state;
  const length = Number(x.lua_rawlen(L, -1));
  for (let i = 1; i <= length; i++) {
    x.lua_rawgeti(L, -1, BigInt(i));
    fields.push(name, scalar(size, L, name));
    state.pop(L);
  }
}

/** 200, "200" and "200 OK" are the same status. */
function readStatus(size: FieldSize, L: LuaThread, name: string): number {
  const { exports: x } = size.state;
  if (x.lua_isinteger(L, -1) !== 0) {
    const given = x.lua_tonumberx(L, -1, NULL);
    if (given >= 100 && given <= 599) return given;
  }
  const text = scalar(size, L, name);
  const match = /^([1-5][0-9]{2})(?:\.0)?(?: .*)?$/s.exec(text);
  if (match === null)
    throw new LuaError(`header "${name}" is "${text}" (a status from 100 to 599 was expected)`);
  return Number(match[1]);
}
