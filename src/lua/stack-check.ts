/**
 * Checks what Lua's C API takes on trust, for tests: that nothing is pushed past the slots a function may use, and that a
 * host function returns no more results than it has pushed. `LGATEWAY_CHECK_STACK=1` turns the checks on; without it, nothing
 * of this is called. What is wrong is a defect of the gateway: an error that costs the state.
 */
import type { LuaExports, LuaThread } from './lua-exports.ts';
import { CALL_FIELD, THREAD_FIELD } from './thread-layout.ts';

/** The tests ask for the checks. */
export const CHECKS_STACK: boolean = process.env['LGATEWAY_CHECK_STACK'] === '1';

/** Functions of the C API that push, and may push past the end. */
const PUSHES =
  /^lua_(?:push\w+|newthread|newuserdatauv|createtable|rawget\w*|get(?:field|global|metatable|iuservalue|upvalue)|next|concat|arith)$|^luaL_(?:getsubtable|getmetafield|traceback|where|tolstring|newmetatable)$/;

/** `exports` with a check behind each function that pushes. */
export function checkedExports(exports: LuaExports): LuaExports {
  const checkRoom = roomCheck(exports);
  const checked: Record<string, unknown> = { ...exports };
  for (const [name, run] of Object.entries(checked)) {
    if (typeof run === 'function' && PUSHES.test(name))
      checked[name] = (L: LuaThread, a: unknown, b: unknown, c: unknown): unknown => {
        const result: unknown = run(L, a, b, c);
        checkRoom(L, name);
        return result;
      };
  }
  return checked as unknown as LuaExports;
}

/** `run` with a check of what it returns; `yields`: the result that says that it yields. */
export function checkedFunction<A extends readonly [LuaThread, ...number[]]>(
  exports: LuaExports,
  name: string,
  yields: number,
  run: (...given: A) => number,
): (...given: A) => number {
  const checkRoom = roomCheck(exports);
  return (...given) => {
    const [L] = given;
    const results = run(...given);
    checkRoom(L, name);
    const has = exports.lua_gettop(L);
    if (results !== yields && !(Number.isInteger(results) && results >= 0 && results <= has))
      throw new Error(
        `Host function "${name}" returns ${results} results, and its stack holds ${has} values`,
      );
    return results;
  };
}

/** Looks whether the top of the stack of `L` is within what its call may use. */
function roomCheck(exports: LuaExports): (L: LuaThread, name: string) => void {
  let words = new Uint32Array(exports.memory.buffer);
  return (L, name) => {
    // the memory has grown
    if (words.length === 0) words = new Uint32Array(exports.memory.buffer);
    const top = words[(L + THREAD_FIELD.top) >>> 2] as number;
    const call = words[(L + THREAD_FIELD.call) >>> 2] as number;
    const end = words[(call + CALL_FIELD.top) >>> 2] as number;
    if (top > end)
      throw new Error(
        `"${name}" leaves the stack ${top - end} bytes longer than its function may use (lua_checkstack)`,
      );
  };
}
