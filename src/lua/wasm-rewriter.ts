/**
 * Rewrites a WebAssembly module so that its host can bound it: the memory gets another maximum, every jump back
 * counts down a global `fuel` and calls the host when it is used up, and copies of memory take fuel by their size.
 * One function is added, by which others pay. Plain byte work on the binary format (WebAssembly core specification §5);
 * functions, types and indices stay as they are.
 */
import { signed, unsigned } from './leb128.ts';
import {
  FUNCTION_TYPE,
  type FunctionPlan,
  readFunctions,
  readParameterCounts,
  withConstant,
} from './wasm-functions.ts';
import { type MeterCode, meter, meterCode } from './wasm-meter.ts';
import { concatenate, Reader } from './wasm-reader.ts';
import {
  appendToVector,
  find,
  join,
  KIND,
  readExportedFunctions,
  readImports,
  readSections,
  SECTION,
  withMaximum,
} from './wasm-sections.ts';

export interface RewriteOptions {
  /** New maximum of the module's own memory, in pages of 64 KiB; undefined = as it is. */
  readonly memoryPagesMax: number | undefined;
  /** Imported function of type (i32) → i32, "module.name" (`env.system`), that is called with 0 when fuel is used up. */
  readonly hostCall: string;
  /** Name under which the fuel global (mutable i32) is exported. */
  readonly fuelName: string;
  /** Name of a function (i32) → () that is added: takes as much fuel, and calls the host when it is used up. */
  readonly payName: string;
  /** False: nothing uses fuel. What the counting costs is measured against that. */
  readonly counts: boolean;
  /** Loops in which the host may raise an error. */
  readonly interruptible?: InterruptibleOptions;
  /** Changes the body of the code section first; it is told the index of the host's function. */
  readonly editCode?: (body: Uint8Array, hostCall: number) => Uint8Array;
}

/** In the functions that are found each round calls the host with 1 when there is less fuel than a global says, which is 0 at first. */
interface InterruptibleOptions {
  readonly find: (facts: ModuleFacts) => ReadonlySet<number>;
  /** Name under which the global (mutable i32) is exported. */
  readonly globalName: string;
}

/** What is known of a module, by index of its functions, imported ones first. */
export interface ModuleFacts {
  /** Bodies of the element and the data section. */
  readonly elements: Uint8Array;
  readonly data: Uint8Array;
  readonly exported: ReadonlySet<number>;
  /** For each function of its own, from `firstOwn` on: whom it calls. */
  readonly calls: readonly (readonly number[])[];
  readonly firstOwn: number;
  /** The functions that have the number as a constant. */
  readonly withConstant: (value: number) => readonly number[];
}

const I32 = 0x7f;
const MUTABLE = 1;

