/** Tags that scripts name: those by which answers and values that are kept are purged. */
import { isTag, TAG_BYTES_MAX, TAGS_MAX } from '../base/answer-tags.ts';
import { LuaError } from '../lua/lua-error.ts';
import { LUA_TYPE, type LuaThread } from '../lua/lua-exports.ts';
import type { State } from '../lua/state.ts';
import { stringOption, wrongType } from '../script/run/option-table.ts';

/** The tag on top of the stack, for the option `name`. */
export function readTag(state: State, L: LuaThread, name: string): string {
  const tag = stringOption(state, L, name, TAG_BYTES_MAX);
  if (isTag(tag)) return tag;
  throw new LuaError(
    `option "${name}" is ${JSON.stringify(tag)} (one tag, without blanks and commas, was expected)`,
  );
}

/** The list of tags on top of the stack. */
export function readTags(state: State, L: LuaThread, name: string): readonly string[] {
  const { exports: x } = state;
  if (x.lua_type(L, -1) !== LUA_TYPE.table) throw wrongType(state, L, name, 'a list of tags');
  const count = Number(x.lua_rawlen(L, -1));
  if (count > TAGS_MAX) throw new LuaError(`option "${name}" has ${count} tags and the limit is ${TAGS_MAX}`);
  const tags: string[] = [];
  for (let i = 1; i <= count; i++) {
    x.lua_rawgeti(L, -1, BigInt(i));
    tags.push(readTag(state, L, name));
    state.pop(L);
  }
  return tags;
}
