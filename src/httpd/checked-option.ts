/** Options of proxies as scripts give them, held to the same rules as those of the command line and of programs. */
import { LuaError } from '../lua/lua-error.ts';
import { LUA_TYPE, type LuaThread, NULL } from '../lua/lua-exports.ts';
import type { State } from '../lua/state.ts';
import { showValue, type ValueRule } from '../mapping/proxy-values.ts';
import { wrongType } from '../script/run/option-table.ts';

/** The value, where the rule accepts it; else raises. `alternative`: what a script may give besides, for the message. */
export function checked<T>(name: string, value: unknown, rule: ValueRule<T>, alternative = ''): T {
  if (rule.accepts(value)) return value;
  throw new LuaError(optionText(name, value, rule, alternative));
}

/** What is wrong with an option. */
export function optionText(
  name: string,
  value: unknown,
  { wants }: ValueRule<unknown>,
  alternative = '',
): string {
  return `option "${name}" is ${showValue(value)} (${wants}${alternative} was expected)`;
}

/** The value on top of the stack as a number; raises for anything else. */
export function numberOption(state: State, L: LuaThread, name: string): number {
  if (state.exports.lua_type(L, -1) !== LUA_TYPE.number) throw wrongType(state, L, name, 'a number');
  return state.exports.lua_tonumberx(L, -1, NULL);
}