/** The rewritten module; throws RewriteError for what it does not understand. */
export function rewriteModule(module: Uint8Array, options: RewriteOptions): Uint8Array<ArrayBuffer> {
  const sections = readSections(module);
  const imports = readImports(find(sections, SECTION.import).body, options.hostCall);
  const global = find(sections, SECTION.global);
  const fuel = imports.globals + new Reader(global.body).u32();
  global.body = appendToVector(global.body, [I32, MUTABLE, 0x41, ...signed(FULL_FUEL), 0x0b]);
  // holds the size of a copy while it is paid for
  const size = fuel + 1;
  global.body = appendToVector(global.body, [I32, MUTABLE, 0x41, 0, 0x0b]);
  const raiseBelow = fuel + 2;
  global.body = appendToVector(global.body, [I32, MUTABLE, 0x41, 0, 0x0b]);
  const exports = find(sections, SECTION.export);
  exports.body = appendToVector(exports.body, exported(options.fuelName, KIND.global, fuel));
  const { interruptible } = options;
  if (interruptible !== undefined)
    exports.body = appendToVector(exports.body, exported(interruptible.globalName, KIND.global, raiseBelow));
  if (options.memoryPagesMax !== undefined) {
    const memory = find(sections, SECTION.memory);
    memory.body = withMaximum(memory.body, options.memoryPagesMax);
  }
  const code = find(sections, SECTION.code);
  code.body = options.editCode?.(code.body, imports.hostCall) ?? code.body;
  if (options.counts) {
    const functions = readFunctions(
      code.body,
      readParameterCounts(find(sections, SECTION.type).body, find(sections, SECTION.function).body),
    );
    const found = interruptible?.find({
      elements: find(sections, SECTION.element).body,
      data: find(sections, SECTION.data).body,
      exported: readExportedFunctions(exports.body),
      calls: functions.map(({ calls }) => calls),
      firstOwn: imports.functions,
      withConstant: (value) => withConstant(code.body, functions, value).map((i) => i + imports.functions),
    });
    const mayRaise = (i: number): boolean => found?.has(i + imports.functions) === true;
    code.body = instrument(code.body, functions, (i, local) =>
      meterCode({
        fuel,
        size,
        local,
        hostCall: imports.hostCall,
        raiseBelow: mayRaise(i) ? raiseBelow : undefined,
      }),
    );
  }
  const types = find(sections, SECTION.type);
  const functions = find(sections, SECTION.function);
  const pay = imports.functions + new Reader(functions.body).u32();
  functions.body = appendToVector(functions.body, unsigned(new Reader(types.body).u32()));
  types.body = appendToVector(types.body, [FUNCTION_TYPE, 1, I32, 0]);
  exports.body = appendToVector(exports.body, exported(options.payName, KIND.function, pay));
  code.body = appendToVector(code.body, payFunction(options.counts ? payment(fuel, imports.hostCall) : []));
  return join(sections);
}

/** An element of the export section. */
function exported(name: string, kind: number, index: number): number[] {
  const bytes = [...Buffer.from(name)];
  return [...unsigned(bytes.length), ...bytes, kind, ...unsigned(index)];
}

/** An element of the code section: no locals, `body`, end. */
function payFunction(body: readonly number[]): number[] {
  return [...unsigned(body.length + 2), 0, ...body, 0x0b];
}

/** `units = fuel - units; fuel = units; if (units < 0) host(0)`, where `units` is the parameter. */
function payment(fuel: number, hostCall: number): number[] {
  const g = unsigned(fuel);
  return [
    ...[0x23, ...g, 0x20, 0, 0x6b, 0x22, 0, 0x24, ...g],
    ...[0x20, 0, 0x41, 0, 0x48],
    ...[0x04, 0x40, 0x41, 0, 0x10, ...unsigned(hostCall), 0x1a, 0x0b],
  ];
}

/** Fuel a fresh instance starts with: enough for its start-up; the host sets its own before it runs scripts. */
const FULL_FUEL = 0x7fff_ffff;

/** Copies all function bodies; where they use fuel stands in wasm-meter.ts. */
function instrument(
  body: Uint8Array,
  functions: readonly FunctionPlan[],
  costsOf: (index: number, local: number) => MeterCode,
): Uint8Array {
  const parts: Uint8Array[] = [Uint8Array.from(unsigned(functions.length))];
  functions.forEach((plan, i) => {
    const { groups, groupsAt, locals, codeAt, end } = plan;
    // one local more, for the fuel
    const pieces = [Uint8Array.from(unsigned(groups + 1)), body.subarray(groupsAt, codeAt), ONE_I32];
    let copied = codeAt;
    for (const { from, to, code } of meter(plan, costsOf(i, locals))) {
      pieces.push(body.subarray(copied, from), Uint8Array.from(code));
      copied = to;
    }
    pieces.push(body.subarray(copied, end));
    parts.push(Uint8Array.from(unsigned(pieces.reduce((sum, piece) => sum + piece.length, 0))), ...pieces);
  });
  return concatenate(parts);
}

/** A group of locals: how many, and their type. */
const ONE_I32 = Uint8Array.from([1, I32]);
