/**
 * Turns JavaScript functions into wasm functions that fit Lua's function table, many at once. Lua's calls of them pay
 * fuel before they reach JavaScript, so that no loop of cheap host calls is free.
 */
import { signed, unsigned } from './leb128.ts';
import type { Address, CFunction, KFunction, LuaExports, LuaThread } from './lua-exports.ts';

/** A function Lua can call: finds its arguments on the stack of `L`, pushes results, returns their number. */
export type HostFunction = (L: LuaThread) => number;
/** A function Lua calls when a yield across a host function is over; `status` is LUA_YIELD or LUA_OK. */
export type HostContinuation = (L: LuaThread, status: number, context: number) => number;

/** What a call of a host function costs, in loop rounds (5 ns): the crossing to JavaScript and a little work there. */
const HOST_CALL_ROUNDS = 100;

const I32 = 0x7f;
const MUTABLE = 1;
const MEMORY = 2;

interface Kind {
  /** Where its trampolines stand among those of the module, and how many there are. */
  readonly at: number;
  readonly count: number;
  readonly parameters: number;
  readonly results: 0 | 1;
  /** Fuel that a call takes. */
  readonly rounds: number;
}

/** Functions that one instance takes: few families have more, and most of the others a single one. */
const FUNCTIONS_PER_INSTANCE = 8;

const FUNCTION: Kind = {
  ...{ at: 0, count: FUNCTIONS_PER_INSTANCE },
  ...{ parameters: 1, results: 1, rounds: HOST_CALL_ROUNDS },
};
const CONTINUATION: Kind = { ...after(FUNCTION), parameters: 3, results: 1, rounds: HOST_CALL_ROUNDS };
/** The guard's own: an exception thrown in it would come at each instruction. */
const HOOK: Kind = { ...after(CONTINUATION), parameters: 2, results: 0, rounds: 0 };
const WARNING: Kind = { ...after(HOOK), parameters: 3, results: 0, rounds: HOST_CALL_ROUNDS };
/** In the order of the module. */
const KINDS: readonly Kind[] = [FUNCTION, CONTINUATION, HOOK, WARNING];

/**
 * Trampolines of all kinds, shared by all states of a thread. One module and not one for each number of functions: to compile
 * a module takes more than a millisecond however small it is, and an instance a hundredth of that.
 */
let compiled: WebAssembly.Module | undefined;

/** Puts functions into the table of a Lua VM; the result holds their table indices under the same names. */
export function addHostFunctions<K extends string>(
  exports: LuaExports,
  functions: Readonly<Record<K, HostFunction>>,
): Record<K, CFunction> {
  return add(exports, functions, FUNCTION) as Record<K, CFunction>;
}

/** The same for continuations. */
export function addHostContinuations<K extends string>(
  exports: LuaExports,
  functions: Readonly<Record<K, HostContinuation>>,
): Record<K, KFunction> {
  return add(exports, functions, CONTINUATION) as Record<K, KFunction>;
}

/** The same for a debug hook, which is told the event (`LUA_HOOKCALL`, …): the first word of the activation record. */
export function addHostHook(exports: LuaExports, hook: (L: LuaThread, event: number) => void): CFunction {
  const read = (L: LuaThread, activation: number): void =>
    hook(L, new Uint32Array(exports.memory.buffer, activation, 1)[0] as number);
  return add(exports, { hook: read }, HOOK)['hook'] as CFunction;
}

/** The same for a warning function: the address of a part of a message, and whether more parts follow. */
export function addHostWarning(exports: LuaExports, warn: (text: Address, more: boolean) => void): CFunction {
  const warning = (_data: number, text: number, more: number): void => warn(text as Address, more !== 0);
  return add(exports, { warning }, WARNING)['warning'] as CFunction;
}

