/**
 * Looks once in each thread whether the loops of its Lua module use fuel, before any script runs: a loop that does not would
 * hold its worker for ever. The loops end, so that one which pays nothing is found without waiting for it.
 */
import { readLuaSource } from './lua-source.ts';
import type { State } from './state.ts';

/** Rounds of each loop, and what it has to pay: the last ones of a loop may cost nothing. */
const ROUNDS = 128;
const PAID_MIN = 100;
/** Of the list, loops that each worker looks at: all of Lua's own, and the first of C. The build looks at all. */
const LOOPS_AT_START = 10;
/** More than all loops take. */
const FUEL = 10_000_000;

/** Gives names and functions in turn, for so many rounds. */
const SOURCE = readLuaSource('lua/loop-check.lua');

/** Modules whose loops have been looked at, or of which nothing uses fuel. */
const checked = new WeakSet<WebAssembly.Module>();

/** Throws when a loop of the module's uses no fuel. A module that was made to count nothing, for comparisons, passes. */
export function checkLoops(state: State, module: WebAssembly.Module): void {
  if (checked.has(module)) return;
  const { fuel } = state.exports;
  const before = fuel.value;
  fuel.value = FUEL;
  state.exports.pay(1);
  const counts = fuel.value < FUEL;
  const unpaid = counts ? findUnpaidLoops(state, LOOPS_AT_START) : [];
  fuel.value = before;
  if (unpaid.length > 0) {
    throw new Error(
      `The Lua module does not count the rounds of these loops: ${unpaid.join(', ')}; build it anew`,
    );
  }
  checked.add(module);
}

/** Names of the loops that take less fuel than they have rounds. */
export function findUnpaidLoops(state: State, loopsMax: number = Number.POSITIVE_INFINITY): string[] {
  const { exports: x, mainThread: L } = state;
  const unpaid: string[] = [];
  state.load(L, SOURCE, '=loop-check.lua');
  x.lua_pushinteger(L, BigInt(ROUNDS));
  state.call(L, 1, 1);
  const loops = Math.min(Number(x.lua_rawlen(L, -1)) / 2, loopsMax);
  for (let i = 0; i < loops; i++) {
    x.lua_rawgeti(L, -1, BigInt(2 * i + 1));
    x.lua_rawgeti(L, -2, BigInt(2 * i + 2));
    x.fuel.value = FUEL;
    state.call(L, 0, 0);
    if (FUEL - x.fuel.value < PAID_MIN) unpaid.push(state.toString(L, -1) ?? '');
    state.pop(L);
  }
  state.pop(L);
  return unpaid;
}
