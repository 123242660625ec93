/** Adds the functions of `math` that Lua 5.3 deprecated and most builds of Lua 5.4 still have (LUA_COMPAT_MATHLIB). */
import type { HostFunction } from '../lua/host-functions.ts';
import type { LuaThread } from '../lua/lua-exports.ts';
import type { State } from '../lua/state.ts';

/** `LUA_OPPOW` of `lua_arith`. */
const POWER = 4;
/** `DBL_MIN_EXP`: below it a result is subnormal. */
const EXPONENT_MIN = -1021;
/** Far from both ends of the exponents, so that a mantissa times this power of two stays exact. */
const EXPONENT_STEP = 600;

export function installMathLibrary(state: State): void {
  const { exports: x, memory, mainThread: L } = state;

  function ofNumber(compute: (value: number) => number): HostFunction {
    return (T) => {
      x.lua_pushnumber(T, compute(x.luaL_checknumber(T, 1)));
      return 1;
    };
  }

  x.lua_getglobal(L, memory.constant('math'));
  state.setFunctions(
    L,
    -1,
    state.addFunctions({
      cosh: ofNumber(Math.cosh),
      sinh: ofNumber(Math.sinh),
      tanh: ofNumber(Math.tanh),
      log10: ofNumber(Math.log10),
      /** The VM's own power: JavaScript's differs from C's for 1 and NaN, -1 and infinity. */
      pow: (T) => {
        const base = x.luaL_checknumber(T, 1);
        const exponent = x.luaL_checknumber(T, 2);
        x.lua_pushnumber(T, base);
        x.lua_pushnumber(T, exponent);
        x.lua_arith(T, POWER);
        return 1;
      },
      frexp: (T: LuaThread) => {
        const { mantissa, exponent } = split(x.luaL_checknumber(T, 1));
        x.lua_pushnumber(T, mantissa);
        state.pushInteger(T, exponent);
        return 2;
      },
      ldexp: (T) => {
        const mantissa = x.luaL_checknumber(T, 1);
        // the C library takes an int: what does not fit in 32 bits is cut, as Lua does
        x.lua_pushnumber(T, scale(mantissa, Number(BigInt.asIntN(32, x.luaL_checkinteger(T, 2)))));
        return 1;
      },
    }),
  );
  state.pop(L);
}

const view = new DataView(new ArrayBuffer(8));

/** `frexp` of C: a value is mantissa × 2^exponent, with a mantissa from 0.5 to below 1. */
function split(value: number): { mantissa: number; exponent: number } {
  if (value === 0 || !Number.isFinite(value)) return { mantissa: value, exponent: 0 };
  view.setFloat64(0, value);
  let bits = (view.getUint16(0) >> 4) & 0x7ff;
  let shift = 0;
  if (bits === 0) {
    // subnormal: made normal first
    view.setFloat64(0, value * 2 ** 54);
    bits = (view.getUint16(0) >> 4) & 0x7ff;
    shift = 54;
  }
  view.setUint16(0, (view.getUint16(0) & 0x800f) | (1022 << 4));
  return { mantissa: view.getFloat64(0), exponent: bits - 1022 - shift };
}

/** `ldexp` of C: value × 2^exponent, rounded once. */
function scale(value: number, exponent: number): number {
  if (value === 0 || !Number.isFinite(value)) return value;
  const { mantissa, exponent: own } = split(value);
  const power = own + exponent;
  // 2^power itself may be too large; a subnormal result is made of two exact factors
  return power >= EXPONENT_MIN
    ? mantissa * 2 * 2 ** (power - 1)
    : mantissa * 2 ** -EXPONENT_STEP * 2 ** (power + EXPONENT_STEP);
}
