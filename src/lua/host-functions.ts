/**
 * Turns JavaScript functions into wasm functions that fit Lua's function table, many at once. Lua's calls of them pay
 * fuel before they reach JavaScript, so that no loop of cheap host calls is free.
 */
import { signed, unsigned } from './leb128.ts';
import type { Address, CFunction, KFunction, LuaExports, LuaThread } from './lua-exports.ts';
import { THREAD_FIELD, UNYIELDABLE_CALL } from './thread-layout.ts';

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
  readonly name: string;
  readonly parameters: number;
  readonly results: 0 | 1;
  /** Fuel that a call takes. */
  readonly rounds: number;
  /** True: nothing is called for a thread that stands below a call which no yield can cross. */
  readonly skipsUnyieldable?: boolean;
}

const FUNCTION: Kind = { name: 'function', parameters: 1, results: 1, rounds: HOST_CALL_ROUNDS };
const CONTINUATION: Kind = { name: 'continuation', parameters: 3, results: 1, rounds: HOST_CALL_ROUNDS };
/** The guard's own: an exception thrown in it would come at each instruction. */
const HOOK: Kind = { name: 'hook', parameters: 2, results: 0, rounds: 0 };
const RETURN_HOOK: Kind = { ...HOOK, name: 'returnHook', skipsUnyieldable: true };
const WARNING: Kind = { name: 'warning', parameters: 3, results: 0, rounds: HOST_CALL_ROUNDS };

/** Compiled trampolines by shape, shared by all states of a thread. */
const compiled = new Map<string, WebAssembly.Module>();

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

/**
 * The same for a debug hook, which is told the event (`LUA_HOOKCALL`, …): the first word of the activation record.
 * `skipsUnyieldable`: it is not called below a call that no yield can cross.
 */
export function addHostHook(
  exports: LuaExports,
  hook: (L: LuaThread, event: number) => void,
  skipsUnyieldable = false,
): CFunction {
  const read = (L: LuaThread, activation: number): void =>
    hook(L, new Uint32Array(exports.memory.buffer, activation, 1)[0] as number);
  return add(exports, { hook: read }, skipsUnyieldable ? RETURN_HOOK : HOOK)['hook'] as CFunction;
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
  const names = Object.keys(functions);
  const shape = `${kind.name}${names.length}`;
  let module = compiled.get(shape);
  if (module === undefined) {
    module = new WebAssembly.Module(trampolines(names.length, kind));
    compiled.set(shape, module);
  }
  const imports = Object.fromEntries(names.map((name, i) => [String(i), functions[name]]));
  const instance = new WebAssembly.Instance(module, {
    g: { fuel: exports.fuel, pay: exports.pay, memory: exports.memory },
    h: imports,
  });
  const table = exports.__indirect_function_table;
  const first = table.grow(names.length);
  names.forEach((_name, i) => {
    table.set(first + i, instance.exports[String(i)]);
  });
  return Object.fromEntries(names.map((name, i) => [name, first + i]));
}

/**
 * A module that imports `count` functions of one type from "h", and exports as many of the same type that take fuel from
 * "g.fuel" and call them. "g.memory" is where threads are.
 */
function trampolines(count: number, kind: Kind): Uint8Array<ArrayBuffer> {
  const imports: number[] = [];
  const exports: number[] = [];
  const bodies: number[] = [];
  // after the imports: those to be called, then `pay`
  const pay = count;
  for (let i = 0; i < count; i++) {
    const name = [...Buffer.from(String(i))];
    imports.push(1, 0x68, name.length, ...name, 0, 0);
    exports.push(name.length, ...name, 0, ...unsigned(count + 1 + i));
    bodies.push(...trampoline(i, pay, kind));
  }
  imports.push(...text('g'), ...text('pay'), 0, 1);
  imports.push(...text('g'), ...text('fuel'), 3, I32, MUTABLE);
  imports.push(...text('g'), ...text('memory'), MEMORY, 0, 0);
  const types = Array<number>(kind.parameters).fill(I32);
  const results = Array<number>(kind.results).fill(I32);
  return Uint8Array.from([
    ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, [2, 0x60, types.length, ...types, results.length, ...results, 0x60, 1, I32, 0]),
    ...section(2, [...unsigned(count + 3), ...imports]),
    ...section(3, [...unsigned(count), ...Array<number>(count).fill(0)]),
    ...section(7, [...unsigned(count), ...exports]),
    ...section(10, [...unsigned(count), ...bodies]),
  ]);
}

/** `local = fuel - rounds; fuel = local; if (local < 0) pay(0); return target(…)` */
function trampoline(target: number, pay: number, { parameters, rounds, skipsUnyieldable }: Kind): number[] {
  const local = parameters;
  const arguments_ = Array.from({ length: parameters }, (_, i) => [0x20, i]).flat();
  const toll =
    rounds === 0
      ? []
      : [
          ...[0x23, 0, 0x41, ...signed(rounds), 0x6b, 0x22, local, 0x24, 0],
          ...[0x20, local, 0x41, 0, 0x48, 0x04, 0x40, 0x41, 0, 0x10, ...unsigned(pay), 0x0b],
        ];
  const filter = skipsUnyieldable === true ? RETURN_UNLESS_YIELDABLE : [];
  const body = [1, 1, I32, ...filter, ...toll, ...arguments_, 0x10, ...unsigned(target), 0x0b];
  return [...unsigned(body.length), ...body];
}

/** `if (!yieldable(L)) return` (lstate.h), where `L` is the first parameter: C calls without a yield are counted in the upper half. */
const RETURN_UNLESS_YIELDABLE: readonly number[] = [
  ...[0x20, 0, 0x28, 2, THREAD_FIELD.calls, 0x41, ...signed(-UNYIELDABLE_CALL), 0x71],
  ...[0x04, 0x40, 0x0f, 0x0b],
];

function section(id: number, body: readonly number[]): number[] {
  return [id, ...unsigned(body.length), ...body];
}

function text(name: string): number[] {
  return [name.length, ...Buffer.from(name)];
}
