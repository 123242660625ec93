/** Turns JavaScript functions into wasm functions that fit Lua's function table, many at once. */
import type { Address, CFunction, KFunction, LuaExports, LuaThread } from './lua-exports.ts';

/** A function Lua can call: finds its arguments on the stack of `L`, pushes results, returns their number. */
export type HostFunction = (L: LuaThread) => number;
/** A function Lua calls when a yield across a host function is over; `status` is LUA_YIELD or LUA_OK. */
export type HostContinuation = (L: LuaThread, status: number, context: number) => number;

const I32 = 0x7f;
/** Function types of the binary format: form, parameters, results. */
const TYPES = {
  function: [0x60, 1, I32, 1, I32],
  continuation: [0x60, 3, I32, I32, I32, 1, I32],
  hook: [0x60, 2, I32, I32, 0],
  warning: [0x60, 3, I32, I32, I32, 0],
} as const;
type Kind = keyof typeof TYPES;

/** Compiled trampolines by shape, shared by all states of a thread. */
const compiled = new Map<string, WebAssembly.Module>();

/** Puts functions into the table of a Lua VM; the result holds their table indices under the same names. */
export function addHostFunctions<K extends string>(
  exports: LuaExports,
  functions: Readonly<Record<K, HostFunction>>,
): Record<K, CFunction> {
  return add(exports, functions, 'function') as Record<K, CFunction>;
}

/** The same for continuations. */
export function addHostContinuations<K extends string>(
  exports: LuaExports,
  functions: Readonly<Record<K, HostContinuation>>,
): Record<K, KFunction> {
  return add(exports, functions, 'continuation') as Record<K, KFunction>;
}

/** The same for a debug hook; its second argument, the activation record, is not passed on. */
export function addHostHook(exports: LuaExports, hook: (L: LuaThread) => void): CFunction {
  return add(exports, { hook: (L: LuaThread) => hook(L) }, 'hook')['hook'] as CFunction;
}

/** The same for a warning function: the address of a part of a message, and whether more parts follow. */
export function addHostWarning(exports: LuaExports, warn: (text: Address, more: boolean) => void): CFunction {
  const warning = (_data: number, text: number, more: number): void => warn(text as Address, more !== 0);
  return add(exports, { warning }, 'warning')['warning'] as CFunction;
}

function add(
  exports: LuaExports,
  functions: Readonly<Record<string, (L: LuaThread, status: number, context: number) => unknown>>,
  kind: Kind,
): Record<string, number> {
  const names = Object.keys(functions);
  const shape = `${kind}${names.length}`;
  let module = compiled.get(shape);
  if (module === undefined) {
    module = new WebAssembly.Module(trampolines(names.length, TYPES[kind]));
    compiled.set(shape, module);
  }
  const imports = Object.fromEntries(names.map((name, i) => [String(i), functions[name]]));
  const instance = new WebAssembly.Instance(module, { h: imports });
  const table = exports.__indirect_function_table;
  const first = table.grow(names.length);
  names.forEach((_name, i) => {
    table.set(first + i, instance.exports[String(i)]);
  });
  return Object.fromEntries(names.map((name, i) => [name, first + i]));
}

/** A module that imports `count` functions of one type from "h" and exports them again: wasm functions around ours. */
function trampolines(count: number, type: readonly number[]): Uint8Array<ArrayBuffer> {
  const imports: number[] = [...leb(count)];
  const exports: number[] = [...leb(count)];
  for (let i = 0; i < count; i++) {
    const name = [...Buffer.from(String(i))];
    imports.push(1, 0x68, name.length, ...name, 0, 0);
    exports.push(name.length, ...name, 0, ...leb(i));
  }
  const section = (id: number, body: readonly number[]): number[] => [id, ...leb(body.length), ...body];
  return Uint8Array.from([
    ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, [1, ...type]),
    ...section(2, imports),
    ...section(7, exports),
  ]);
}

function leb(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  do {
    const low = rest & 0x7f;
    rest >>>= 7;
    bytes.push(rest === 0 ? low : low | 0x80);
  } while (rest !== 0);
  return bytes;
}
