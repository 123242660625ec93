/** Bounds the fields that a script gives in a table, while they are read. */
import { LuaError } from '../../lua/lua-error.ts';
import { LUA_TYPE, type LuaThread } from '../../lua/lua-exports.ts';
import type { State } from '../../lua/state.ts';

/** Bytes of all names and values of one table of fields: several times what other servers and browsers take. */
export const FIELD_BYTES_MAX: number = 256 * 1024;
/** Names and values of it. */
const TEXTS_MAX = 4000;
/** To read a name or value, beside its bytes. */
const UNITS_PER_TEXT = 60;

export class FieldSize {
  readonly state: State;
  #bytes = 0;
  #texts = 0;

  constructor(state: State) {
    this.state = state;
  }

  /** The string (or number) at `index`, undefined for other types; raises when all together are too much. */
  text(L: LuaThread, index: number): string | undefined {
    const { exports: x } = this.state;
    this.#texts += 1;
    if (this.#texts > TEXTS_MAX)
      throw new LuaError(`the table has more fields than the limit of ${TEXTS_MAX / 2}`);
    x.pay(UNITS_PER_TEXT);
    const isString = x.lua_type(L, index) === LUA_TYPE.string;
    if (isString) this.#count(Number(x.lua_rawlen(L, index)));
    const text = this.state.toString(L, index, FIELD_BYTES_MAX);
    if (!isString && text !== undefined) this.#count(text.length);
    return text;
  }

  #count(bytes: number): void {
    this.#bytes += bytes;
    if (this.#bytes > FIELD_BYTES_MAX)
      throw new LuaError(
        `the names and values of the table have more bytes than the limit of ${FIELD_BYTES_MAX}`,
      );
  }
}