function add(
  exports: LuaExports,
  functions: Readonly<Record<string, (L: LuaThread, status: number, context: number) => unknown>>,
  kind: Kind,
): Record<string, number> {
  compiled ??= new WebAssembly.Module(trampolines());
  const names = Object.keys(functions);
  const table = exports.__indirect_function_table;
  const first = table.grow(names.length);
  const g = { fuel: exports.fuel, pay: exports.pay, memory: exports.memory };
  for (let from = 0; from < names.length; from += kind.count) {
    const some = names.slice(from, from + kind.count);
    const used = Object.fromEntries(some.map((name, i) => [kind.at + i, functions[name]]));
    const instance = new WebAssembly.Instance(compiled, { g, h: { ...UNUSED, ...used } });
    some.forEach((_name, i) => {
      table.set(first + from + i, instance.exports[String(kind.at + i)]);
    });
  }
  return Object.fromEntries(names.map((name, i) => [name, first + i]));
}

/** For the trampolines of an instance that nobody calls. */
const UNUSED: Readonly<Record<string, () => void>> = Object.fromEntries(
  Array.from({ length: WARNING.at + WARNING.count }, (_, i) => [i, () => undefined]),
);

/** The place behind a kind, for a kind with one trampoline. */
function after({ at, count }: Kind): { at: number; count: number } {
  return { at: at + count, count: 1 };
}

/**
 * A module that imports functions of all kinds from "h", and exports one of the same type for each that takes fuel from
 * "g.fuel" and calls it. "g.memory" is where threads are.
 */
function trampolines(): Uint8Array<ArrayBuffer> {
  const places = KINDS.flatMap((kind, type) => Array.from({ length: kind.count }, () => ({ kind, type })));
  const count = places.length;
  const imports: number[] = [];
  const exports: number[] = [];
  const bodies: number[] = [];
  // after the imports: those to be called, then `pay`
  const pay = count;
  for (const [i, { kind, type }] of places.entries()) {
    const name = text(String(i));
    imports.push(...text('h'), ...name, 0, type);
    exports.push(...name, 0, ...unsigned(count + 1 + i));
    bodies.push(...trampoline(i, pay, kind));
  }
  imports.push(...text('g'), ...text('pay'), 0, KINDS.length);
  imports.push(...text('g'), ...text('fuel'), 3, I32, MUTABLE);
  imports.push(...text('g'), ...text('memory'), MEMORY, 0, 0);
  const types = KINDS.map(({ parameters, results }) => functionType(parameters, results));
  const payType = functionType(1, 0);
  return Uint8Array.from([
    ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, [KINDS.length + 1, ...types.flat(), ...payType]),
    ...section(2, [...unsigned(count + 3), ...imports]),
    ...section(3, [...unsigned(count), ...places.map(({ type }) => type)]),
    ...section(7, [...unsigned(count), ...exports]),
    ...section(10, [...unsigned(count), ...bodies]),
  ]);
}

/** Of 32-bit integers. */
function functionType(parameters: number, results: number): number[] {
  const list = (length: number): number[] => [length, ...Array<number>(length).fill(I32)];
  return [0x60, ...list(parameters), ...list(results)];
}

/** `local = fuel - rounds; fuel = local; if (local < 0) pay(0); return target(…)` */
function trampoline(target: number, pay: number, { parameters, rounds }: Kind): number[] {
  const local = parameters;
  const arguments_ = Array.from({ length: parameters }, (_, i) => [0x20, i]).flat();
  const toll =
    rounds === 0
      ? []
      : [
          ...[0x23, 0, 0x41, ...signed(rounds), 0x6b, 0x22, local, 0x24, 0],
          ...[0x20, local, 0x41, 0, 0x48, 0x04, 0x40, 0x41, 0, 0x10, ...unsigned(pay), 0x0b],
        ];
  const body = [1, 1, I32, ...toll, ...arguments_, 0x10, ...unsigned(target), 0x0b];
  return [...unsigned(body.length), ...body];
}

function section(id: number, body: readonly number[]): number[] {
  return [id, ...unsigned(body.length), ...body];
}

function text(name: string): number[] {
  return [name.length, ...Buffer.from(name)];
}
