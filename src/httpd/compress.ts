/** `httpd.compress`: whether and how the answer to the current request is compressed. */
import { LEVEL_MAX } from '../http/coding/codings.ts';
import type { HostFunction } from '../lua/host-functions.ts';
import { LuaError } from '../lua/lua-error.ts';
import { LUA_TYPE, NULL } from '../lua/lua-exports.ts';
import { currentInvocation } from '../script/context/invocation.ts';
import type { ScriptContext } from '../script/context/script-context.ts';
import { checkArgumentCount } from '../script/run/argument-count.ts';
import { readOptionTable, wrongType } from '../script/run/option-table.ts';

/** `httpd.compress(false | true | {level, min})`, before the head; no results. */
export function createCompress({ state, scheduler }: ScriptContext): HostFunction {
  const { exports: x } = state;
  return (L) => {
    checkArgumentCount(state, L, 'compress', 1, 1);
    const isBoolean = x.lua_type(L, 1) === LUA_TYPE.boolean;
    if (!isBoolean) x.luaL_checktype(L, 1, LUA_TYPE.table);
    let level: number | undefined;
    let bytesMin: number | undefined;
    const wholeNumber = (name: string, min: number, max: number): number => {
      if (x.lua_type(L, -1) !== LUA_TYPE.number) throw wrongType(state, L, name, 'a number');
      const value = x.lua_tonumberx(L, -1, NULL);
      if (Number.isInteger(value) && value >= min && value <= max) return value;
      throw new LuaError(`option "${name}" is ${value} (a whole number from ${min} to ${max} was expected)`);
    };
    if (!isBoolean)
      readOptionTable(state, L, 1, 'compress', {
        level: (name) => {
          level = wholeNumber(name, 1, LEVEL_MAX);
        },
        min: (name) => {
          bytesMin = wholeNumber(name, 0, Number.MAX_SAFE_INTEGER);
        },
      });
    const { exchange } = currentInvocation(scheduler);
    if (exchange.headGiven && !exchange.finished)
      throw new LuaError('headers already sent: compress has to be called before them');
    exchange.compression = isBoolean && x.lua_toboolean(L, 1) === 0 ? false : { level, bytesMin };
    return 0;
  };
}
